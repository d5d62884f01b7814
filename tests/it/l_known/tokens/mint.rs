//! Tokens as issuers make them, and as others would like to.

/// A shared secret.
pub const SECRET: &str = "a secret of at least thirty-two bytes";
/// A public key in PEM; [`BY_PEM`] is by it.
pub const PEM: &str = include_str!("../../../../gateway/src/secrets/token_key/samples/rsa.public.pem");
/// One more, of another kind; [`BEN_BY_B`] is by it.
pub const OTHER_PEM: &str = include_str!("../../../../gateway/src/secrets/token_key/samples/p256.public.pem");
/// A key named "a", as issuers publish it.
pub const KEY_A: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"XPxJXFPCT6qs9IniX77Oyj1bkYCkQdDC0Nl6XbsOqPc"}"#;
/// A key named "b", as issuers publish it.
pub const KEY_B: &str = r#"{"kty":"EC","crv":"P-256","kid":"b","x":"yRbuGj2CVVdMQPWrDmWG7BhE9tW8a0IzkbIoQ0uRjr8","y":"MbEAih-XtjpXbT_vaY6OBDt3p5lppDaDKU6SkFMWsBo"}"#;
/// Says `sub` "ann", by the key "a", until the year 2100.
pub const ANN_BY_A: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.VWQIf1XsGipcUCxBk13EDfq6QmmyW2D6QBN-ZjvvNA1LMMOpeX_iihujG14BIeMeMioV0-cPfPXvAGajJoSdAQ";
/// Says `sub` "ben", by the key "b", until the year 2100.
pub const BEN_BY_B: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImIifQ.eyJzdWIiOiJiZW4iLCJleHAiOjQxMDI0NDQ4MDB9.6TV4WNmhTewPcxZ2QoEdTnzFs-vBmrt_yXhCuxpF0MPqMaUuJLPCptuemxi1DvCv4-3UMHae4KPa61vX111FWg";
/// By the key "b", and named after a key "c".
pub const CAT_BY_C: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImMifQ.eyJzdWIiOiJjYXQiLCJleHAiOjQxMDI0NDQ4MDB9.aLEhZ0ZxXrV1oht127dtt5_7OQMw-W3TVaKBkSpzxsXcdLs_oXYp3HQSQ2zxEBa0BN2fiqHzprYinydstIzA1Q";
/// Says `sub` "rob", by [`PEM`], until the year 2100.
pub const BY_PEM: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2IiLCJleHAiOjQxMDI0NDQ4MDB9.xFuJvuu3DRLXiUn92YQLRVp3GNCqK6D1vhisLB4zkCJ4Qc8UR0Pz-Md15c9EUfgyY18TjBcZPS6-5A39wEItYa4Zw8BiSeIkxnhdHivVNGIued3VDVNYlYBRFrDkkEmElqcYPIV6fehtegZs4M0qJj_Zz1iQ-3mUCHw48TQCv2QVoenVOgPmxOJ1R6UpUAF42IRfZeH2k230guP7IiiyKPLxyqB17dk2KAI8NJWj7qPwqZJVbg82xT1Op77Uu_nGesSDXZwdXoarXmJp7FSk8LBQQOGyYN12Ibdp0O5hZn5DEODRO9mr4a1am655_M_5qm5L-eUy_Tgs3Y10SHeRLQ";
/// The same, by a key that is nobody's.
pub const BY_ANOTHER_RSA: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2IiLCJleHAiOjQxMDI0NDQ4MDB9.dogMDuCyO8d9tsDIUy2FPY7Y9JzU0dfgiZ5PuMuMBI83gsct3MVMlsfGS3UcyfzULKp4ZlscA4ugIRALF0eHZ0hCSycenH4HNw3qPTrD5vhBCDCVsvlNvFhu-5E09yli4ZOVRjv4Jg5_Lb1Vs6mUDWigi5lH6LCV0yDuiTrOh52CxheNPXRDEaqWZRrXXXIKxclwYB15dhu1XDhWN11wGMLQGIavZEChQv_3rS5jyeBCbp_ch6d6YtbDdURgVfGXlqrz5Ug892_arOz9mrYknmqIreCf8C_T7npHzicLKX05rLgne7xj41XuXWcIbIqZRZHIJqnmKWXCQhDCVDIVNw";
/// 2100-01-01
pub const LATE: u64 = 4_102_444_800;

