use std::fs;
use std::os::unix::net::UnixStream;

use harness::origin::reply;
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use crate::all_to;

#[test]
fn a_unix_listener_that_is_renamed_keeps_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("public.sock");
    let named = |name: &str| {
        format!(
            r#"
            [[listeners]]
            name = "{name}"
            address = "unix:{}"

            [[routes]]
            name = "all"
            respond = {{ status = 200 }}
            "#,
            path.display()
        )
    };
    let gw = Gateway::start(&named("one"));
    gw.reload(&named("two")).unwrap();
    assert!(UnixStream::connect(&path).is_ok());

    assert!(gw.stop());
    assert!(!path.exists());
}

#[test]
fn a_gateway_that_stops_does_not_listen_again_for_a_reload() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", reply(200).after(&gate));
    let gw = Gateway::start(&all_to(&origin));
    let (address, admin, file) = (gw.address(), gw.admin(), gw.config_file());

    let running = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    let stopping = gw.stop_apart();
    wait_until("it drains", || Connection::try_open(address).is_err());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[server.limits]\nmax_headers = 99\n")).unwrap();

    let host = admin.to_string();
    let ask = |request: Request| Connection::open(admin).ask(&request.host(&host));
    ask(Request::post("/reload", "")).expect(422);
    let status: serde_json::Value = serde_json::from_str(&ask(Request::get("/status")).text()).unwrap();
    assert_eq!(status["listeners"], serde_json::json!([]));
    gate.open();
    running.response().expect(200);
    assert!(stopping.wait());
}
