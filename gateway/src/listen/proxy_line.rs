//! The PROXY protocol, versions 1 and 2, as a balancer in front speaks it: who the client is, before the first byte.
//!
//! Pure: bytes as they have arrived in, a verdict out. Whether the peer is believed is not decided here. Sections are
//! those of HAProxy's specification.

mod crc32c;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a line of version 1 (§2.1): "a 108-byte buffer is always enough", with a zero behind it.
pub const V1_BYTES_MAX: usize = 107;

/// Bytes of what balancers add to addresses in version 2: certificates and names of clients, which nobody reads here.
pub const TLV_BYTES_MAX: usize = 4 * 1_024;

/// Bytes of a header of version 2: what every network carries in one piece (§2: 536), and additions.
pub const V2_BYTES_MAX: usize = 536 + TLV_BYTES_MAX;

/// How version 1 begins.
const V1_START: &[u8] = b"PROXY";
/// How version 2 begins: no other protocol does (§2.2).
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// With version, command, family and length.
const V2_FIXED_BYTES: usize = 16;

/// What has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// So far it may become one: more bytes are needed.
    Partial,
    /// It is whole.
    Done {
        /// Bytes of it; what follows is the client's.
        consumed: usize,
        /// Who the client is; None if the balancer does not say, or speaks for itself: then it is the peer.
        source: Option<SocketAddr>,
        /// Whom the client has connected to.
        destination: Option<SocketAddr>,
    },
    /// It is none. The connection is to be closed.
    Fault(ProxyFault),
}

/// Why bytes are no PROXY line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// They begin like neither version.
    NotProxy,
    /// The line does not end where it must, or the header has more bytes than [`V2_BYTES_MAX`].
    TooLong,
    /// The line has other parts than it should.
    Line,
    /// Version 2 of something: the second half of it is not 2.
    Version(u8),
    /// A command that is neither LOCAL nor PROXY.
    Command(u8),
    /// A family or transport that does not exist.
    Family(u8),
    /// Addresses or additions have more bytes than the header.
    CutShort,
    /// The checksum is another one: the header was changed on its way.
    Checksum,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProxy => f.write_str("PROXY: the connection does not begin with a PROXY line"),
            Self::TooLong => f.write_str("PROXY: the line or header is too long"),
            Self::Line => f.write_str("PROXY: the line is not one of version 1"),
            Self::Version(version) => write!(f, "PROXY: version {version} is not known"),
            Self::Command(command) => write!(f, "PROXY: command {command} is not known"),
            Self::Family(family) => write!(f, "PROXY: family and transport {family:#04x} are not known"),
            Self::CutShort => f.write_str("PROXY: the header is shorter than what is in it"),
            Self::Checksum => f.write_str("PROXY: the checksum of the header is wrong"),
        }
    }
}

impl std::error::Error for ProxyFault {}

/// Reads a line or header from the first bytes of a connection. `bytes` are all that have arrived; cheap to ask again.
pub fn parse(bytes: &[u8]) -> Parsed {
    let verdict = if bytes.first() == V2_START.first() {
        v2(bytes)
    } else {
        v1(bytes)
    };
    match verdict {
        Ok(None) => Parsed::Partial,
        Ok(Some(told)) => Parsed::Done {
            consumed: told.consumed,
            source: told.addresses.map(|(source, _)| source),
            destination: told.addresses.map(|(_, destination)| destination),
        },
        Err(fault) => Parsed::Fault(fault),
    }
}

struct Told {
    consumed: usize,
    /// Source and destination.
    addresses: Option<(SocketAddr, SocketAddr)>,
}

/// Whether the bytes begin like this, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let n = bytes.len().min(start.len());
    bytes[..n] == start[..n]
}

fn v1(bytes: &[u8]) -> Result<Option<Told>, ProxyFault> {
    if !begins(bytes, V1_START) {
        return Err(ProxyFault::NotProxy);
    }
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() >= V1_BYTES_MAX {
            Err(ProxyFault::TooLong)
        } else {
            Ok(None)
        };
    };
    match window.get(end..end + 2) {
        Some(b"\r\n") => {}
        Some(_) => return Err(ProxyFault::Line),
        None if window[end] == b'\n' => return Err(ProxyFault::Line),
        None if window.len() == V1_BYTES_MAX => return Err(ProxyFault::TooLong),
        None => return Ok(None),
    }
    let line = str::from_utf8(&window[..end]).map_err(|_| ProxyFault::Line)?;
    Ok(Some(Told {
        consumed: end + 2,
        addresses: v1_addresses(line).ok_or(ProxyFault::Line)?,
    }))
}

