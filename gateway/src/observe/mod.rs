//! What is told of the gateway's work: the access log, the metrics, the diagnostics.
//!
//! A worker writes lines into its [`Journal`] and counts in handles it resolved before; one [`LogWriter`]
//! thread owns the log's target; a scrape reads [`Metrics`]. Nothing here can stop a request.

pub mod diagnostics;
pub mod format;
pub mod handles;
pub mod journal;
pub mod line;
pub mod metrics;
pub mod names;
pub mod target;
pub mod timestamp;
pub mod trace;
pub mod writer;

mod escape;
mod exposition;
mod family;
mod number;
mod process;
mod queue;
mod sample;

pub use format::Format;
pub use handles::{
    CacheMetrics, CacheResult, MethodLabel, MirrorMetrics, Mirrored, PurgeKind, ReasonCounters, RetryReason,
    RouteMetrics, ServerMetrics, ServerResult, StatusCounters, UpstreamMetrics,
};
pub use journal::Journal;
pub use line::{Line, ResponseFields, Timings};
pub use metrics::totals::{BUCKETS, RouteTotals, Totals, quantile_s, since};
pub use metrics::{Metrics, NO_ROUTE};
pub use sample::beside::{DiskSample, SpanSample};
pub use sample::guards::{GuardSample, LoadSample, PlaceSample, RateSample, RedisSample};
pub use sample::{
    BreakerState, CacheSample, DiscoverySample, ListenerSample, OrderSample, Sample, ServerSample,
};
pub use target::{LogFault, Target};
pub use timestamp::TimeCache;
pub use trace::{Outbox, Tracer};
pub use writer::{LogWriter, Tally};
