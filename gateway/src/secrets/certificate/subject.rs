//! Who a certificate is for, as text (RFC 4514).

use std::fmt::Write as _;

use super::fields::Fields;
use crate::secrets::der::{OBJECT, Reader, SEQUENCE, SET};

/// Bytes of the text. One that is longer is told as none: cut short, it could be somebody else's.
const BYTES_MAX: usize = 2_048;

/// Types of attributes that have a short name (RFC 4514 §3; the last one as everybody writes it).
const SHORT: &[(&[u8], &str)] = &[
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01],
        "UID",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
];

/// The subject of a certificate in DER: "CN=anna,O=Example". In ASCII without controls, so that a field can hold it.
///
/// None if it is no certificate, or its subject is too long or written in an odd way.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let fields = Fields::read(certificate)?;
    let mut names = Reader::new(Reader::new(fields.subject).content(SEQUENCE)?);
    let mut parts = Vec::new();
    while !names.is_empty() {
        parts.push(relative(names.content(SET)?)?);
    }
    // RFC 4514 §2.1: "starting with the last element of the sequence and moving backwards toward the first".
    parts.reverse();
    let text = parts.join(",");
    (text.len() <= BYTES_MAX).then_some(text)
}

/// One relative name: an attribute, or several joined by "+".
fn relative(set: &[u8]) -> Option<String> {
    let mut set = Reader::new(set);
    let mut parts = Vec::new();
    while !set.is_empty() {
        let mut pair = Reader::new(set.content(SEQUENCE)?);
        let kind = pair.content(OBJECT)?;
        let (tag, value, whole) = pair.element()?;
        let short = SHORT.iter().find(|(known, _)| *known == kind);
        let mut part = String::new();
        match (short, text(tag, value)) {
            (Some((_, name)), Some(value)) => {
                part.push_str(name);
                part.push('=');
                escape(&value, &mut part);
            }
            // RFC 4514 §2.4: a type without a short name, or a value without a string: its DER in hexadecimal.
            (short, _) => {
                match short {
                    Some((_, name)) => part.push_str(name),
                    None => part.push_str(&dotted(kind)?),
                }
                part.push_str("=#");
                whole
                    .iter()
                    .try_for_each(|byte| write!(part, "{byte:02x}"))
                    .ok()?;
            }
        }
        parts.push(part);
    }
    Some(parts.join("+"))
}

/// The text of a string of ASN.1; None if it is another kind of value.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const TELETEX: u8 = 0x14;
    const IA5: u8 = 0x16;
    const BMP: u8 = 0x1e;
    match tag {
        UTF8 | PRINTABLE | IA5 => String::from_utf8(value.to_vec()).ok(),
        // In use it is Latin-1, whatever the standard says.
        TELETEX => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        BMP => {
            let units = value
                .chunks(2)
                .map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
        }
        _ => None,
    }
}

/// RFC 4514 §2.4. What is not printable ASCII is written by its bytes, as that section allows.
fn escape(value: &str, out: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = byte == b' ' && (at == 0 || at == last) || byte == b'#' && at == 0;
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => out.extend(['\\', char::from(byte)]),
            _ if is_edge => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\{byte:02X}").expect("a string takes every write"),
        }
    }
}

/// "2.5.4.3"
fn dotted(object: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for byte in object {
        arc = arc.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    let first = arcs.first()?;
    let root = (first / 40).min(2);
    let mut text = format!("{root}.{}", first - root * 40);
    for arc in &arcs[1..] {
        write!(text, ".{arc}").ok()?;
    }
    Some(text)
}