/// What a line says; None if it is none. §2.1: "exactly one space" between its parts.
fn v1_addresses(line: &str) -> Option<Option<(SocketAddr, SocketAddr)>> {
    let mut parts = line.split(' ');
    if parts.next() != Some("PROXY") {
        return None;
    }
    let is_v4 = match parts.next()? {
        "TCP4" => true,
        "TCP6" => false,
        // §2.1: "the receiver must ignore anything presented before the CRLF is found".
        "UNKNOWN" => return Some(None),
        _ => return None,
    };
    let mut address = || -> Option<IpAddr> {
        let text = parts.next()?;
        if is_v4 {
            text.parse().ok().map(IpAddr::V4)
        } else {
            text.parse().ok().map(IpAddr::V6)
        }
    };
    let (source, destination) = (address()?, address()?);
    let (source_port, destination_port) = (port(parts.next()?)?, port(parts.next()?)?);
    parts.next().is_none().then_some(Some((
        SocketAddr::new(source, source_port),
        SocketAddr::new(destination, destination_port),
    )))
}

/// §2.1: "Leading zeroes are not permitted".
fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_number { text.parse().ok() } else { None }
}

fn v2(bytes: &[u8]) -> Result<Option<Told>, ProxyFault> {
    if !begins(bytes, V2_START) {
        return Err(ProxyFault::NotProxy);
    }
    // Each of them is looked at as soon as it is there: who means something else learns it at once.
    let is_local = match bytes.get(12) {
        None => return Ok(None),
        Some(byte) if byte >> 4 != 2 => return Err(ProxyFault::Version(byte >> 4)),
        Some(byte) => match byte & 0x0f {
            0 => true,
            1 => false,
            command => return Err(ProxyFault::Command(command)),
        },
    };
    let kind = match bytes.get(13) {
        None => return Ok(None),
        // §2.2: "must be rejected as invalid by receivers".
        Some(byte) if byte >> 4 > 3 || byte & 0x0f > 2 => return Err(ProxyFault::Family(*byte)),
        Some(byte) => *byte,
    };
    let Some(length) = bytes.get(14..V2_FIXED_BYTES) else {
        return Ok(None);
    };
    let consumed = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if consumed > V2_BYTES_MAX {
        return Err(ProxyFault::TooLong);
    }
    let Some(whole) = bytes.get(..consumed) else {
        return Ok(None);
    };
    // §2.2, LOCAL: "the receiver must accept the connection as valid and must use the real connection endpoints".
    let addresses = if is_local {
        None
    } else {
        v2_addresses(whole, kind)?
    };
    Ok(Some(Told { consumed, addresses }))
}

fn v2_addresses(whole: &[u8], kind: u8) -> Result<Option<(SocketAddr, SocketAddr)>, ProxyFault> {
    let content = &whole[V2_FIXED_BYTES..];
    let address_bytes = match kind >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        // Two names of sockets, of 108 bytes each.
        _ => 216,
    };
    let (block, _) = content
        .split_at_checked(address_bytes)
        .ok_or(ProxyFault::CutShort)?;
    additions(whole, V2_FIXED_BYTES + address_bytes)?;
    // What is not a stream of the internet is accepted, and says nothing of use (§2.2).
    Ok(match kind {
        0x11 => pair(block, |bytes| {
            <[u8; 4]>::try_from(bytes).ok().map(|b| Ipv4Addr::from(b).into())
        }),
        0x21 => pair(block, |bytes| {
            <[u8; 16]>::try_from(bytes).ok().map(|b| Ipv6Addr::from(b).into())
        }),
        _ => None,
    })
}

/// Source, destination, and the port of each.
fn pair(block: &[u8], address: impl Fn(&[u8]) -> Option<IpAddr>) -> Option<(SocketAddr, SocketAddr)> {
    let (addresses, ports) = block.split_at_checked(block.len().checked_sub(4)?)?;
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some((
        SocketAddr::new(address(source)?, port(0)),
        SocketAddr::new(address(destination)?, port(2)),
    ))
}

/// Walks over the additions (type, length, value; §2.2), of which only the checksum is looked at.
fn additions(whole: &[u8], mut at: usize) -> Result<(), ProxyFault> {
    const CRC32C: u8 = 0x03;
    while at < whole.len() {
        let head = whole.get(at..at + 3).ok_or(ProxyFault::CutShort)?;
        let value = at + 3..at + 3 + usize::from(u16::from_be_bytes([head[1], head[2]]));
        let bytes = whole.get(value.clone()).ok_or(ProxyFault::CutShort)?;
        if head[0] == CRC32C {
            let told = <[u8; 4]>::try_from(bytes).map_err(|_| ProxyFault::Checksum)?;
            // §2.2.3: over the whole header, with zeros in place of the checksum itself.
            let parts = [&whole[..value.start], &[0; 4], &whole[value.end..]];
            if crc32c::of(parts) != u32::from_be_bytes(told) {
                return Err(ProxyFault::Checksum);
            }
        }
        at = value.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
