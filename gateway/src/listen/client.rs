//! Who a request comes from, behind the proxies we trust.

use std::net::IpAddr;

use crate::kit::host;
use crate::kit::networks::Networks;
use crate::wire::{Fields, Name};

/// Longest request id taken over from a trusted proxy, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The client's address: the peer, or what trusted proxies say; None where nobody says anything.
///
/// X-Forwarded-For is read from the right, because each proxy appends what it has seen: the first address
/// that is not itself a trusted proxy is the last one that somebody we trust has vouched for. An entry that
/// is no address ends the reading.
///
/// A peer without address is a Unix socket's, and trusted: whoever reaches it was let in by the operator.
pub fn address(peer: Option<IpAddr>, fields: &Fields, trusted: &Networks) -> Option<IpAddr> {
    let mut client = peer;
    if peer.is_some_and(|peer| !trusted.contains(peer)) {
        return client;
    }
    let chain: Vec<&[u8]> = fields.tokens(Name::XForwardedFor).collect();
    for entry in chain.into_iter().rev() {
        let Some(address) = parse_address(entry) else {
            break;
        };
        client = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

/// The request id of a trusted proxy, if it is fit to stand in a log, a field and a page.
pub fn request_id(fields: &Fields) -> Option<&str> {
    let id = fields.first(Name::XRequestId)?;
    // It stands in pages and in quoted log values too, and most proxies pass on what a client made up.
    let is_plain = |b: &u8| b.is_ascii_graphic() && !b"\"&'<>\\`".contains(b);
    let is_fit = !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.iter().all(is_plain);
    is_fit.then(|| std::str::from_utf8(id).ok()).flatten()
}

/// An address, with or without port, IPv6 with or without brackets.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = |t: &str| t.parse::<IpAddr>().ok();
    let (name, _) = host::split_port(text).unwrap_or((text, None));
    bare(text)
        .or_else(|| bare(name.trim_start_matches('[').trim_end_matches(']')))
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::networks;

    fn client(peer: &str, chain: &[&str]) -> String {
        let trusted = Networks::new(["10.0.0.0/8", "::1"].map(|n| networks::parse(n).unwrap()));
        let mut fields = Fields::default();
        chain
            .iter()
            .for_each(|v| fields.push(b"X-Forwarded-For", v.as_bytes()));
        address(peer.parse().ok(), &fields, &trusted).unwrap().to_string()
    }

    #[test]
    fn only_what_trusted_proxies_vouch_for_is_believed() {
        assert_eq!(client("1.1.1.1", &["9.9.9.9"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &["9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["8.8.8.8, 9.9.9.9, 10.0.0.2"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["8.8.8.8", "9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client("10.0.0.1", &["9.9.9.9, unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        // What the client itself has written must not swallow what our proxy has appended to it.
        assert_eq!(client("10.0.0.1", &["\"8.8.8.8, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("a Unix socket", &["9.9.9.9, 10.0.0.2"]), "9.9.9.9");
        assert_eq!(
            client("::1", &["[2001:db8::1]:443, ::ffff:10.0.0.4, 10.0.0.5:99"]),
            "2001:db8::1"
        );
    }

    #[test]
    fn an_id_that_is_not_fit_for_a_log_or_a_page_is_not_taken() {
        let mut fields = Fields::default();
        fields.push(b"X-Request-ID", b"a b");
        assert_eq!(request_id(&fields), None);
        fields.clear();
        fields.push(b"X-Request-ID", b"<script>");
        assert_eq!(request_id(&fields), None);
        fields.clear();
        fields.push(b"X-Request-ID", b"abc-1");
        assert_eq!(request_id(&fields), Some("abc-1"));
    }
}
