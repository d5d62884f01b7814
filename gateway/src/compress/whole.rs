//! A body that is in memory as a whole and will be sent many times.

use crate::config::plan::Coding;

use super::encoder::{Effort, Encoder};

/// A compressed form is worth keeping if it is smaller by this much: less does not pay for a second object in memory
/// and the client's work. Text that cannot do it was compressed before, or is very short.
pub const GAIN_MIN_PERCENT: usize = 5;

/// Longer bodies are not compressed in one go: at about 30 ms a MiB it would hold its thread for half a second.
pub const WHOLE_BYTES_MAX: usize = 16 << 20;

/// The compressed form of a whole body, with [`Effort::Best`]; None where it is not worth it: not
/// [`GAIN_MIN_PERCENT`] smaller, longer than [`WHOLE_BYTES_MAX`], or the library failed.
///
/// Not for a worker's thread: 100 KiB take 2 to 3 ms.
pub fn compress_whole(body: &[u8], coding: Coding) -> Option<Vec<u8>> {
    if body.len() > WHOLE_BYTES_MAX {
        return None;
    }
    let worth_bytes = body.len() - body.len() * GAIN_MIN_PERCENT / 100;
    let mut out = Vec::with_capacity(body.len() / 3);
    let mut encoder = Encoder::new(coding, Effort::Best, Some(body.len() as u64)).ok()?;
    encoder.write(body, &mut out).ok()?;
    encoder.finish(&mut out).ok()?;
    if out.is_empty() || out.len() >= worth_bytes {
        return None;
    }
    out.shrink_to_fit();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::decode::decoded;
    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

    #[test]
    fn a_body_comes_out_smaller_and_as_it_was() {
        let body = "<li class=\"item\">one of many</li>\n".repeat(9_000);
        for coding in ALL {
            let small = compress_whole(body.as_bytes(), coding).unwrap();
            assert!(small.len() < body.len() / 50);
            assert_eq!(decoded(coding, &small), body.as_bytes());
        }
    }

    #[test]
    fn what_hardly_shrinks_or_is_too_long_is_not_kept() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..40_000).map(|_| random.u8(..)).collect();
        // 3 % of it repeats: smaller, but not by enough.
        let nearly = [&noise[..], &noise[..1_200]].concat();
        let long = vec![0; WHOLE_BYTES_MAX + 1];
        for coding in ALL {
            for body in [&noise, &nearly, &long, &b"abc".to_vec(), &Vec::new()] {
                assert_eq!(compress_whole(body, coding), None, "{coding:?}, {}", body.len());
            }
            // 40 % of it repeats, and for gzip near enough.
            let worth = [&noise[..20_000], &noise[..14_000]].concat();
            assert!(compress_whole(&worth, coding).is_some(), "{coding:?}");
        }
    }
}
