//! `[tracing]`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::leaf::{At, Duration, Int, Maybe, Share};

/// Spans that wait, at most: some hundred bytes each.
const QUEUE_MAX: u64 = 10_000_000;

/// Where spans of requests are sent, and of which requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// A collector that takes OTLP over HTTP; "/v1/traces" is added where the URL does not end with it.
    pub otlp_endpoint: Maybe<String>,
    /// The share of requests whose spans are kept; errors and slow requests are kept anyway. Default `0.01`.
    pub sample: Maybe<Share>,
    /// What the collector knows this gateway by. Default `"sluice"`.
    pub service_name: Maybe<String>,
    /// Fields for the collector: { Authorization = "Bearer ${OTLP_TOKEN}" }. Default `{}`.
    pub headers: Maybe<BTreeMap<At<String>, At<String>>>,
    /// For one batch, with its answer. Default `"10s"`.
    pub timeout: Maybe<Duration>,
    /// Spans that may wait to be sent; more are dropped and counted. Default `16384`.
    pub max_queue: Maybe<Int<1, QUEUE_MAX>>,
}
