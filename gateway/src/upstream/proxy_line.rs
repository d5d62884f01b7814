//! The PROXY protocol as servers are told by it who the client is, before the first byte.
//!
//! A connection that began so belongs to its client: it must not be used for another one's requests.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::config::plan::SendProxyProtocol;

/// The longest of version 1 has 104 bytes, with two addresses of IPv6.
const BYTES_MAX: usize = 107;

/// On whose behalf a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBehalf {
    /// Of a client, known by its address and the one it has connected to.
    Client {
        /// The client.
        source: SocketAddr,
        /// Where it came in.
        destination: SocketAddr,
    },
    /// Of a client without an address, as one of a socket of the file system.
    Nameless,
    /// Of nobody: a probe.
    Ourselves,
}

/// What a connection begins with.
#[derive(Clone, Copy)]
pub struct ProxyLine {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl ProxyLine {
    /// None if servers are told nothing.
    pub fn new(protocol: SendProxyProtocol, behalf: OnBehalf) -> Option<Self> {
        let mut line = Self {
            bytes: [0; BYTES_MAX],
            length: 0,
        };
        match protocol {
            SendProxyProtocol::Off => return None,
            SendProxyProtocol::V1 => line.v1(behalf),
            SendProxyProtocol::V2 => line.v2(behalf),
        }
        Some(line)
    }

    /// To be sent as they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn v1(&mut self, behalf: OnBehalf) {
        let Some((source, destination)) = alike(behalf) else {
            // §2.1: for a connection that is not relayed, or not of TCP.
            return self.push(b"PROXY UNKNOWN\r\n");
        };
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (from, to) = (source.ip(), destination.ip());
        let (from_port, to_port) = (source.port(), destination.port());
        let mut rest = &mut self.bytes[..];
        write!(rest, "PROXY {family} {from} {to} {from_port} {to_port}\r\n")
            .expect("two addresses of IPv6 and two ports fit");
        self.length = BYTES_MAX - rest.len();
    }

    fn v2(&mut self, behalf: OnBehalf) {
        const LOCAL: u8 = 0x20;
        const PROXY: u8 = 0x21;
        const UNSPECIFIED: u8 = 0x00;
        const TCP_OVER_IPV4: u8 = 0x11;
        const TCP_OVER_IPV6: u8 = 0x21;
        self.push(b"\r\n\r\n\0\r\nQUIT\n");
        let Some((source, destination)) = alike(behalf) else {
            let command = if behalf == OnBehalf::Ourselves {
                LOCAL
            } else {
                PROXY
            };
            return self.push(&[command, UNSPECIFIED, 0, 0]);
        };
        match source.ip() {
            IpAddr::V4(_) => self.push(&[PROXY, TCP_OVER_IPV4, 0, 12]),
            IpAddr::V6(_) => self.push(&[PROXY, TCP_OVER_IPV6, 0, 36]),
        }
        for address in [source, destination] {
            match address.ip() {
                IpAddr::V4(ip) => self.push(&ip.octets()),
                IpAddr::V6(ip) => self.push(&ip.octets()),
            }
        }
        self.push(&source.port().to_be_bytes());
        self.push(&destination.port().to_be_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// Both addresses in one family, as the protocol has no mixed ones: in that of IPv4 if both have such an address.
fn alike(behalf: OnBehalf) -> Option<(SocketAddr, SocketAddr)> {
    let OnBehalf::Client { source, destination } = behalf else {
        return None;
    };
    let (from, to) = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    };
    Some((
        SocketAddr::new(from, source.port()),
        SocketAddr::new(to, destination.port()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: SendProxyProtocol, source: &str, destination: &str) -> Vec<u8> {
        let behalf = OnBehalf::Client {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        ProxyLine::new(protocol, behalf).unwrap().bytes().to_vec()
    }

    fn text(source: &str, destination: &str) -> String {
        String::from_utf8(written(SendProxyProtocol::V1, source, destination)).unwrap()
    }

    #[test]
    fn version_1_is_a_line_of_text() {
        assert_eq!(
            text("192.0.2.1:56324", "198.51.100.2:443"),
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
        );
        assert_eq!(
            text("[2001:db8::1]:1", "[::1]:2"),
            "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"
        );
        assert_eq!(
            text("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:2"),
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        );
        assert_eq!(
            text("192.0.2.1:1", "[2001:db8::1]:2"),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n"
        );
        let long = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert_eq!(text(long, long).len(), 104);
    }

    #[test]
    fn version_2_is_a_header_in_binary() {
        let expected = [
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"[..],
            &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 1, 187],
        ];
        let told = written(SendProxyProtocol::V2, "192.0.2.1:56324", "198.51.100.2:443");
        assert_eq!(told, expected.concat());
        assert_eq!(
            written(SendProxyProtocol::V2, "[::1]:1", "[::1]:2").len(),
            16 + 36
        );
    }

    #[test]
    fn where_there_is_no_client_with_an_address_none_is_told() {
        let told = |protocol, behalf| ProxyLine::new(protocol, behalf).map(|line| line.bytes().to_vec());
        for behalf in [OnBehalf::Nameless, OnBehalf::Ourselves] {
            assert_eq!(told(SendProxyProtocol::V1, behalf).unwrap(), b"PROXY UNKNOWN\r\n");
            assert_eq!(told(SendProxyProtocol::Off, behalf), None);
        }
        let ends = |behalf| told(SendProxyProtocol::V2, behalf).unwrap()[12..].to_vec();
        assert_eq!(ends(OnBehalf::Nameless), [0x21, 0, 0, 0]);
        assert_eq!(ends(OnBehalf::Ourselves), [0x20, 0, 0, 0]);
    }
}
