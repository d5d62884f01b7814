//! What requests and answers say about being kept.

use std::time::Duration;

use gateway::cache::policy::control::AnswerControl;
use gateway::cache::policy::directive::directives;
use gateway::cache::policy::structured::{Bare, dictionary, joined, strings};
use gateway::cache::policy::vary::{names, normal_accept_encoding, write_variance};
use gateway::cache::policy::{Asked, Reuse, Storable, Times, age_secs, judge, reuse, share, ttl_secs};
use gateway::config::plan::{Bypass, CacheId, CacheRule, KeyRule};
use gateway::kit::clock::{Mono, Now};
use gateway::wire::head::parse_fields;
use gateway::wire::{Answer, Fields, Method, Name, Request};

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Lines of a request, an empty one, lines of an answer.
pub fn target(data: &[u8]) {
    let (choice, data) = super::chooser(data);
    let end = data
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map_or(data.len(), |at| at + 4);
    let (asked, answered) = data.split_at(end);
    let mut request = Request {
        host: "a".to_owned(),
        authority: "a".to_owned(),
        path: "/".to_owned(),
        raw_path: "/".to_owned(),
        ..Request::default()
    };
    let mut answer = Answer {
        status: [200, 203, 204, 206, 301, 404, 500, 304][usize::from(choice % 8)],
        ..Answer::default()
    };
    let is_read = parse_fields(asked, &mut request.fields, 32).is_ok()
        && parse_fields(answered, &mut answer.fields, 32).is_ok();
    if is_read {
        if choice & 0x80 != 0 {
            request.method = Method::Head;
        }
        check(&request, &answer);
    }
}

fn check(request: &Request, answer: &Answer) {
    let rule = CacheRule {
        store: CacheId(0),
        ttl: None,
        overrides: false,
        statuses: Vec::new(),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        key: KeyRule::default(),
        bypass: Bypass::default(),
    };
    let now = Now {
        mono: Mono(0),
        wall: NOW,
    };
    let times = Times {
        asked_at: now,
        received_at: now,
    };
    let asked = Asked::of(request);
    let control = AnswerControl::of(&answer.fields);
    _ = control.lifetime(NOW.as_secs());
    let kept = judge(request, answer, &rule, &asked, times);
    let shared = share(request, answer, &rule, &asked, times);
    if kept.is_ok() || shared.is_ok() {
        assert!(request.method == Method::Get && !control.no_store && !control.private);
        assert!(!forbids(&answer.fields), "{:?}", answer.fields);
        assert!(!asked.no_store);
        assert!(request.fields.first(Name::Authorization).is_none() || control.is_for_all);
    }
    if let Ok(kept) = kept {
        check_kept(&kept, &asked, &request.fields);
    }
    check_vary(&request.fields, &answer.fields);
}

/// Read without care: words in a Cache-Control that has neither quotes nor a field beside it that takes its place.
fn forbids(fields: &Fields) -> bool {
    let is_ruled = ["cdn-cache-control", "surrogate-control"]
        .iter()
        .any(|n| fields.first_of(n).is_some());
    let mut lines = fields.values_of("cache-control");
    !is_ruled
        && lines.any(|line| {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            !line.contains('"')
                && line
                    .split(',')
                    .any(|word| matches!(word.trim(), "no-store" | "private"))
        })
}

fn check_kept(kept: &Storable, asked: &Asked, fields: &Fields) {
    let freshness = &kept.freshness;
    let received = freshness.received_ms;
    for later in [0, 1, 999, 1000, 60_000, 86_400_000, u64::MAX - received] {
        let now = received + later;
        let age = age_secs(freshness, now);
        let is_fresh = ttl_secs(freshness, now) > 0;
        match reuse(freshness, asked, false, now) {
            Reuse::Fresh { age_secs } => assert!(age_secs == age && freshness.lifetime.as_secs() >= age),
            Reuse::StaleWhileRevalidate { age_secs } | Reuse::StaleAllowed { age_secs } => {
                assert!(
                    age_secs == age && !is_fresh && !freshness.no_cache,
                    "{freshness:?} {later}"
                );
            }
            Reuse::Validate => {}
        }
        assert!(!matches!(reuse(freshness, asked, true, now), Reuse::Fresh { .. }));
        // A clock that was set back makes nothing younger than it was.
        let before = reuse(freshness, asked, false, received.saturating_sub(later));
        assert!(
            !matches!(before, Reuse::Fresh { age_secs } if age_secs < freshness.age_at_receipt.as_secs())
        );
    }
    let mut variance = Vec::new();
    write_variance(&mut variance, &kept.vary, fields);
    assert_eq!(variance.is_empty(), kept.vary.is_empty());
}

fn check_vary(asked: &Fields, answered: &Fields) {
    if let Some(names) = names(answered) {
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(
            names.iter().all(|n| !n.bytes().any(|b| b.is_ascii_uppercase())),
            "{names:?}"
        );
    }
    let star = answered
        .values_of("vary")
        .any(|v| v.split(|b| *b == b',').any(|n| n.trim_ascii() == b"*"));
    assert!(!star || names(answered).is_none());
    let normal = normal_accept_encoding(asked);
    let mut again = Fields::default();
    again.push(b"Accept-Encoding", normal.as_bytes());
    assert_eq!(normal_accept_encoding(&again), normal);
}

/// Structured fields and directives, as they stand in one line.
pub fn structured(data: &[u8]) {
    let commas = data.iter().filter(|b| **b == b',').count();
    for directive in directives(data) {
        _ = (directive.text(), directive.delta());
        let edges = [directive.name.first(), directive.name.last()];
        assert!(!edges.into_iter().flatten().any(|b| matches!(b, b' ' | b'\t')));
    }
    assert!(directives(data).count() <= commas + 1);
    if let Some(members) = dictionary(data) {
        assert!(members.len() <= commas + 1);
        let told: Vec<String> = members.iter().filter_map(|(key, bare)| told(key, bare)).collect();
        let again = told.join(", ");
        let again = dictionary(again.as_bytes()).expect("what was told is well formed");
        let known: Vec<_> = members.iter().filter(|(_, bare)| *bare != Bare::Other).collect();
        assert!(again.iter().eq(known), "{again:?} of {members:?}");
    }
    if let Some(texts) = strings(data) {
        let told: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        assert_eq!(strings(told.join(",").as_bytes()), Some(texts));
    }
    let lines = data.split(|b| *b == b'\n');
    let length = data.len() + 2 * lines.clone().count();
    assert!(joined(lines).is_none_or(|value| value.len() <= length));
}

fn told(key: &[u8], bare: &Bare) -> Option<String> {
    let key = String::from_utf8_lossy(key);
    Some(match bare {
        Bare::Integer(n) => format!("{key}={n}"),
        Bare::Boolean(true) => format!("{key}"),
        Bare::Boolean(false) => format!("{key}=?0"),
        Bare::Text(text) => format!("{key}={}", quoted(text)),
        Bare::Token => format!("{key}=word"),
        Bare::Other => return None,
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
