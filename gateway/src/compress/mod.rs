//! Content codings: which one a client gets, and the bytes in it.
//!
//! Pure: [`fits`] judges an answer and a client, [`edit`] and its siblings change the head, an [`Encoder`] turns bytes into
//! fewer. A worker has a [`Pool`] of them; what is kept and sent many times goes through [`compress_whole`], elsewhere.
//!
//! # What it costs
//!
//! Microseconds for a body given in pieces of 16 KiB, with a reused encoder where the library has that, and what is left
//! of the body in percent. JSON: generated records with times, numbers and a random token each; HTML: prose with marked-up
//! code. One core, the least of several runs, libraries optimised.
//!
//! | coding, level   | JSON 1 KiB | 10 KiB    | 100 KiB     | 1 MiB         | HTML 1 KiB | 10 KiB    | 100 KiB     | 1 MiB         | memory |
//! |-----------------|-----------:|----------:|------------:|--------------:|-----------:|----------:|------------:|--------------:|-------:|
//! | gzip 4          | 10 · 39.2  | 39 · 22.8 | 702 · 20.0  |  8,937 · 19.3 | 12 · 54.0  | 77 · 40.0 | 988 · 25.8  | 10,441 · 24.1 | 272 KiB |
//! | **gzip 5**      | 14 · 39.2  | 63 · 21.8 | 898 · 19.4  | 11,095 · 18.9 | 17 · 54.0  | 112 · 39.8 | 1,186 · 25.3 | 13,757 · 23.5 | 272 KiB |
//! | gzip 6          | 14 · 39.2  | 64 · 21.8 | 971 · 19.3  | 12,105 · 18.8 | 17 · 54.0  | 112 · 39.8 | 1,479 · 25.1 | 17,417 · 23.4 | 272 KiB |
//! | *gzip 8*        | 13 · 39.0  | 63 · 21.6 | 2,557 · 18.5 | 33,449 · 17.8 | 12 · 53.8 | 113 · 39.4 | 2,307 · 24.9 | 38,278 · 23.1 | 271 KiB |
//! | br 3            | 22 · 37.2  | 82 · 22.5 | 1,067 · 20.2 | 10,395 · 21.0 | 25 · 53.9 | 138 · 40.6 | 1,209 · 26.3 | 12,405 · 24.9 | 1.1 MiB |
//! | **br 4**        | 37 · 37.5  | 116 · 22.0 | 1,527 · 19.6 | 14,782 · 20.4 | 43 · 49.9 | 239 · 38.8 | 1,865 · 25.7 | 19,912 · 25.0 | 937 KiB |
//! | *br 5*          | 52 · 35.7  | 209 · 21.0 | 2,638 · 18.4 | 25,391 · 18.1 | 55 · 45.8 | 338 · 36.8 | 2,491 · 23.7 | 26,337 · 21.1 | 3–4 MiB |
//! | br 9            | 575 · 35.2 | 2,977 · 20.8 | 17,153 · 18.0 | 108,498 · 17.1 | 837 · 46.1 | 4,621 · 36.7 | 17,607 · 23.2 | 101,148 · 19.6 | 38 MiB |
//! | zstd 1          |  5 · 39.0  | 18 · 22.9 | 236 · 20.4  |  3,451 · 20.0 |  8 · 55.7  | 27 · 43.6 | 260 · 28.1  |  3,253 · 25.5 | 504 KiB |
//! | **zstd 3**      |  5 · 39.2  | 23 · 23.0 | 220 · 20.7  |  2,981 · 20.4 |  8 · 55.2  | 38 · 40.9 | 354 · 26.3  |  4,139 · 23.7 | 910 KiB |
//! | *zstd 9*        |  9 · 38.4  | 62 · 21.3 | 1,319 · 18.0 | 14,496 · 17.4 | 13 · 55.2 | 93 · 39.8 | 1,551 · 24.2 | 17,381 · 20.4 | 11 MiB |
//!
//! Bold is [`Effort::Fast`], italic [`Effort::Best`]. zstd 3 costs a quarter of the others for about the same size, which is why it
//! stands first in the default order. gzip above 5 and br above 5 pay much for little. br takes no smaller
//! window well: its memory is its hash table (512 KiB at 4, 2 MiB at 6, 32 MiB at 9) and the block it collects.

mod choice;
mod encoder;
mod engine;
mod fit;
mod head;
mod pool;
mod whole;

pub use choice::choose;
pub use encoder::{Effort, EncodeFault, Encoder};
pub use fit::{Candidate, Fit, fits, may_trail};
pub use head::{edit, not_modified, says_vary};
pub use pool::{LENT_MAX, Pool};
pub use whole::{GAIN_MIN_PERCENT, WHOLE_BYTES_MAX, compress_whole};

#[cfg(test)]
mod decode;
