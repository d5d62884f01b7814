use std::collections::{BTreeMap, BTreeSet};

use gateway::observe::names::{self, Kind};

/// Labels that Prometheus itself gives what it scrapes, on a machine or in a cluster.
const TARGET_LABELS: [&str; 4] = ["instance", "job", "namespace", "pod"];

/// Words that stand where a metric could.
const WORDS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "inf", "nan"];

/// Words that a list of labels follows.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Metrics, each with the labels it is chosen by.
    pub metrics: Vec<(String, Vec<String>)>,
    /// Labels of `by (…)` and the like.
    pub grouped: BTreeSet<String>,
    /// Whether a `by (…)` says which labels the result has.
    pub is_aggregated: bool,
}

/// Labels of metrics that a rule records.
pub type Recorded = BTreeMap<String, BTreeSet<String>>;

/// Reads an expression.
pub fn named(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' | '`' => rest = after(&rest[1..], first),
            '[' => rest = after(rest, ']'),
            '{' => {
                let (inside, behind) = braces(rest);
                let labels = matchers(inside);
                match named.metrics.last_mut() {
                    Some(last) => last.1.extend(labels),
                    None => named.metrics.push((String::new(), labels)),
                }
                rest = behind;
            }
            '$' => rest = rest[1..].trim_start_matches(is_part),
            c if c.is_ascii_digit() => rest = rest.trim_start_matches(|c| is_part(c) || c == '.'),
            c if is_part(c) => {
                let behind = rest.trim_start_matches(is_part);
                let word = &rest[..rest.len() - behind.len()];
                rest = word_or_metric(&mut named, word, behind);
            }
            c => rest = &rest[c.len_utf8()..],
        }
    }
    named
}

fn word_or_metric<'a>(named: &mut Named, word: &str, behind: &'a str) -> &'a str {
    let opened = behind.trim_start().strip_prefix('(');
    if GROUPING.contains(&word) {
        let (list, behind) = opened.and_then(|o| o.split_once(')')).unwrap_or(("", behind));
        let labels = list.split(',').map(|l| l.trim().to_owned());
        named.grouped.extend(labels.filter(|l| !l.is_empty()));
        named.is_aggregated |= word == "by";
        return behind;
    }
    let next = behind.trim_start();
    let groups = ["by", "without"].iter().any(|word| next.starts_with(word));
    if opened.is_none() && !groups && !WORDS.contains(&word) {
        named.metrics.push((word.to_owned(), Vec::new()));
    }
    behind
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// What stands behind the first `end`.
fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, behind)| behind)
}

/// What stands between the braces a text begins with, whatever texts within say, and behind them.
fn braces(text: &str) -> (&str, &str) {
    let mut is_text = false;
    let end = text.find(|c| {
        is_text ^= c == '"';
        c == '}' && !is_text
    });
    let end = end.unwrap_or(text.len() - 1);
    (&text[1..end], &text[end + 1..])
}

/// The names of `a="1", b=~"2|3"`.
fn matchers(inside: &str) -> Vec<String> {
    // Every second piece is a text between quotes.
    let outside = inside.split('"').step_by(2);
    let names = outside.map(|piece| piece.trim_matches(|c: char| !is_part(c)));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The labels a metric of the gateway or of a rule has; None if there is no such metric.
pub fn labels_of(metric: &str, recorded: &Recorded) -> Option<BTreeSet<String>> {
    if let Some(labels) = recorded.get(metric) {
        return Some(labels.clone());
    }
    let of_target = TARGET_LABELS.map(str::to_owned);
    if metric == "up" {
        return Some(of_target.into());
    }
    let family =
        |end: &str| names::described(metric.strip_suffix(end)?).filter(|d| d.kind == Kind::Histogram);
    let plain = names::described(metric).filter(|d| d.kind != Kind::Histogram);
    let is_bucket = family("_bucket").is_some();
    let described = plain.or_else(|| ["_bucket", "_sum", "_count"].into_iter().find_map(family))?;
    let own = described.labels.iter().map(|l| (*l).to_owned());
    let bucket = is_bucket.then(|| "le".to_owned());
    Some(own.chain(of_target).chain(bucket).collect())
}

/// What is wrong with the names of an expression, and the labels of its result.
pub fn check(expression: &str, recorded: &Recorded) -> (Vec<String>, BTreeSet<String>) {
    let named = named(expression);
    let mut faults = Vec::new();
    let mut known = BTreeSet::new();
    for (metric, chosen) in &named.metrics {
        match labels_of(metric, recorded) {
            None => faults.push(format!("there is no metric {metric}")),
            Some(labels) => {
                let strange = chosen.iter().filter(|l| !labels.contains(*l));
                faults.extend(strange.map(|l| format!("{metric} has no label {l}")));
                known.extend(labels);
            }
        }
    }
    if named.metrics.is_empty() {
        faults.push("no metric is asked for".to_owned());
    }
    let strange = named.grouped.iter().filter(|l| !known.contains(*l));
    faults.extend(strange.map(|l| format!("nothing has the label {l} to group by")));
    let result = if named.is_aggregated { named.grouped } else { known };
    let faults = faults.iter().map(|f| format!("{f}, in {expression}"));
    (faults.collect(), result)
}

/// The words between `{{` and `}}` that name a label, without `$labels.`.
pub fn placeholders<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let inside = text.split("{{").skip(1).filter_map(|t| t.split("}}").next());
    inside
        .filter_map(|word| word.trim().strip_prefix(prefix))
        .map(|word| word.split([' ', '|']).next().unwrap_or_default())
        .collect()
}

#[test]
fn names_are_found_wherever_they_stand() {
    let text = r#"sum by (job, le) (rate(sluice_requests_total{route=~"a}|b", status="5.."}[$__rate_interval] offset 1d))
        / on (job) a:b:c{x!="by (y)"} > 0.7 and time() - up{job="$job"} < 1e3 or "sluice_nothing""#;
    let named = named(text);
    let metrics: Vec<(&str, Vec<&str>)> = named
        .metrics
        .iter()
        .map(|(m, l)| (m.as_str(), l.iter().map(String::as_str).collect()))
        .collect();
    let expected = [
        ("sluice_requests_total", vec!["route", "status"]),
        ("a:b:c", vec!["x"]),
        ("up", vec!["job"]),
    ];
    assert_eq!(metrics, expected);
    assert_eq!(named.grouped, ["job", "le"].map(str::to_owned).into());
}

#[test]
fn what_does_not_exist_is_told() {
    let faults = |text: &str| check(text, &Recorded::new()).0.len();
    assert_eq!(faults("sum by (route) (rate(sluice_requests_total[5m]))"), 0);
    assert_eq!(faults("sluice_request_duration_seconds_bucket{le=\"1\"}"), 0);
    assert_eq!(faults("sluice_requests"), 1);
    assert_eq!(faults("sluice_requests_total_bucket"), 1);
    assert_eq!(faults("sluice_request_duration_seconds"), 1);
    assert_eq!(faults("sluice_requests_total{server=\"a\"}"), 1);
    assert_eq!(faults("sum by (upstream) (sluice_requests_total)"), 1);
    assert_eq!(faults("1 + 1"), 1);
    assert_eq!(
        placeholders(
            "a {{ $labels.x }} {{ $value | y }} {{ $labels.z | w }}",
            "$labels."
        ),
        ["x", "z"]
    );
}
