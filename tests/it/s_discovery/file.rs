//! By a file.

use std::net::SocketAddr;
use std::path::Path;

use harness::{Gateway, Request};
use serde_json::Value;

use super::{addresses, app, origins, wait_addresses, wait_source};

/// Writes beside the file and renames, as whoever writes such files should.
fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).expect("the play's folder can be written");
    std::fs::rename(&fresh, path).expect("within a folder, renaming works");
}

fn json(addresses: &[SocketAddr]) -> String {
    let line = |address: &SocketAddr| format!(r#"{{ "address": "{address}" }}"#);
    let lines: Vec<_> = addresses.iter().map(line).collect();
    format!("[{}]", lines.join(", "))
}

fn by_file(path: &Path) -> String {
    format!("discover = {{ file = {:?} }}", path.display().to_string())
}

#[test]
fn a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let [a, b] = origins();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("servers.json");
    write(&path, &json(&[a.address()]));
    let gw = Gateway::start(&app(&by_file(&path)));
    wait_addresses(&gw, &[a.address()]);
    gw.get("/").expect(200);

    write(&path, &json(&[a.address(), b.address()]));
    wait_addresses(&gw, &[a.address(), b.address()]);
    for bad in ["[{ \"address\": 1 }]", "nonsense", "[]"] {
        write(&path, bad);
        wait_source(&gw, "failing");
        assert_eq!(addresses(&gw).len(), 2, "{bad}");
        write(&path, &json(&[a.address(), b.address()]));
        wait_source(&gw, "ok");
    }
    write(&path, &json(&[b.address()]));
    wait_addresses(&gw, &[b.address()]);
}

#[test]
fn a_file_that_is_not_there_yet_holds_up_nobody_and_is_read_when_it_comes() {
    let [a] = origins();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("servers.toml");
    let gw = Gateway::start(&app(&by_file(&path)));
    wait_source(&gw, "waiting");
    gw.get("/").expect(503);
    let question = Request::post("/explain", r#"{ "url": "http://a.test/" }"#);
    let explained: Value = serde_json::from_str(&gw.ask_admin(&question).text()).unwrap();
    assert_eq!(explained["reason"], "not_discovered", "{explained:#}");

    let toml = format!(
        "[[servers]]\naddress = \"{}\"\nweight = 7\nbackup = true\n",
        a.address()
    );
    write(&path, &toml);
    wait_addresses(&gw, &[a.address()]);
    let server = gw.server("app", a.address());
    assert_eq!(
        (server["weight"].as_u64(), server["backup"].as_bool()),
        (Some(7), Some(true))
    );
    gw.get("/").expect(200);
}
