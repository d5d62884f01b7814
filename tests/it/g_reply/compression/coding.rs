//! What a client does with a coded body.

use std::io::{Read, Write};

/// A complete body. Fails if its end is missing.
#[track_caller]
pub fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    try_decoded(coding, bytes).unwrap_or_else(|| panic!("no complete {coding} in {} bytes", bytes.len()))
}

/// A complete body; None if its end is missing or something follows it.
pub fn try_decoded(coding: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match coding {
        "br" => {
            let mut rest = bytes;
            brotli::BrotliDecompress(&mut rest, &mut body).ok()?;
        }
        "gzip" => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            decoder.read_to_end(&mut body).ok()?;
            if !decoder.into_inner().is_empty() {
                return None;
            }
        }
        "zstd" => body = zstd::stream::decode_all(bytes).ok()?,
        other => panic!("nobody has asked for {other}"),
    }
    Some(body)
}

/// What can be read of the first bytes of a body by a client that waits for more.
pub fn decoded_so_far(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "br" => {
            // It gives out what it has before it complains that there is no more.
            let mut decoder = brotli::Decompressor::new(bytes, 4096);
            let (mut read, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = decoder.read(&mut piece) {
                read.extend_from_slice(&piece[..count]);
            }
            read
        }
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(Vec::new());
            decoder.write_all(bytes).expect("what has come is well formed");
            decoder.flush().expect("a vector takes everything");
            decoder.get_ref().clone()
        }
        "zstd" => {
            let mut decoder =
                zstd::stream::write::Decoder::new(Vec::new()).expect("there is memory for a decoder");
            decoder.write_all(bytes).expect("what has come is well formed");
            decoder.flush().expect("a vector takes everything");
            decoder.get_ref().clone()
        }
        other => panic!("nobody has asked for {other}"),
    }
}
