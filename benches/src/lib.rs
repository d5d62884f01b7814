//! What the micro benchmarks are run on: routes, servers and requests as a large configuration has them.

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
