//! Apache's variant of the MD5 crypt: what `htpasswd` wrote for twenty years when nobody asked for anything else.

use md5::{Digest, Md5};

/// Bytes of a salt.
pub(super) const SALT_BYTES_MAX: usize = 8;

/// Letters of a digest as written.
pub(super) const DIGEST_BYTES: usize = 22;

/// How often the digest is digested again. Part of the format.
const ROUNDS: u32 = 1000;

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digest of a password as it is written behind the salt.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = first(password, salt);
    for round in 0..ROUNDS {
        digest = again(round, digest, password, salt);
    }
    written(&digest)
}

fn first(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new()
        .chain_update(password)
        .chain_update(b"$apr1$")
        .chain_update(salt);
    for piece in password.chunks(inner.len()) {
        outer.update(&inner[..piece.len()]);
    }
    // A quirk of the format: for each bit of the length a NUL or the password's first byte.
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    outer.finalize().into()
}

fn again(round: u32, digest: [u8; 16], password: &[u8], salt: &[u8]) -> [u8; 16] {
    let is_odd = round % 2 == 1;
    let (before, behind): (&[u8], &[u8]) = if is_odd {
        (password, &digest)
    } else {
        (&digest, password)
    };
    let mut next = Md5::new().chain_update(before);
    if !round.is_multiple_of(3) {
        next.update(salt);
    }
    if !round.is_multiple_of(7) {
        next.update(password);
    }
    next.chain_update(behind).finalize().into()
}

/// Six bits a letter, lowest first, in the order of bytes that the format has.
fn written(digest: &[u8; 16]) -> [u8; DIGEST_BYTES] {
    const TRIPLES: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut out = [0; DIGEST_BYTES];
    let words = TRIPLES.map(|triple| {
        triple
            .iter()
            .fold(0u32, |word, at| word << 8 | u32::from(digest[*at]))
    });
    let letters = words.iter().flat_map(|word| (0..4).map(move |n| word >> (6 * n)));
    let last = u32::from(digest[11]);
    for (letter, bits) in out.iter_mut().zip(letters.chain([last, last >> 6])) {
        *letter = ALPHABET[(bits & 0x3f) as usize];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL.
    #[test]
    fn it_agrees_with_openssl_at_all_lengths_that_matter() {
        let long = "a much longer password than sixteen bytes, with ünïcode";
        let row = |n: usize| "p".repeat(n);
        for (salt, password, expected) in [
            ("lZL6V/ci", "myPassword".to_owned(), "sQw6g73nRuoOIj/gnD18Z."),
            ("x", String::new(), "tMwYqBfQwi3FYAr0aJc8M/"),
            ("abcdefgh", long.to_owned(), "wDaQ9u2iFQSO6/OZvV.k2."),
            ("saltsalt", row(1), "DvQTBz1xHwXJP55FHhmOj."),
            ("saltsalt", row(15), "//ymEvfNw22OXV2m3OZ/y/"),
            ("saltsalt", row(16), "q55DDk4cTu/tgOQg5MGDu."),
            ("saltsalt", row(17), "1qttOuFUxtfyGyrYZqoy01"),
            ("saltsalt", row(31), "8KX1.HSMn9UXQTAdwypb/1"),
            ("saltsalt", row(32), "yF9GcoFN4D6goXCVhXNqI0"),
            ("saltsalt", row(33), "lSzBsG7TGhWLR8YzbZXrA1"),
        ] {
            let made = hash(password.as_bytes(), salt.as_bytes());
            assert_eq!(std::str::from_utf8(&made).unwrap(), expected, "{password:?}");
        }
    }
}
