use proptest::prelude::*;

use super::*;

const PREFACE: &[u8] = &[b'P'; PREFACE_BYTES];

fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
    bytes.resize(HEAD_BYTES + usize::from(length), 0xff);
    bytes
}

/// A moment to begin with: the runtime's clock is asked by its timers alone.
async fn moment() -> Instant {
    tokio::time::sleep(Duration::ZERO).deadline()
}

#[tokio::test]
async fn each_kind_has_its_number_a_second() {
    let now = moment().await;
    for (kind, max, flood) in [
        (RST_STREAM, RESETS_MAX, Flood::Resets),
        (SETTINGS, SETTINGS_MAX, Flood::Settings),
        (PING, PINGS_MAX, Flood::Pings),
        (2, OTHERS_MAX, Flood::Others),
        (0xff, OTHERS_MAX, Flood::Others),
    ] {
        let mut gauge = Gauge::new(now);
        gauge.observe(PREFACE, now);
        for _ in 0..max {
            gauge.observe(&frame(kind, 0, 4), now);
        }
        assert_eq!(gauge.flood(), None);
        let mut later = Gauge::new(now);
        later.observe(PREFACE, now);
        for n in 0..2 * max {
            later.observe(&frame(kind, 0, 4), now + WINDOW * (n / max));
        }
        assert_eq!(later.flood(), None, "in another second there are as many again");
        gauge.observe(&frame(kind, 0, 4), now);
        assert_eq!(gauge.flood(), Some(flood));
        gauge.observe(&frame(DATA, 0, 4), now + WINDOW * 9);
        assert_eq!(gauge.flood(), Some(flood), "it stays so");
    }
}

#[tokio::test]
async fn what_carries_something_is_not_counted() {
    let now = moment().await;
    let mut gauge = Gauge::new(now);
    gauge.observe(PREFACE, now);
    for _ in 0..100_000 {
        gauge.observe(&frame(DATA, 0, 200), now);
        gauge.observe(&frame(WINDOW_UPDATE, 0, 4), now);
        gauge.observe(&frame(HEADERS, END_HEADERS, 9), now);
    }
    assert_eq!((gauge.flood(), gauge.head_began()), (None, None));
}

#[tokio::test]
async fn a_head_is_on_its_way_from_its_first_frame_to_the_last_byte_of_its_last() {
    let now = moment().await;
    let then = now + WINDOW;
    let mut gauge = Gauge::new(now);
    gauge.observe(PREFACE, now);
    gauge.observe(&frame(HEADERS, 0, 3), now);
    assert_eq!(gauge.head_began(), Some(now));
    gauge.observe(&frame(CONTINUATION, 0, 3), then);
    assert_eq!(gauge.head_began(), Some(now));
    let last = frame(CONTINUATION, END_HEADERS, 3);
    gauge.observe(&last[..last.len() - 1], then);
    assert_eq!(gauge.head_began(), Some(now));
    gauge.observe(&last[last.len() - 1..], then);
    assert_eq!(gauge.head_began(), None);
    gauge.observe(&frame(HEADERS, END_HEADERS, 0), then);
    assert_eq!(gauge.head_began(), None, "an empty one is whole at once");
}

proptest! {
    /// However the bytes are cut, the frames are the same.
    #[test]
    fn it_does_not_matter_how_the_bytes_come(
        kinds in prop::collection::vec((0_u8..12, any::<u8>(), any::<u8>()), 0..50),
        cuts in prop::collection::vec(1_usize..40, 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let now = runtime.block_on(moment());
        let mut bytes = PREFACE.to_vec();
        let mut resets = 0;
        let mut is_within_head = false;
        for (kind, flags, length) in kinds {
            bytes.extend(frame(kind, flags, length));
            resets += u32::from(kind == RST_STREAM);
            if matches!(kind, HEADERS | CONTINUATION) {
                is_within_head = flags & END_HEADERS == 0;
            }
        }
        let mut gauge = Gauge::new(now);
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            gauge.observe(piece, now);
            rest = after;
        }
        prop_assert_eq!(gauge.resets, resets);
        prop_assert_eq!(gauge.head_began().is_some(), is_within_head);
    }
}
