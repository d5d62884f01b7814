//! `[tracing]`

use std::fmt;
use std::time::Duration;

/// `[tracing]`: where spans are sent, and of which requests.
#[derive(Clone, PartialEq, Eq)]
pub struct Tracing {
    /// "http://…" or "https://…", without user and password: where the collector takes traces.
    pub url: String,
    /// Of a million requests, those whose spans are kept; errors and slow requests are kept anyway.
    pub sample_ppm: u32,
    /// What the collector knows this gateway by.
    pub service_name: String,
    /// Fields the collector is told: names as written, and values that may be secrets and are shown nowhere.
    pub headers: Vec<(String, String)>,
    /// For one batch, with its answer.
    pub timeout: Duration,
    /// Spans that may wait to be sent.
    pub queue_max: usize,
}

/// Without the values of headers.
impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Tracing")
            .field("url", &self.url)
            .field("sample_ppm", &self.sample_ppm)
            .field("service_name", &self.service_name)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("queue_max", &self.queue_max)
            .finish()
    }
}
