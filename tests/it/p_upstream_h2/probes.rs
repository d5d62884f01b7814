use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use harness::Gateway;

use super::all_to;
use super::origin::{Call, Framed, fields, head, push};
use harness::tls::Authority;

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Answers to health checks by this serving status, 0xff by an error of gRPC; other paths by 200.
fn checked(status: &Arc<AtomicU8>) -> impl Fn(Call) -> Answer + Send + Sync + 'static {
    let status = Arc::clone(status);
    move |mut call: Call| {
        let status = status.load(Ordering::SeqCst);
        Box::pin(async move {
            if call.path() != "/grpc.health.v1.Health/Check" {
                return call.reply("x").await;
            }
            let (asked, _) = call.read().await.unwrap_or_default();
            call.log
                .notes
                .lock()
                .push(String::from_utf8_lossy(&asked).into_owned());
            if status == u8::MAX {
                return call.end(head(
                    200,
                    &[("content-type", "application/grpc"), ("grpc-status", "5")],
                ));
            }
            let mut stream = call.begin(head(200, &[("content-type", "application/grpc")]));
            let _ = push(&mut stream, vec![0, 0, 0, 0, 2, 8, status].into(), false).await;
            let _ = stream.send_trailers(fields(&[("grpc-status", "0")]));
        })
    }
}

const CHECK: &str =
    "[upstreams.origin.health_check]\ninterval = \"10ms\"\nhealthy_threshold = 1\nunhealthy_threshold = 1\n";

#[test]
fn a_server_is_up_exactly_while_it_says_serving() {
    let status = Arc::new(AtomicU8::new(1));
    let origin = Framed::new(checked(&status));
    let check = format!("{CHECK}grpc_service = \"a.B\"");
    let gw = Gateway::start(&all_to(&[origin.address], &check));
    gw.wait_state("origin", origin.address, "up");
    for bad in [2, 0, u8::MAX] {
        status.store(bad, Ordering::SeqCst);
        gw.wait_state("origin", origin.address, "down");
        gw.get("/").expect(503);
        status.store(1, Ordering::SeqCst);
        gw.wait_state("origin", origin.address, "up");
        gw.get("/").expect(200);
    }
    let notes = origin.log.notes.lock();
    assert!(
        notes.iter().all(|asked| asked == "\0\0\0\0\u{5}\n\u{3}a.B"),
        "{notes:?}"
    );
}

#[test]
fn the_whole_server_is_asked_over_tls_too() {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["127.0.0.1"]);
    let showing = crate::o_tls::front::showing(&leaf, None);
    let mut config = rustls::ServerConfig::clone(&showing);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let status = Arc::new(AtomicU8::new(2));
    let origin = Framed::with(
        &h2::server::Builder::new(),
        Some(Arc::new(config)),
        checked(&status),
    );
    let lines = format!(
        "tls = {{ ca_file = {:?} }}\n{CHECK}grpc_service = \"\"",
        authority.file()
    );
    let toml = all_to(&[origin.address], &lines).replace("protocol = \"h2c\"", "protocol = \"http2\"");
    let gw = Gateway::start(&toml);
    gw.wait_state("origin", origin.address, "down");
    status.store(1, Ordering::SeqCst);
    gw.wait_state("origin", origin.address, "up");
    gw.get("/").expect(200).body("x");
    assert!(origin.log.notes.lock().iter().all(|asked| asked == "\0\0\0\0\0"));
}

#[test]
fn a_path_is_asked_for_over_http_2() {
    let origin = Framed::new(|mut call: Call| async move {
        let is_well = call.log.notes.lock().is_empty();
        let status = if call.path() != "/health" || is_well {
            200
        } else {
            503
        };
        call.end(head(status, &[]));
    });
    let gw = Gateway::start(&all_to(&[origin.address], &format!("{CHECK}path = \"/health\"")));
    gw.wait_state("origin", origin.address, "up");
    origin.log.notes.lock().push("ill".to_owned());
    gw.wait_state("origin", origin.address, "down");
}
