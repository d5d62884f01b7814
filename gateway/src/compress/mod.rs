//! Content codings: which one a client gets, and the bytes in it.
//!
//! Pure: [`fits`] judges an answer and a client, [`edit`] and its siblings change the head, an [`Encoder`] turns
//! bytes into fewer. A worker has a [`Pool`] of them; what is kept and sent many times goes through
//! [`compress_whole`], elsewhere.
//!
//! A secret in the same answer as text of a stranger's choosing can be guessed from the answer's compressed length. A
//! gateway cannot see which answers these are: routes that have them belong under `compression = false`.
//!
//! # What it costs
//!
//! Microseconds for a body given in pieces of 16 KiB, and what is left of it in percent: the least time of many runs on
//! one core, libraries optimised, an encoder reused where its library allows it. Other work ran on the machine: the
//! times for 1 MiB are good for comparing, to a fifth. Bold is [`Effort::Fast`], italic [`Effort::Best`].
//!
//! JSON, generated records of times, numbers, words and a random token each:
//!
//! | level      |          1 KiB |         10 KiB |        100 KiB |          1 MiB |
//! |------------|---------------:|---------------:|---------------:|---------------:|
//! | gzip 4     |      10 · 39.2 |      39 · 22.8 |     702 · 20.0 |   8,937 · 19.3 |
//! | **gzip 5** |      14 · 39.2 |      63 · 21.8 |     898 · 19.4 |  11,095 · 18.9 |
//! | gzip 6     |      14 · 39.2 |      64 · 21.8 |     971 · 19.3 |  12,105 · 18.8 |
//! | *gzip 8*   |      10 · 39.0 |      61 · 21.6 |   2,557 · 18.5 |  33,449 · 17.8 |
//! | br 3       |      22 · 37.2 |      82 · 22.5 |   1,139 · 20.2 |  11,087 · 21.0 |
//! | **br 4**   |      36 · 37.5 |     116 · 22.0 |   1,527 · 19.6 |  14,782 · 20.4 |
//! | *br 5*     |      51 · 35.7 |     212 · 21.0 |   2,788 · 18.4 |  31,175 · 18.1 |
//! | br 9       |     575 · 35.2 |   2,977 · 20.8 |  17,153 · 18.0 | 108,498 · 17.1 |
//! | zstd 1     |       5 · 39.0 |      18 · 22.9 |     180 · 20.4 |   2,202 · 20.0 |
//! | **zstd 3** |       5 · 39.2 |      23 · 23.0 |     220 · 20.7 |   3,247 · 20.4 |
//! | *zstd 9*   |       9 · 38.4 |      62 · 21.3 |   1,319 · 18.0 |  14,496 · 17.4 |
//!
//! HTML, prose with marked-up code:
//!
//! | level      |          1 KiB |         10 KiB |        100 KiB |          1 MiB |
//! |------------|---------------:|---------------:|---------------:|---------------:|
//! | gzip 4     |      12 · 54.0 |      77 · 40.0 |     988 · 25.8 |  10,366 · 24.1 |
//! | **gzip 5** |      17 · 54.0 |     110 · 39.8 |   1,186 · 25.3 |  13,757 · 23.5 |
//! | gzip 6     |      17 · 54.0 |     110 · 39.8 |   1,461 · 25.1 |  16,188 · 23.4 |
//! | *gzip 8*   |      12 · 53.8 |     113 · 39.4 |   2,307 · 24.9 |  28,475 · 23.1 |
//! | br 3       |      25 · 53.9 |     138 · 40.6 |   1,230 · 26.3 |  13,258 · 24.8 |
//! | **br 4**   |      42 · 49.9 |     239 · 38.8 |   1,849 · 25.7 |  19,912 · 25.0 |
//! | *br 5*     |      55 · 45.8 |     340 · 36.8 |   3,202 · 23.7 |  37,109 · 21.1 |
//! | br 9       |     837 · 46.1 |   4,621 · 36.7 |  17,200 · 23.2 | 101,148 · 19.6 |
//! | zstd 1     |       6 · 55.7 |      26 · 43.6 |     260 · 28.1 |   3,253 · 25.5 |
//! | **zstd 3** |       8 · 55.2 |      38 · 40.9 |     354 · 26.3 |   4,303 · 23.7 |
//! | *zstd 9*   |      13 · 55.2 |      93 · 39.8 |   1,551 · 24.2 |  17,381 · 20.4 |
//!
//! Memory of an encoder in the middle of 3 MiB: gzip 272 KiB at every level; br 3 1.1 MiB, **4** 0.9, *5* 4.0,
//! 9 38; zstd 1 0.6 MiB, **3** 0.9, *9* 11. A fresh one costs 3 µs more than a reused one for gzip and 18 µs more
//! for zstd, three times what 1 KiB itself takes.
//!
//! What follows from it: zstd 3 takes a third to a seventh of the others' time for about the same size, which is why it
//! stands first in the default order. gzip 6 and br 9 pay much for little. br is held below 1 MiB by a small
//! window and short blocks, which cost it most on long bodies; what is kept gets a larger one.

mod choice;
mod conflict;
mod encoder;
mod engine;
mod fit;
mod head;
mod pool;
mod whole;

pub use choice::choose;
pub use conflict::conflict;
pub use encoder::{Effort, EncodeFault, Encoder};
pub use fit::{Candidate, Fit, fits, is_read_live, may_trail, wants};
pub use head::{edit, not_modified, says_vary};
pub use pool::{LENT_MAX, Pool};
pub use whole::{GAIN_MIN_PERCENT, WHOLE_BYTES_MAX, compress_whole};

#[cfg(test)]
mod decode;
