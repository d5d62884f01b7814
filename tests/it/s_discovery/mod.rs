mod consul;
mod dns;
mod file;
mod reloads;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use harness::names::NameServer;
use harness::origin::reply;
use harness::{Gateway, Origin, wait_until};
use serde_json::Value;

/// A name of SRV records: the only ones that have ports, and servers of plays differ by them.
const SERVICE: &str = "_http._tcp.app.internal";

/// One upstream "app" with these lines, and everything goes to it.
fn app(lines: &str) -> String {
    format!(
        r#"
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"

        [upstreams.app]
        {lines}
        "#
    )
}

/// `discover = …` that asks this server of names for [`SERVICE`], as often as it goes.
fn by_dns(names: &NameServer) -> String {
    format!(
        r#"discover = {{ dns = "{SERVICE}", resolver = "{}", interval = "20ms" }}"#,
        names.address()
    )
}

/// The records of [`SERVICE`] from now on: each origin with its priority.
fn set_services(names: &NameServer, origins: &[(&Origin, u16)]) {
    names.set_addresses("host.app.internal", 0, &["127.0.0.1"]);
    let record =
        |(origin, priority): &(&Origin, u16)| (*priority, 1, origin.address().port(), "host.app.internal");
    let records: Vec<_> = origins.iter().map(record).collect();
    names.set_services(SERVICE, 0, &records);
}

/// The addresses `/status` shows for "app".
fn addresses(gw: &Gateway) -> BTreeSet<String> {
    let servers = gw.desk().servers("app");
    let address = |server: &Value| server["address"].as_str().expect("it has one").to_owned();
    servers.iter().map(address).collect()
}

#[track_caller]
fn wait_addresses(gw: &Gateway, wanted: &[SocketAddr]) {
    let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
    wait_until(&format!("the servers are {wanted:?}"), || addresses(gw) == wanted);
}

/// Waits until `/status` says that the source is in this state.
#[track_caller]
fn wait_source(gw: &Gateway, state: &str) {
    wait_until(&format!("the source is {state}"), || {
        gw.status()["upstreams"]["app"]["discovery"]["state"] == state
    });
}

fn origins<const N: usize>() -> [Origin; N] {
    [(); N].map(|()| Origin::new().otherwise(reply(200)))
}
