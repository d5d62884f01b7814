//! A metric with labels: one series for each combination of values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc, Metric};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts};

use super::names::{DURATION_BUCKETS, Described};

/// The series of one metric, by the values of its labels.
///
/// The prometheus crate has such vectors, but finds a series by a hash over its values put together without
/// a mark between them: upstream "web" with server "1.example:80" and upstream "web1" with server
/// ".example:80" would count as one. Here values are compared.
#[derive(Clone)]
pub(super) struct Family<S>(Arc<Shared<S>>);

struct Shared<S> {
    described: &'static Described,
    desc: Desc,
    series: RwLock<BTreeMap<Vec<String>, S>>,
}

/// What a [`Family`] can consist of.
pub(super) trait Series: Metric + Clone {
    const TYPE: MetricType;
    fn new(opts: Opts) -> prometheus::Result<Self>;
}

impl Series for IntCounter {
    const TYPE: MetricType = MetricType::COUNTER;

    fn new(opts: Opts) -> prometheus::Result<Self> {
        Self::with_opts(opts)
    }
}

impl Series for IntGauge {
    const TYPE: MetricType = MetricType::GAUGE;

    fn new(opts: Opts) -> prometheus::Result<Self> {
        Self::with_opts(opts)
    }
}

impl Series for Histogram {
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn new(opts: Opts) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::from(opts).buckets(DURATION_BUCKETS.to_vec()))
    }
}

impl<S: Series> Family<S> {
    pub(super) fn new(described: &'static Described) -> Self {
        let labels = described.labels.iter().map(|l| (*l).to_owned()).collect();
        let desc = Desc::new(
            described.name.to_owned(),
            described.help.to_owned(),
            labels,
            HashMap::new(),
        )
        .expect(NAMES_ARE_VALID);
        Self(Arc::new(Shared {
            described,
            desc,
            series: RwLock::default(),
        }))
    }

    /// The series with these values, in the order of the description's labels. Slow: keep what it returns.
    pub(super) fn series<const N: usize>(&self, values: [&str; N]) -> S {
        debug_assert_eq!(N, self.0.described.labels.len());
        let values = values.map(str::to_owned).to_vec();
        let mut series = self.0.series.write();
        if let Some(series) = series.get(&values) {
            return series.clone();
        }
        let labels = self.0.described.labels.iter().map(|l| (*l).to_owned());
        let labels = labels.zip(values.iter().cloned()).collect();
        let new = S::new(opts(self.0.described).const_labels(labels)).expect(NAMES_ARE_VALID);
        series.insert(values, new.clone());
        new
    }

    /// Drops the series whose values do not pass. Who holds one of them counts into nothing.
    pub(super) fn retain(&self, keep: impl Fn(&[String]) -> bool) {
        self.0.series.write().retain(|values, _| keep(values));
    }
}

impl<S: Series> Collector for Family<S> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.0.described.name.to_owned());
        family.set_help(self.0.described.help.to_owned());
        family.set_field_type(S::TYPE);
        let series = self.0.series.read();
        family.set_metric(series.values().map(|s| self.0.ordered(s.metric())).collect());
        vec![family]
    }
}

impl<S> Shared<S> {
    /// Labels in the order of the description; the crate sorts them by name.
    fn ordered(&self, mut metric: proto::Metric) -> proto::Metric {
        let mut labels = metric.take_label();
        labels.sort_by_key(|l| self.described.labels.iter().position(|name| *name == l.name()));
        metric.set_label(labels);
        metric
    }
}

pub(super) fn opts(described: &Described) -> Opts {
    Opts::new(described.name, described.help)
}

/// The invariant behind every `expect` on the crate's checks: the tests of `names` hold it.
pub(super) const NAMES_ARE_VALID: &str = "names.rs has valid names, each once";
