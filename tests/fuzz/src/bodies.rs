//! Chunked bodies: against a second reading of RFC 9112 §7.1, and however the bytes arrive.

use gateway::wire::chunk::{Step, write_size};
use gateway::wire::{Decoder, Length};

/// What a decoder has made of bytes.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    body: Vec<u8>,
    /// Behind the body; None if more must arrive.
    end: Option<usize>,
    is_faulty: bool,
}

/// Decodes as it comes and in pieces, compares with the plain reading, and tells it in other chunks.
pub fn target(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 3, 17] {
        assert_eq!(decode(data, step), whole, "in pieces of {step}");
    }
    if let Some(plain) = plainly(data) {
        assert_eq!(whole, plain);
    }
    if whole.end.is_some() {
        let mut told = Vec::new();
        for chunk in whole.body.chunks(5) {
            write_size(&mut told, chunk.len());
            told.extend_from_slice(chunk);
            told.extend_from_slice(b"\r\n");
        }
        told.extend_from_slice(b"0\r\n\r\n");
        let again = decode(&told, 2);
        assert_eq!((again.body, again.end), (whole.body, Some(told.len())));
    }
}

fn decode(data: &[u8], step: usize) -> Read {
    let mut decoder = Decoder::new(Length::Chunked);
    let mut read = Read {
        body: Vec::new(),
        end: None,
        is_faulty: false,
    };
    let mut steps = 0;
    for (index, piece) in data.chunks(step).enumerate() {
        let mut at = 0;
        loop {
            steps += 1;
            assert!(steps <= 2 * data.len() + 2, "the decoder goes round in circles");
            match decoder.step(piece, at) {
                Ok(Step::Data { start, end }) => {
                    assert!(at <= start && start < end && end <= piece.len());
                    read.body.extend_from_slice(&piece[start..end]);
                    at = end;
                }
                Ok(Step::More) => break,
                Ok(Step::Done { end }) => {
                    read.end = Some(index * step + end);
                    return read;
                }
                Err(_) => {
                    read.is_faulty = true;
                    return read;
                }
            }
        }
    }
    read
}

/// The same by taking the bytes apart at once; None where a trailer section needs the rules of fields.
fn plainly(data: &[u8]) -> Option<Read> {
    let mut read = Read {
        body: Vec::new(),
        end: None,
        is_faulty: false,
    };
    let mut at = 0;
    loop {
        let digits = data[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&data[at..at + digits]).ok()?;
        let is_size = digits <= 16 && u64::from_str_radix(size, 16).is_ok_and(|n| n < 1 << 63);
        at += digits;
        let Some(next) = data.get(at) else {
            read.is_faulty = digits > 0 && !is_size;
            return Some(read);
        };
        // Extensions have limits of their own.
        if *next == b';' && is_size {
            return None;
        }
        if !is_size || *next != b'\r' || data.get(at + 1).is_some_and(|b| *b != b'\n') {
            read.is_faulty = true;
            return Some(read);
        }
        let size = usize::try_from(u64::from_str_radix(size, 16).ok()?).ok()?;
        at = (at + 2).min(data.len());
        if size == 0 {
            let rest = &data[at..];
            read.end = rest.starts_with(b"\r\n").then_some(at + 2);
            let may_come = b"\r\n".starts_with(rest);
            return (may_come || read.end.is_some()).then_some(read);
        }
        let end = at.saturating_add(size).min(data.len());
        read.body.extend_from_slice(&data[at..end]);
        let is_whole = end - at == size;
        at = end;
        if !is_whole {
            return Some(read);
        }
        let ending = &data[at..data.len().min(at + 2)];
        if !b"\r\n".starts_with(ending) {
            read.is_faulty = true;
            return Some(read);
        }
        at += ending.len();
        if at == data.len() {
            return Some(read);
        }
    }
}
