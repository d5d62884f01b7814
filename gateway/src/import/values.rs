//! nginx's values in Sluice's words: times, sizes, rates, variables, names.

use std::time::Duration;

use crate::kit::units;

/// Longer than that Sluice takes no duration.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest name of a route, upstream or listener.
const NAME_CHARS_MAX: usize = 48;

/// "60", "1m30s", "500ms", "1y": what nginx takes for a time; seconds without a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        rest = rest.trim_start_matches(' ');
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (factor_ms, unit) = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
            ("w", 7 * 86_400_000),
            ("M", 30 * 86_400_000),
            ("y", 365 * 86_400_000),
            ("", 1_000),
        ]
        .into_iter()
        .find_map(|(unit, ms)| rest.starts_with(unit).then_some((ms, unit)))?;
        if unit.is_empty() && !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        rest = &rest[unit.len()..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(factor_ms)?))?;
    }
    Some(total)
}

/// A duration as Sluice reads it, at most a year; None for zero, which Sluice's waits do not know.
pub(super) fn wait(text: &str) -> Option<String> {
    let duration = duration(text)?;
    (!duration.is_zero()).then(|| written(duration))
}

/// A duration as Sluice writes it.
pub(super) fn written(duration: Duration) -> String {
    units::format_duration(duration.min(DURATION_MAX))
}

/// "10m", "8k", "1g", "512": bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match &text[digits..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// "10r/s" and "30r/m" as "10/s" and "30/m".
pub(super) fn rate(text: &str) -> Option<String> {
    let (number, unit) = text.split_once("r/")?;
    let number: u32 = number.parse().ok().filter(|n| *n > 0)?;
    matches!(unit, "s" | "m").then(|| format!("{number}/{unit}"))
}

/// What a variable may stand for besides what a request says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    /// The first name of the server.
    pub server_name: &'a str,
    /// What `proxy_pass` names.
    pub proxy_host: &'a str,
}

/// A text with nginx's variables as one with Sluice's; the name of the first that Sluice has not.
pub(super) fn template(text: &str, known: Known<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let (name, after) = name_at(&rest[at + 1..]);
        if name.is_empty() {
            out.push('$');
            rest = &rest[at + 1..];
            continue;
        }
        rest = after;
        if name == "is_args"
            && let (name @ ("args" | "query_string"), after) =
                name_at(rest.strip_prefix('$').unwrap_or_default())
        {
            rest = after;
            out.push_str("${query}");
            _ = name;
            continue;
        }
        out.push_str(&variable(name, known).ok_or_else(|| name.to_owned())?);
    }
    out.push_str(rest);
    Ok(out)
}

/// A variable's name behind its dollar, and what follows.
fn name_at(text: &str) -> (&str, &str) {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.split_once('}').unwrap_or(("", text));
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}

fn variable(name: &str, known: Known<'_>) -> Option<String> {
    let fixed = match name {
        "host" => "${host}",
        "http_host" => "${header:host}",
        "remote_addr" | "realip_remote_addr" => "${client_ip}",
        "scheme" => "${scheme}",
        "request_uri" => "${uri}",
        "uri" | "document_uri" => "${path}",
        "request_method" => "${method}",
        "request_id" => "${request_id}",
        "server_port" => "${port}",
        "server_name" => return Some(known.server_name.to_owned()),
        "proxy_host" => return Some(known.proxy_host.to_owned()).filter(|h| !h.is_empty()),
        _ => {
            if let Some(header) = name.strip_prefix("http_") {
                return Some(format!("${{header:{}}}", header.replace('_', "-")));
            }
            return name
                .strip_prefix("cookie_")
                .map(|cookie| format!("${{cookie:{cookie}}}"));
        }
    };
    Some(fixed.to_owned())
}

/// Whether a text holds a variable.
pub(super) fn has_variable(text: &str) -> bool {
    text.match_indices('$')
        .any(|(at, _)| !name_at(&text[at + 1..]).0.is_empty())
}

