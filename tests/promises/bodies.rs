use std::thread::scope;

use harness::body::Pattern;
use harness::origin::reply;
use harness::{Connection, Origin, Request, Sluice};

use crate::size;

/// The most memory the gateway may ever have had, whatever passes through it.
const MEMORY_KIB_MAX: u64 = 64 << 10;

const DEFAULT_MIB: u64 = if cfg!(debug_assertions) { 256 } else { 1024 };

fn config(origin: &Origin, length: u64) -> String {
    format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        upstream = "origin"
        max_body = "{length}B"
        "#,
        origin.address()
    )
}

/// Sends the pattern in chunks of a size that fits nothing else.
#[track_caller]
fn send_chunked(client: &mut Connection, length: u64) {
    const CHUNK_BYTES: usize = 50_001;
    let mut pattern = Pattern::new(length);
    let mut pending = Vec::new();
    loop {
        let block = pattern.block();
        let is_last = block.is_none();
        pending.extend_from_slice(block.unwrap_or_default());
        while pending.len() >= CHUNK_BYTES || (is_last && !pending.is_empty()) {
            let rest = pending.split_off(pending.len().min(CHUNK_BYTES));
            client.send(harness::client::chunk(&pending));
            pending = rest;
        }
        if is_last {
            client.send("0\r\n\r\n");
            return;
        }
    }
}

#[test]
fn large_bodies_pass_whole_in_both_directions_through_little_memory() {
    let _turn = crate::turn();
    let length = size("TEST_BODY_MIB", DEFAULT_MIB) << 20;
    let origin = Origin::new()
        .on("/up", reply(200))
        .on("/up/chunked", reply(200))
        .on("/down", reply(200).pattern(length))
        .on("/down/chunked", reply(200).chunked().pattern(length));
    let sluice = Sluice::start(&config(&origin, length));
    let at_rest = sluice.process.memory_kib("VmHWM");
    let whole = Pattern::whole(length);
    let whole = &whole;
    let connect = || Connection::open(sluice.address());

    // A client that takes nothing for as long as the others are served: what it does not take must not pile up.
    let mut reluctant = Connection::open_narrow(sluice.address());
    reluctant.send(Request::get("/down").bytes());
    origin.wait_seen("/down", 1);
    scope(|all| {
        all.spawn(|| {
            let mut client = connect();
            let head = Request::new("POST", "/up").header("Content-Length", &length.to_string());
            client.send(head.head_bytes()).send_pattern(length);
            client.response().expect(200);
        });
        all.spawn(|| {
            let mut client = connect();
            let head = Request::new("POST", "/up/chunked").header("Transfer-Encoding", "chunked");
            client.send(head.head_bytes());
            send_chunked(&mut client, length);
            client.response().expect(200);
        });
        for target in ["/down", "/down/chunked"] {
            all.spawn(move || {
                let mut client = connect();
                client.send(Request::get(target).bytes());
                let (status, framing) = client.response_head();
                assert_eq!(status, 200, "{target}");
                let body = client.response_body(framing).body;
                assert_eq!((body.length, body.hash), (whole.length, whole.hash), "{target}");
            });
        }
    });
    for target in ["/up", "/up/chunked"] {
        let body = origin.only(target).body;
        assert_eq!((body.length, body.hash), (whole.length, whole.hash), "{target}");
    }
    let most = sluice.process.memory_kib("VmHWM");
    eprintln!(
        "bodies: 4 × {} MiB at once, the gateway's memory {} MiB at rest, {} MiB at most",
        length >> 20,
        at_rest / 1024,
        most / 1024
    );
    assert!(most < MEMORY_KIB_MAX, "{most} KiB");
    drop(reluctant);
}
