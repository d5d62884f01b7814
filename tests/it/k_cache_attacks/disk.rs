use harness::origin::reply;
use harness::{Connection, Origin, Request, Sluice, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::cached;

const BODY_BYTES: u64 = 3 << 20;

#[test]
fn a_file_that_may_not_grow_costs_neither_a_client_nor_the_gateway() {
    let body = reply(200)
        .header("Cache-Control", "max-age=600")
        .pattern(BODY_BYTES);
    let origin = Origin::new().otherwise(body);
    let toml = cached(&origin, "", "").replace(
        "memory = \"16MiB\"",
        "memory = \"16MiB\"\ndisk = \"64MiB\"\npath = \"disk\"",
    );
    let mut sluice = Sluice::start(&toml);
    let pid = i32::try_from(sluice.process.id()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(BODY_BYTES / 2),
        maximum: Some(BODY_BYTES / 2),
    };
    prlimit(pid, Resource::Fsize, limit).expect("a limit may be lowered");

    let ask = || {
        let mut client = Connection::open(sluice.address());
        client.send(Request::get("/").bytes());
        let (status, framing) = client.response_head();
        assert_eq!(status, 200);
        assert_eq!(client.response_body(framing).body.length, BODY_BYTES);
    };
    wait_until("it is asked for again, because it was not kept", || {
        ask();
        origin.total() > 1
    });
    assert!(sluice.process.is_running());
}