/// A set of keys, as issuers publish it.
pub fn set(keys: &[&str]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A token by [`SECRET`] that says this besides its end, which is late.
pub fn says(claims: &str) -> String {
    by_secret(&format!(r#"{{{claims},"exp":{LATE}}}"#))
}

/// A token by [`SECRET`] with this payload.
pub fn by_secret(payload: &str) -> String {
    by(SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, payload)
}

/// A token with an HMAC of SHA-256, whatever its header says.
pub fn by(secret: impl AsRef<[u8]>, header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let tag = hmac(secret.as_ref(), signed.as_bytes());
    format!("{signed}.{}", base64url(&tag))
}

/// Header and payload.
pub fn unsigned(header: &str, payload: &str) -> String {
    format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    )
}

/// What Authorization says by a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What Authorization says by a name and a password.
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{name}:{password}").as_bytes()))
}

/// RFC 4648 §4
pub fn base64(bytes: &[u8]) -> String {
    let mut text = encode(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    );
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// RFC 7515 §2
pub fn base64url(bytes: &[u8]) -> String {
    encode(
        bytes,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    )
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(bits);
        for at in 0..=three.len() {
            text.push(char::from(alphabet[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// RFC 2104, with SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    let hashed = sha256(key);
    let key = if key.len() > 64 { &hashed[..] } else { key };
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8, text: &[u8]| {
        let mut all: Vec<u8> = block.iter().map(|byte| byte ^ with).collect();
        all.extend_from_slice(text);
        sha256(&all)
    };
    padded(0x5c, &padded(0x36, text))
}

/// FIPS 180-4 §6.2. The constants are made as §4.2.2 and §5.3.3 say: from the roots of the first primes.
fn sha256(text: &[u8]) -> [u8; 32] {
    let primes: Vec<u64> = (2..312).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    let root = |n: u64, power: u32| {
        // The largest x with (x / 2^32)^power <= n.
        let mut x = 0u128;
        for bit in (0..36).rev() {
            let next: u128 = x | 1 << bit;
            let fits = match power {
                2 => next * next <= u128::from(n) << 64,
                // Its cube may not fit: cut off, which no prime of these is near enough to notice.
                _ => ((next * next) >> 16) * next <= u128::from(n) << 80,
            };
            if fits {
                x = next;
            }
        }
        x as u32
    };
    let k: Vec<u32> = primes[..64].iter().map(|n| root(*n, 3)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|n| root(*n, 2)).collect();
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        compress(&mut state, block, &k);
    }
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn compress(state: &mut [u32], block: &[u8], k: &[u32]) {
    let words = block
        .chunks(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let mut w: Vec<u32> = words.collect();
    for t in 16..64 {
        let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
        let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
        w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
    }
    let mut v = state.to_vec();
    for (k, w) in k.iter().zip(w) {
        let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
        let choice = v[4] & v[5] ^ !v[4] & v[6];
        let t1 = v[7]
            .wrapping_add(s1)
            .wrapping_add(choice)
            .wrapping_add(*k)
            .wrapping_add(w);
        let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
        let t2 = s0.wrapping_add(v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]);
        v.rotate_right(1);
        v[4] = v[4].wrapping_add(t1);
        v[0] = t1.wrapping_add(t2);
    }
    for (sum, v) in state.iter_mut().zip(v) {
        *sum = sum.wrapping_add(v);
    }
}

#[test]
fn what_is_minted_here_is_what_rfc_4231_says() {
    let tag = hmac(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(base64(&tag), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}
