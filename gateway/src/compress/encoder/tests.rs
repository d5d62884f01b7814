use proptest::prelude::*;

use super::super::decode::{decoded, decoded_so_far, try_decoded};
use super::*;

const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

fn text(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = Vec::new();
    while text.len() < bytes {
        let row = format!(
            "{{\"id\":{},\"name\":\"row {}\"}},\n",
            random.u32(..),
            random.u8(..20)
        );
        text.extend_from_slice(row.as_bytes());
    }
    text.truncate(bytes);
    text
}

fn encoded(coding: Coding, effort: Effort, expected: Option<u64>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(coding, effort, expected).unwrap();
    encoder.write(body, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out
}

#[test]
fn bodies_of_all_lengths_come_back_whatever_length_was_expected() {
    for coding in ALL {
        for effort in [Effort::Fast, Effort::Best] {
            for length in [0, 1, 100, 16 << 10, (128 << 10) + 1, 600_000] {
                let body = text(length);
                for expected in [None, Some(0), Some(length as u64), Some(u64::MAX)] {
                    let out = encoded(coding, effort, expected, &body);
                    assert_eq!(decoded(coding, &out), body, "{coding:?} {effort:?} {length}");
                }
            }
        }
    }
}

#[test]
fn text_gets_smaller_and_noise_hardly_larger() {
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..200_000).map(|_| random.u8(..)).collect();
    for coding in ALL {
        let out = encoded(coding, Effort::Fast, None, &text(200_000));
        assert!(out.len() < 80_000, "{coding:?}: {}", out.len());
        assert!(
            encoded(coding, Effort::Fast, None, &noise).len() < 201_000,
            "{coding:?}"
        );
    }
}

#[test]
fn a_body_without_its_end_is_noticed() {
    for coding in ALL {
        let out = encoded(coding, Effort::Fast, None, &text(50_000));
        for missing in 1..8 {
            assert_eq!(
                try_decoded(coding, &out[..out.len() - missing]),
                None,
                "{coding:?} {missing}"
            );
        }
        let mut out = Vec::new();
        let mut encoder = Encoder::new(coding, Effort::Fast, None).unwrap();
        encoder.write(&text(50_000), &mut out).unwrap();
        encoder.flush(&mut out).unwrap();
        drop(encoder);
        assert_eq!(decoded_so_far(coding, &out).len(), 50_000, "{coding:?}");
        assert_eq!(try_decoded(coding, &out), None, "{coding:?}");
    }
}

#[test]
fn flushing_again_and_again_adds_next_to_nothing() {
    for coding in ALL {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(coding, Effort::Fast, None).unwrap();
        encoder.flush(&mut out).unwrap();
        encoder.write(b"a line\n", &mut out).unwrap();
        for _ in 0..100 {
            encoder.flush(&mut out).unwrap();
        }
        assert!(out.len() < 700, "{coding:?}: {}", out.len());
        assert_eq!(decoded_so_far(coding, &out), b"a line\n");
        encoder.finish(&mut out).unwrap();
        assert_eq!(decoded(coding, &out), b"a line\n");
    }
}

#[test]
fn what_was_in_the_output_stays_there() {
    for coding in ALL {
        let mut out = b"a chunk's head".to_vec();
        out.shrink_to_fit();
        let mut encoder = Encoder::new(coding, Effort::Fast, None).unwrap();
        encoder.write(&text(70_000), &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        let body = out.strip_prefix(b"a chunk's head").unwrap();
        assert_eq!(decoded(coding, body), text(70_000));
    }
}

#[test]
fn the_window_is_one_that_every_browser_has_memory_for() {
    // RFC 8878 §3.1.1.1.2: the window descriptor, where the frame is not a single segment.
    for effort in [Effort::Fast, Effort::Best] {
        let out = encoded(Coding::Zstd, effort, None, &text(3 << 20));
        assert_eq!(out[4] & 0x20, 0, "not a single segment");
        let log = 10 + u32::from(out[5] >> 3);
        assert!(log <= 20, "{log}");
    }
}

#[test]
fn a_fault_says_what_failed_and_what_to_do() {
    let text = EncodeFault(Coding::Zstd).to_string();
    assert!(text.contains("zstd") && text.contains("compression.algorithms"));
}

/// What is done to an encoder.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let words = proptest::collection::vec(0_u8..4, 0..2_000);
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let long = (any::<u8>(), 0_usize..40_000)
        .prop_map(|(salt, n)| (0..n).map(|i| (i * i % 251) as u8 ^ salt).collect());
    prop_oneof![
        3 => words.prop_map(Step::Write),
        2 => noise.prop_map(Step::Write),
        2 => long.prop_map(Step::Write),
        3 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_into_writes_and_flushes_comes_back_and_a_flush_holds_nothing_back(
        steps in proptest::collection::vec(step(), 0..12),
        effort in prop_oneof![3 => Just(Effort::Fast), 1 => Just(Effort::Best)],
        expected in proptest::option::of(0_u64..200_000),
    ) {
        for coding in ALL {
            let (mut body, mut out) = (Vec::new(), Vec::new());
            let mut encoder = Encoder::new(coding, effort, expected).unwrap();
            for step in &steps {
                match step {
                    Step::Write(input) => {
                        encoder.write(input, &mut out).unwrap();
                        body.extend_from_slice(input);
                    }
                    Step::Flush => {
                        encoder.flush(&mut out).unwrap();
                        let read = decoded_so_far(coding, &out);
                        prop_assert_eq!(read.len(), body.len(), "{:?}", coding);
                        prop_assert!(read == body, "{:?}", coding);
                    }
                }
            }
            encoder.finish(&mut out).unwrap();
            prop_assert_eq!(try_decoded(coding, &out), Some(body));
        }
    }
}
