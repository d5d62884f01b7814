//! What servers are asked from time to time.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `[upstreams.*.health_check]`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked; None = a TCP connect.
    pub question: Option<HealthQuestion>,
    /// Between two probes of a server.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// Good probes in a row until it is up.
    pub healthy_threshold: NonZeroU32,
    /// Bad probes in a row until it is down.
    pub unhealthy_threshold: NonZeroU32,
    /// Statuses that count as good.
    pub expect_status: Vec<RangeInclusive<u16>>,
}

/// What a server is asked by a probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthQuestion {
    /// By GET, for a path; the status is the answer.
    Path(String),
    /// By `grpc.health.v1.Health/Check`, for a service; empty is the whole server.
    Grpc(String),
}
