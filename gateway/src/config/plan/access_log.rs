//! `[access_log]`

use std::path::PathBuf;
use std::time::Duration;

use crate::kit::template::{LogVariable, Template};

/// `[access_log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub target: LogTarget,
    /// What a line looks like.
    pub format: LogFormat,
    /// From here on a request is slow: counted, and logged with its timings.
    pub slow_threshold: Duration,
}

/// `access_log.path`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Appended to, reopened on USR1.
    File(PathBuf),
    /// No access log.
    Off,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// `access_log.format`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The combined format of Apache and nginx.
    Combined,
    /// One JSON object a line.
    Json,
    /// The operator's own.
    Template(Template<LogVariable>),
}
