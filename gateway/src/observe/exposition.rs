//! The page a scraper reads: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0.

use std::fmt::Write;

use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};

use super::names;
use crate::wire::syntax;

/// A form of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    OpenMetrics,
}

impl Form {
    /// What the scraper asks for: OpenMetrics if it names it and does not like plain text better.
    pub(super) fn wanted(accept: Option<&[u8]>) -> Self {
        let (mut open, mut text) = (0.0f32, 0.0f32);
        for range in syntax::list(accept.unwrap_or_default()).filter_map(Range::parse) {
            match (range.media_type.as_str(), range.version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => open = open.max(range.quality),
                ("text/plain", None | Some("0.0.4")) => text = text.max(range.quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// An element of Accept (RFC 9110 §12.5.1).
struct Range<'a> {
    media_type: String,
    version: Option<&'a str>,
    quality: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split(';').map(str::trim);
        let mut range = Self {
            media_type: parts.next()?.to_ascii_lowercase(),
            version: None,
            quality: 1.0,
        };
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                range.quality = value.parse().ok()?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value.trim_matches('"'));
            }
        }
        Some(range)
    }
}

/// The families in the order of [`names::ALL`], without those that have no series.
pub(super) fn page(form: Form, families: &[MetricFamily]) -> Vec<u8> {
    let mut page = Page {
        form,
        out: String::with_capacity(16 * 1024),
    };
    let place = |f: &MetricFamily| names::ALL.iter().position(|d| d.name == f.name());
    let mut families: Vec<&MetricFamily> = families.iter().filter(|f| !f.get_metric().is_empty()).collect();
    families.sort_by_key(|f| place(f));
    for family in families {
        page.family(family);
    }
    if form == Form::OpenMetrics {
        page.out.push_str("# EOF\n");
    }
    page.out.into_bytes()
}

struct Page {
    form: Form,
    out: String,
}

impl Page {
    fn family(&mut self, family: &MetricFamily) {
        let name = family.name();
        // OpenMetrics: a counter's family lacks the _total that its samples have.
        let family_name = match self.form {
            Form::Text => name,
            Form::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        };
        self.put(&["# HELP ", family_name, " "]);
        self.escaped(family.help(), self.form == Form::OpenMetrics);
        self.put(&["\n# TYPE ", family_name, " "]);
        self.put(&[type_name(family.get_field_type()), "\n"]);
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match family.get_field_type() {
                MetricType::COUNTER => self.sample(name, "", labels, None, metric.get_counter().get_value()),
                MetricType::HISTOGRAM => self.histogram(name, labels, metric.get_histogram()),
                MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                    self.sample(name, "", labels, None, metric.get_gauge().get_value());
                }
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &[LabelPair], histogram: &Histogram) {
        for bucket in histogram.get_bucket() {
            let bound = self.bound(bucket.upper_bound());
            self.sample(
                name,
                "_bucket",
                labels,
                Some(&bound),
                bucket.cumulative_count() as f64,
            );
        }
        let count = histogram.get_sample_count() as f64;
        self.sample(name, "_bucket", labels, Some("+Inf"), count);
        self.sample(name, "_sum", labels, None, histogram.get_sample_sum());
        self.sample(name, "_count", labels, None, count);
    }

    /// OpenMetrics compares bounds as text and wants every number to look like one with a fraction.
    fn bound(&self, bound: f64) -> String {
        match self.form {
            Form::Text => format!("{bound}"),
            Form::OpenMetrics => format!("{bound:?}"),
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[LabelPair], le: Option<&str>, value: f64) {
        self.put(&[name, suffix]);
        let labels = labels.iter().map(|l| (l.name(), l.value()));
        let mut before = '{';
        for (name, value) in labels.chain(le.map(|bound| ("le", bound))) {
            self.out.push(before);
            self.put(&[name, "=\""]);
            self.escaped(value, true);
            self.out.push('"');
            before = ',';
        }
        if before == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        self.number(value);
        self.out.push('\n');
    }

    fn number(&mut self, value: f64) {
        if value.is_infinite() {
            return self.out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        write!(self.out, "{value}").expect("a String takes every text");
    }

    fn escaped(&mut self, text: &str, with_quotes: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '"' if with_quotes => self.out.push_str("\\\""),
                _ => self.out.push(c),
            }
        }
    }

    fn put(&mut self, parts: &[&str]) {
        self.out.extend(parts.iter().copied());
    }
}

fn type_name(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => "gauge",
        MetricType::HISTOGRAM => "histogram",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_accept() {
        for (accept, form) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            ("text/plain", Form::Text),
            ("application/openmetrics-text", Form::OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"",
                Form::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=0.0.1,text/plain;q=0.5",
                Form::Text,
            ),
            ("application/openmetrics-text;version=1.0.0;q=0", Form::Text),
            ("application/openmetrics-text;q=nonsense", Form::Text),
            ("text/plain, application/openmetrics-text;q=0.9", Form::Text),
            (
                "text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.5",
                Form::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,/;q=0.1",
                Form::OpenMetrics,
            ),
            ("\u{fffd}, application/openmetrics-text", Form::OpenMetrics),
        ] {
            assert_eq!(Form::wanted(Some(accept.as_bytes())), form, "{accept}");
        }
        assert_eq!(Form::wanted(None), Form::Text);
    }
}
