//! PROXY lines, of both versions.

use std::net::{IpAddr, SocketAddr};

use gateway::config::plan::SendProxyProtocol;
use gateway::listen::preface::{Opening, PREFACE, look};
use gateway::listen::proxy_line::{Parsed, V2_BYTES_MAX, parse};
use gateway::upstream::proxy_line::{OnBehalf, ProxyLine};

/// A verdict stands however much follows; what was read can be told in both versions and read again.
pub fn target(data: &[u8]) {
    let verdict = parse(data);
    let decided = (0..=data.len())
        .map(|end| parse(&data[..end]))
        .find(|p| *p != Parsed::Partial);
    assert_eq!(decided.unwrap_or(Parsed::Partial), verdict);
    if verdict == Parsed::Partial {
        assert!(data.len() < V2_BYTES_MAX);
    }
    if let Parsed::Done {
        consumed,
        source,
        destination,
    } = verdict
    {
        assert!(consumed <= data.len() && consumed <= V2_BYTES_MAX);
        assert_eq!(parse(&data[..consumed]), verdict);
        assert_eq!(source.is_some(), destination.is_some());
        if let (Some(source), Some(destination)) = (source, destination) {
            tell(source, destination);
        }
    }
    let opening = look(data);
    let expected = match (data.starts_with(PREFACE), PREFACE.starts_with(data)) {
        (true, _) => matches!(opening, Opening::Http2),
        (false, true) => matches!(opening, Opening::Unclear),
        (false, false) => matches!(opening, Opening::Other),
    };
    assert!(expected, "{}", data.escape_ascii());
}

fn tell(source: SocketAddr, destination: SocketAddr) {
    for protocol in [SendProxyProtocol::V1, SendProxyProtocol::V2] {
        let line = ProxyLine::new(protocol, OnBehalf::Client { source, destination }).expect("it is not off");
        let Parsed::Done {
            consumed,
            source: Some(from),
            destination: Some(to),
        } = parse(line.bytes())
        else {
            panic!("{}", line.bytes().escape_ascii())
        };
        assert_eq!(consumed, line.bytes().len());
        assert_eq!((plain(from), plain(to)), (plain(source), plain(destination)));
    }
}

/// Two ways to write the same address of IPv4.
fn plain(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}
