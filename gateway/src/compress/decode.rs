//! What a client does with a compressed body, for tests.

use std::io::{Read, Write};

use crate::config::plan::Coding;

/// What can be read of the first bytes of a body, as a client reads them that waits for more.
pub fn decoded_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Brotli => {
            // It reads on until the input ends, gives out what it has, and then complains.
            let mut decoder = brotli::Decompressor::new(bytes, 4096);
            let (mut read, mut piece) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = decoder.read(&mut piece) {
                read.extend_from_slice(&piece[..count]);
            }
            read
        }
        Coding::Gzip => {
            let mut decoder = flate2::write::GzDecoder::new(Vec::new());
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
        Coding::Zstd => {
            let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
            decoder.write_all(bytes).unwrap();
            decoder.flush().unwrap();
            decoder.get_ref().clone()
        }
    }
}

/// A complete body; None if its end is missing, or something follows it.
pub fn try_decoded(coding: Coding, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match coding {
        Coding::Brotli => {
            brotli::BrotliDecompress(&mut &bytes[..], &mut body).ok()?;
        }
        Coding::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            decoder.read_to_end(&mut body).ok()?;
            if !decoder.into_inner().is_empty() {
                return None;
            }
        }
        Coding::Zstd => body = zstd::stream::decode_all(bytes).ok()?,
    }
    Some(body)
}

/// A complete body.
pub fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    try_decoded(coding, bytes).expect("a complete body")
}
