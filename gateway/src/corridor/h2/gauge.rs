//! What frames a client sends, and how many a second. Pure: bytes and times in, a verdict out.
//!
//! The frames are read by the `h2` crate, which limits what it can see of a flood: header lists and CONTINUATION frames (by
//! size and number), streams reset before they were taken in, streams it has to reset itself (a client that makes us reset
//! them included), small and empty DATA frames. It answers each PING and each SETTINGS before it reads the next frame, so
//! that they cost no memory, but it does not count them; nor does it count streams that are reset after they were taken
//! in, or know how long a head takes. All that is seen here, from the nine bytes each frame begins with.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of the client's preface, before its first frame (RFC 9113 §3.4).
pub(super) const PREFACE_BYTES: usize = 24;
/// Bytes each frame begins with (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;

/// RST_STREAM a second: a browser that leaves a page takes back all it has asked for, and does so seldom.
const RESETS_MAX: u32 = 256;
/// SETTINGS a second: each client sends one at its start, and confirms ours.
const SETTINGS_MAX: u32 = 64;
/// PING a second: clients that measure the way send one in each round trip, which may be a short one.
const PINGS_MAX: u32 = 2048;
/// PRIORITY and kinds of frames nobody knows, a second. They are read and ignored.
const OTHERS_MAX: u32 = 1024;

const WINDOW: Duration = Duration::from_secs(1);

/// What a client sends too much of; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flood {
    Resets,
    Settings,
    Pings,
    Others,
}

impl Flood {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Resets => "too many streams reset",
            Self::Settings => "too many SETTINGS",
            Self::Pings => "too many PING",
            Self::Others => "too many frames without use",
        }
    }
}

/// Where in the client's bytes we are.
#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes of the preface are still to come.
    Preface(usize),
    /// So many bytes of a frame's head are there.
    Head(usize),
    /// So many bytes of a frame are still to come.
    Payload(usize),
}

/// One connection's frames.
#[derive(Debug)]
pub(super) struct Gauge {
    at: At,
    head: [u8; HEAD_BYTES],
    /// Whether the frame at hand ends a head.
    ends_head: bool,
    /// Since when a head is on its way that is not whole.
    head_began: Option<Instant>,
    window_began: Instant,
    resets: u32,
    settings: u32,
    pings: u32,
    others: u32,
    flood: Option<Flood>,
}

impl Gauge {
    /// Before the first byte.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: At::Preface(PREFACE_BYTES),
            head: [0; HEAD_BYTES],
            ends_head: false,
            head_began: None,
            window_began: now,
            resets: 0,
            settings: 0,
            pings: 0,
            others: 0,
            flood: None,
        }
    }

    /// What there was too much of. It stays so.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// Since when a request's head is on its way and not whole.
    pub(super) fn head_began(&self) -> Option<Instant> {
        self.head_began
    }

    /// Looks at the next bytes.
    pub(super) fn observe(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            match self.at {
                At::Preface(left) | At::Payload(left) => {
                    let n = left.min(bytes.len());
                    bytes = &bytes[n..];
                    self.advance(left - n);
                }
                At::Head(have) => {
                    let n = (HEAD_BYTES - have).min(bytes.len());
                    self.head[have..have + n].copy_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                    self.at = At::Head(have + n);
                    if have + n == HEAD_BYTES {
                        self.begin_frame(now);
                    }
                }
            }
        }
    }

    fn advance(&mut self, left: usize) {
        self.at = match (self.at, left) {
            (_, 0) => {
                if std::mem::take(&mut self.ends_head) {
                    self.head_began = None;
                }
                At::Head(0)
            }
            (At::Preface(_), left) => At::Preface(left),
            (At::Head(_) | At::Payload(_), left) => At::Payload(left),
        };
    }

    fn begin_frame(&mut self, now: Instant) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if now.saturating_duration_since(self.window_began) >= WINDOW {
            self.window_began = now;
            (self.resets, self.settings, self.pings, self.others) = (0, 0, 0, 0);
        }
        match kind {
            DATA | WINDOW_UPDATE | PUSH_PROMISE | GOAWAY => {}
            HEADERS | CONTINUATION => {
                self.head_began.get_or_insert(now);
                self.ends_head = flags & END_HEADERS != 0;
            }
            RST_STREAM => self.count(|g| &mut g.resets, RESETS_MAX, Flood::Resets),
            SETTINGS => self.count(|g| &mut g.settings, SETTINGS_MAX, Flood::Settings),
            PING => self.count(|g| &mut g.pings, PINGS_MAX, Flood::Pings),
            _ => self.count(|g| &mut g.others, OTHERS_MAX, Flood::Others),
        }
        self.advance(length);
    }

    fn count(&mut self, of: impl Fn(&mut Self) -> &mut u32, max: u32, flood: Flood) {
        let count = of(self);
        *count += 1;
        if *count > max {
            self.flood.get_or_insert(flood);
        }
    }
}

/// RFC 9113 §6: kinds of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Of HEADERS and CONTINUATION (RFC 9113 §6.2, §6.10).
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests;
