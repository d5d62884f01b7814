//! "Did you mean": what an operator who wrote one word probably wanted.

use std::collections::BTreeMap;

use super::schema::Shape;

/// What other servers call it → what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("access_log_format", "`format` in [access_log]"),
    ("balance", "`load_balancing` in an upstream"),
    ("backend", "`upstream` in a route"),
    ("client_body_timeout", "`body_timeout` in [server.limits]"),
    ("client_header_timeout", "`header_timeout` in [server.limits]"),
    ("client_max_body_size", "`max_body` in [server.limits] or a route"),
    ("encode", "`compression` in a route or [defaults]"),
    (
        "fail_timeout",
        "`ejection_time` in an upstream's outlier_detection",
    ),
    ("gzip", "`compression` in a route or [defaults]"),
    ("gzip_min_length", "`min_size` in [compression]"),
    ("gzip_types", "`types` in [compression]"),
    ("index", "`static_files = { root = …, index = … }` in a route"),
    ("keepalive", "`max_idle` in an upstream"),
    ("lb_policy", "`load_balancing` in an upstream"),
    ("listen", "`address` in [[listeners]]"),
    ("location", "`match = { path_prefix = … }` in a route"),
    (
        "max_fails",
        "`consecutive_failures` in an upstream's outlier_detection",
    ),
    ("maxconn", "`max_conns` of a server"),
    ("proxy_cache", "`store` in a route's [routes.cache]"),
    ("proxy_cache_bypass", "`bypass` in a route's [routes.cache]"),
    ("proxy_cache_key", "`key` in a route's [routes.cache]"),
    ("proxy_cache_min_uses", "`min_uses` in [caches.NAME]"),
    ("proxy_cache_path", "`path` in [caches.NAME]"),
    (
        "proxy_cache_use_stale",
        "`stale_if_error` in a route's [routes.cache]",
    ),
    (
        "proxy_cache_valid",
        "`statuses` and `ttl` in a route's [routes.cache]",
    ),
    ("proxy_connect_timeout", "`connect_timeout` in an upstream"),
    ("proxy_ignore_headers", "`override` in a route's [routes.cache]"),
    (
        "proxy_next_upstream",
        "`retry_on` in an upstream's [upstreams.NAME.retries]",
    ),
    ("proxy_pass", "`upstream` in a route"),
    ("proxy_read_timeout", "`read_timeout` in an upstream"),
    ("proxy_send_timeout", "`write_timeout` in an upstream"),
    (
        "proxy_set_header",
        "`request_headers = { set = { … } }` in a route",
    ),
    ("add_header", "`response_headers = { add = { … } }` in a route"),
    ("return", "`respond` or `redirect` in a route"),
    ("root", "`static_files = { root = … }` in a route"),
    ("server_name", "`match = { host = … }` in a route"),
    ("set_real_ip_from", "`trusted_proxies` in [server]"),
    ("worker_connections", "`max_connections` in [server.limits]"),
    ("worker_processes", "`threads` in [server]"),
    ("workers", "`threads` in [server]"),
];

/// Places of one key that are worth listing.
const PLACES_MAX: usize = 4;

/// What to do about a key that the table does not know.
pub fn for_key(key: &str, keys: &BTreeMap<String, Shape>, root: &Shape) -> String {
    if let Some(close) = closest(key, keys.keys()) {
        return did_you_mean(close);
    }
    if let Some((_, here)) = ELSEWHERE.iter().find(|(name, _)| *name == key) {
        return format!("here this is {here}");
    }
    let mut places = Vec::new();
    places_of(key, root, &mut Vec::new(), &mut places);
    places.dedup();
    if !places.is_empty() && places.len() <= PLACES_MAX {
        return format!("`{key}` belongs in {}", places.join(" or "));
    }
    let known: Vec<&str> = keys.keys().map(String::as_str).collect();
    format!("known here: {}", known.join(", "))
}

