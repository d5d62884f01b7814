/// A server with TLS in front of a scripted origin.
pub(crate) mod front;
/// Which certificate a client is shown, and when it is another one.
mod listeners;
/// Certificates that come by themselves.
mod ordered;
/// An authority that signs by ACME.
pub(crate) mod pebble;
/// Who the client is, said by whoever stands in front.
mod proxied;
/// Clients that come back.
mod returning;
/// What servers are told before the first byte.
mod told;
/// TLS towards servers.
mod upstreams;
/// Certificates of clients.
mod visitors;

use harness::tls as client;
use harness::{Gateway, Origin};

use self::client::{Authority, Leaf};

/// `[certificates.NAME]` for a leaf that lies in its folder.
fn certificate(name: &str, leaf: &Leaf, domains: &str) -> String {
    let (cert, key) = leaf.files();
    format!("[certificates.{name}]\ndomains = [{domains}]\ncert_file = {cert:?}\nkey_file = {key:?}\n")
}

/// A gateway with one TLS listener for `a.test`, whose route all requests to this origin; `lines` belong to the listener.
fn tls_before(origin: &Origin, leaf: &Leaf, lines: &str) -> String {
    format!(
        "{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"a\"]\n{lines}\n{}",
        certificate("a", leaf, "\"a.test\""),
        crate::all_to(origin)
    )
}

/// Connections refused for this reason.
fn refused(gw: &Gateway, reason: &str) -> f64 {
    gw.metrics()
        .sum("sluice_connections_refused_total", &[("reason", reason)])
}

/// Waits until so many connections have been refused for this reason.
#[track_caller]
fn wait_refused(gw: &Gateway, reason: &str, n: u32) {
    harness::wait_until(&format!("{n} were refused for {reason}"), || {
        refused(gw, reason) == f64::from(n)
    });
}

/// An authority and a leaf of it for `a.test` and 127.0.0.1.
fn authority_and_leaf() -> (Authority, Leaf) {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test", "127.0.0.1"]);
    (authority, leaf)
}
