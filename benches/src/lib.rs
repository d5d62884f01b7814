//! What the benchmarks are run on: routes, servers and requests as a large configuration has them, the small steps of a
//! request, and an open load.

pub mod load;
pub mod steps;

use std::fmt::Write as _;

use gateway::config::{self, Plan};

/// A configuration with that many routes (a third exact, a third prefixes, a third on hosts of their own) and servers.
///
/// # Panics
/// If the configuration it writes is not one.
pub fn plan(routes: usize, servers: usize) -> Plan {
    let mut text = String::from("[[listeners]]\naddress = \"127.0.0.1:0\"\n[upstreams.app]\nservers = [\n");
    for i in 0..servers {
        let _ = writeln!(
            text,
            "  {{ address = \"10.{}.{}.{}:80\", weight = {} }},",
            i >> 16,
            i >> 8 & 255,
            i & 255,
            1 + i % 3
        );
    }
    text.push_str("]\n");
    for i in 0..routes {
        let matches = match i % 3 {
            0 => format!("path = \"/exact/{i}\""),
            1 => format!("path_prefix = \"/prefix/{i}\""),
            _ => format!("host = \"h{i}.example.com\", path_prefix = \"/\""),
        };
        let _ = writeln!(
            text,
            "[[routes]]\nname = \"r{i}\"\nmatch = {{ {matches} }}\nupstream = \"app\""
        );
    }
    match config::load_text("bench.toml", text, &|_| None) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// Records as an API sends them, cut off after so many bytes; always the same.
pub fn json(bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 6] = [
        "bench press",
        "squat",
        "deadlift",
        "easy run",
        "interval",
        "plank",
    ];
    let mut state = 0x1357_9bdf_u64;
    let mut draw = |below: u64| {
        // Knuth's MMIX constants: enough disorder for times and tokens, and no dependency.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = String::from("{\"items\":[");
    while text.len() < bytes {
        let word = WORDS[usize::try_from(draw(6)).unwrap_or(0)];
        let _ = writeln!(
            text,
            "{{\"id\":{},\"name\":\"{word}\",\"started_at\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\",\"weight_kg\":{}.{},\
             \"token\":\"{:08x}{:08x}\"}},",
            draw(100_000),
            draw(12) + 1,
            draw(28) + 1,
            draw(24),
            draw(60),
            draw(150),
            draw(10),
            draw(1 << 32),
            draw(1 << 32)
        );
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// A request as a browser sends it.
pub const HEAD: &[u8] = b"GET /prefix/499/images/logo.svg?v=12 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Referer: https://www.example.com/\r\n\
Cookie: theme=dark; session=0123456789abcdef0123456789abcdef\r\n\
If-None-Match: \"abcdef\"\r\n\
\r\n";