/// A text without variables, so that Sluice does not take a part of it for one of the environment.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// What a variable counts by: "client_ip", "header:…", "cookie:…".
pub(super) fn key(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    let name = name
        .strip_prefix('{')
        .and_then(|n| n.strip_suffix('}'))
        .unwrap_or(name);
    match name {
        "binary_remote_addr" | "remote_addr" => Some("client_ip".to_owned()),
        "server_name" => Some("global".to_owned()),
        "host" | "http_host" => Some("header:Host".to_owned()),
        _ => {
            if let Some(header) = name.strip_prefix("http_").filter(|h| is_word(h)) {
                return Some(format!("header:{}", field_name(header)));
            }
            let cookie = name.strip_prefix("cookie_").filter(|c| is_word(c))?;
            Some(format!("cookie:{cookie}"))
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// "x_api_key" → "X-Api-Key"
pub(super) fn field_name(variable: &str) -> String {
    let words = variable.split('_').map(|word| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}

/// A name for something, out of any text.
pub(super) fn name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if name.len() >= NAME_CHARS_MAX {
            break;
        }
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.trim_matches(['-', '.']).to_owned()
}

/// The text so that a regular expression finds it and nothing else.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_alphanumeric() && !matches!(c, '/' | '-' | '_' | '~' | '%' | '@' | ' ' | ',' | '=' | ':') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, ms) in [
            ("60", Some(60_000)),
            ("1m30s", Some(90_000)),
            ("1m 30", Some(90_000)),
            ("500ms", Some(500)),
            ("1M", Some(2_592_000_000)),
            ("1y", Some(31_536_000_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("1x", None),
            ("99999999999999999999", None),
            ("9999999999999999y", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), ms, "{text}");
        }
        assert_eq!(wait("3600s").as_deref(), Some("1h"));
        assert_eq!(wait("0"), None);
        assert_eq!(wait("2y").as_deref(), Some("366d"));
    }

    #[test]
    fn sizes_and_rates_are_read_as_nginx_reads_them() {
        assert_eq!(size("10m"), Some(10 << 20));
        assert_eq!(size("8K"), Some(8 << 10));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("1t"), None);
        assert_eq!(size("99999999999999999999g"), None);
        assert_eq!(size("18446744073709551615g"), None);
        assert_eq!(rate("10r/s").as_deref(), Some("10/s"));
        assert_eq!(rate("30r/m").as_deref(), Some("30/m"));
        assert_eq!(rate("0r/s"), None);
        assert_eq!(rate("10/s"), None);
    }

    #[test]
    fn variables_become_those_of_sluice_or_are_named() {
        let known = Known {
            server_name: "a.test",
            proxy_host: "app",
        };
        for (text, expected) in [
            ("https://$host$request_uri", Ok("https://${host}${uri}")),
            (
                "${scheme}://$server_name:$server_port",
                Ok("${scheme}://a.test:${port}"),
            ),
            ("$http_x_api_key", Ok("${header:x-api-key}")),
            ("$cookie_session!", Ok("${cookie:session}!")),
            ("/new$is_args$args", Ok("/new${query}")),
            ("$proxy_host", Ok("app")),
            ("5$ and $", Ok("5$ and $")),
            ("$args", Err("args")),
            ("$my_own", Err("my_own")),
            ("a$is_args", Err("is_args")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(template(text, known), expected, "{text}");
        }
    }

    #[test]
    fn names_are_names() {
        assert_eq!(name("/api/"), "api");
        assert_eq!(name("^~ /a b/ü"), "a-b");
        assert_eq!(name("/"), "");
        assert_eq!(name("127.0.0.1:80"), "127.0.0.1-80");
        assert!(name(&"x".repeat(500)).len() <= 64);
        assert_eq!(field_name("x_api_key"), "X-Api-Key");
    }

    #[test]
    fn an_escaped_text_is_found_by_its_expression() {
        for text in ["/a.b", "/a+b(c)[d]{e}^$|\\?*", "/é #&~", "/a%20b"] {
            let pattern = regex::Regex::new(&format!("^{}$", escaped(text))).unwrap();
            assert!(pattern.is_match(text), "{text}");
        }
    }
}
