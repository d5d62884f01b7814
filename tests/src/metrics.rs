//! The text format of Prometheus, read into series.

use std::collections::BTreeMap;

/// All series of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    series: Vec<Series>,
    /// The text they were read from.
    pub text: String,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name, with `_bucket`, `_sum` or `_count` where it is part of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads a scrape; fails on a line that is none.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        let series = lines
            .map(|line| Series::parse(line).unwrap_or_else(|| panic!("{line:?} is no series, in:\n{text}")));
        Self {
            series: series.collect(),
            text: text.to_owned(),
        }
    }

    /// All series.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The sum of the series of this name that have (at least) these labels; zero without any.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|s| s.value).sum()
    }

    /// Whether there is such a series.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |s| {
            s.name == name
                && labels
                    .iter()
                    .all(|(n, v)| s.labels.get(*n).is_some_and(|is| is == v))
        })
    }
}

impl Series {
    /// name{label="value",…} number
    fn parse(line: &str) -> Option<Self> {
        let (subject, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let (name, inside) = match subject.split_once('{') {
            None => (subject, ""),
            Some((name, rest)) => (name, rest.strip_suffix('}')?),
        };
        let mut labels = BTreeMap::new();
        let mut rest = inside;
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"")?;
            let end = closing_quote(after)?;
            labels.insert(label.to_owned(), after[..end].replace("\\\"", "\""));
            rest = after[end + 1..].trim_start_matches(',');
        }
        Some(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels_and_summed() {
        let text = "# HELP a b\na{x=\"1\",y=\"a\\\"}b\"} 2\na{y=\"c\",x=\"1\"} 3.5\nb 1\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a", &[("x", "1")]), 5.5);
        assert_eq!(metrics.sum("a", &[("y", "a\"}b")]), 2.0);
        assert!(metrics.has("b", &[]));
        assert!(!metrics.has("a", &[("x", "2")]));
    }
}
