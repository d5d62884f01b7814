//! Changing bytes by chance, from a seed, so that whatever goes wrong goes wrong again.

use fastrand::Rng;

/// Bytes of an input at most: what parsers do with more is other tests' business.
pub const INPUT_BYTES_MAX: usize = 4096;

/// Words that decide something in one of the formats.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    " ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "=",
    "\"",
    "\\",
    "/",
    "//",
    "/../",
    "/./",
    "..;",
    "%2f",
    "%2E",
    "%00",
    "%",
    "#",
    "?",
    "*",
    "${",
    "}",
    "{",
    "[",
    "]",
    "[[",
    "-",
    "0",
    "-1",
    "18446744073709551616",
    "ffffffffffffffff",
    "HTTP/1.1",
    "HTTP/1.0",
    "GET ",
    "CONNECT ",
    "Host: a\r\n",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Cache-Control: ",
    "no-store",
    "private=\"x\"",
    "max-age=",
    "Vary: ",
    "Set-Cookie: a=b\r\n",
    "bytes=",
    "W/\"",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "PROXY TCP4 ",
    "PROXY TCP6 ",
    "\r\n\r\n\0\r\nQUIT\n",
    "::ffff:1.2.3.4",
    "/32",
    "eyJhbGciOiJIUzI1NiJ9",
    ".",
    "exp",
    "1e400",
    "99999999999",
    "\\u0000",
    "\u{feff}",
    "\u{e9}",
    "$2y$04$",
    "{SHA}",
    "sha256:",
    "server {",
    "location ~ ",
    "proxy_pass http://a;",
    "include ",
    "if ($a) {",
    "[[routes]]\n",
    "upstream = ",
    "10s",
    "1h30m",
    "1KiB",
    "-----BEGIN CERTIFICATE-----\n",
    "\u{30}\u{82}",
];

/// Some changes to `input`; with `other` to take a piece from.
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=rng.usize(..6) {
        change(rng, &mut out, other);
    }
    out.truncate(INPUT_BYTES_MAX);
    out
}

fn change(rng: &mut Rng, out: &mut Vec<u8>, other: &[u8]) {
    let at = rng.usize(..=out.len());
    match rng.u8(..8) {
        0 if at < out.len() => out[at] ^= 1 << rng.u8(..8),
        1 if at < out.len() => out[at] = rng.u8(..),
        2 => out.truncate(at),
        3 => drop(out.drain(piece(rng, out))),
        4 => {
            let twice = out[piece(rng, out)].to_vec();
            splice(out, at, &twice);
        }
        5 => splice(out, at, &other[piece(rng, other)]),
        6 if at < out.len() => out[at] = out[at].wrapping_add(rng.u8(..3).wrapping_sub(1)),
        _ => splice(out, at, WORDS[rng.usize(..WORDS.len())].as_bytes()),
    }
}

/// Mostly short, sometimes anything.
fn piece(rng: &mut Rng, of: &[u8]) -> std::ops::Range<usize> {
    let start = rng.usize(..=of.len());
    let left = of.len() - start;
    let most = if rng.u8(..4) == 0 { left } else { left.min(16) };
    start..start + rng.usize(..=most)
}

fn splice(out: &mut Vec<u8>, at: usize, what: &[u8]) {
    out.splice(at..at, what.iter().copied());
}