/// The candidate an operator may have mistyped, if one is near enough.
pub fn closest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>) -> Option<String> {
    let word = word.to_lowercase().replace('-', "_");
    // One slip in a short word, a third of a long one: beyond that a guess confuses.
    let slips_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|c| {
            let same_form = c.as_ref().to_lowercase().replace('-', "_");
            let shorter = word.len().min(same_form.len());
            let longer_form =
                shorter >= STEM_BYTES_MIN && (word.starts_with(&same_form) || same_form.starts_with(&word));
            // Each character more or less is a slip: most candidates need no closer look.
            let lengths = word.chars().count().abs_diff(same_form.chars().count());
            if lengths > slips_max && !longer_form {
                return None;
            }
            let slips = strsim::damerau_levenshtein(&word, &same_form);
            let near = slips <= slips_max && slips < same_form.chars().count();
            (near || longer_form).then(|| (slips, c.as_ref().to_owned()))
        })
        .min()
        .map(|(_, c)| c)
}

/// "least_connections" means "least_conn", but "a" does not mean "app".
const STEM_BYTES_MIN: usize = 4;

/// The candidate as a question.
pub fn did_you_mean(candidate: impl AsRef<str>) -> String {
    format!("did you mean \"{}\"?", candidate.as_ref())
}

/// "a", "b" or "c"
pub fn one_of<S: AsRef<str>>(choices: &[S]) -> String {
    let quoted: Vec<String> = choices.iter().map(|c| format!("\"{}\"", c.as_ref())).collect();
    or(&quoted)
}

/// a, b or c
pub fn or(choices: &[String]) -> String {
    match choices {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// "[server.limits]" or "[[routes]]": an empty step stands for an item of a list.
fn header(path: &[String]) -> String {
    let steps: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|s| !s.is_empty())
        .collect();
    match path.last() {
        Some(last) if last.is_empty() => format!("[[{}]]", steps.join(".")),
        _ => format!("[{}]", steps.join(".")),
    }
}

/// All tables of a file that know the key, as an operator writes them.
fn places_of(key: &str, shape: &Shape, path: &mut Vec<String>, places: &mut Vec<String>) {
    match shape {
        Shape::Table(keys) => {
            if keys.contains_key(key) && !path.is_empty() {
                places.push(header(path));
            }
            for (name, inner) in keys {
                path.push(name.clone());
                places_of(key, inner, path, places);
                path.pop();
            }
        }
        Shape::Named(inner) => {
            path.push("NAME".to_owned());
            places_of(key, inner, path, places);
            path.pop();
        }
        Shape::List(inner) => {
            path.push(String::new());
            places_of(key, inner, path, places);
            path.pop();
        }
        Shape::OneOf(options) => options.iter().for_each(|o| places_of(key, o, path, places)),
        Shape::Flag | Shape::Int { .. } | Shape::Share | Shape::Text(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    fn top(key: &str) -> String {
        let root = schema::shape();
        let Shape::Table(keys) = &root else {
            panic!("a file is a table")
        };
        for_key(key, keys, &root)
    }

    #[test]
    fn a_slip_a_foreign_word_and_a_misplaced_key_each_get_their_hint() {
        assert_eq!(top("upstream"), "did you mean \"upstreams\"?");
        assert_eq!(top("access-log"), "did you mean \"access_log\"?");
        assert_eq!(top("worker_processes"), "here this is `threads` in [server]");
        assert_eq!(
            top("keepalive_requests"),
            "`keepalive_requests` belongs in [server.limits]"
        );
        assert_eq!(top("strip_prefix"), "`strip_prefix` belongs in [routes.rewrite]");
        assert_eq!(top("redirect"), "`redirect` belongs in [[routes]]");
        assert!(top("zzz").starts_with("known here: access_log, admin"));
    }

    #[test]
    fn a_guess_is_only_made_when_it_is_near() {
        assert_eq!(
            closest("lest_con", ["least_conn", "hash"]),
            Some("least_conn".into())
        );
        assert_eq!(
            closest("least_connections", ["least_conn"]),
            Some("least_conn".into())
        );
        assert_eq!(closest("abc", ["xyz"]), None);
        assert_eq!(closest("a", ["b"]), None);
    }

    #[test]
    fn what_hints_promise_exists() {
        let text = schema();
        for (_, here) in ELSEWHERE {
            let key = here.split(['`', ' ']).nth(1).unwrap();
            assert!(text.contains(&format!("\"{key}\": {{")), "{key}");
        }
    }
}
