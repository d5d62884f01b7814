//! An order to apply a configuration, and what has become of it, in words that others share.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::conditions::Condition;
use super::staged::FileFault;
use crate::config::{Changes, Problems};
use crate::kit::clock::Now;

/// The shortest watch: it is looked at every second.
pub const GUARD_MIN: Duration = Duration::from_secs(1);
/// The longest: nobody can reload by order, upgrade or apply again for so long.
pub const GUARD_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What is to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Where the text is.
    pub file: PathBuf,
    /// None: it is put in use as a reload does, for good.
    pub guard: Option<Guard>,
}

/// How long a configuration is watched, and what makes it go.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// From [`GUARD_MIN`] to [`GUARD_MAX`].
    pub window: Duration,
    /// One that holds is enough.
    pub conditions: Vec<Condition>,
}

/// What has been put in use.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Tells it from others in `last_apply`.
    pub id: u64,
    /// What is different.
    pub changes: Changes,
    /// What may not be meant.
    pub warnings: Problems,
}

/// What has become of the last one.
#[derive(Clone, Debug, PartialEq)]
pub struct LastApply {
    /// Counts from 1 since the start.
    pub id: u64,
    /// When it was put in use.
    pub at: Now,
    /// Where its text was.
    pub file: PathBuf,
    /// How it stands.
    pub outcome: Outcome,
    /// Why it went, or cannot yet.
    pub reason: Option<String>,
    /// How it is watched.
    pub guard: Option<Guard>,
    /// Requests that have ended since, up to the outcome.
    pub requests: u64,
}

/// How an applied configuration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in use for now.
    Watching,
    /// It is in use, and in the configuration's file.
    Kept,
    /// The one before it is in use again.
    RolledBack,
    /// Somebody has written a newer text into the configuration's file, which is in use.
    Superseded,
}

impl Outcome {
    /// As in `/status` and in the metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Kept => "kept",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }
}

/// Why nothing was applied. Nothing has changed.
#[derive(Debug)]
pub enum ApplyFault {
    /// The gateway was started by a command's words.
    NoFile,
    /// Another one is watched.
    Watching(PathBuf),
    /// The binary is being replaced.
    Upgrading,
    /// The gateway stops.
    Stopping,
    /// There would be nothing to go back to: the file holds something else than what is in use.
    Unsettled(PathBuf),
    /// The file to be applied.
    File(FileFault),
    /// What it says.
    Config(Problems),
    /// The configuration's folder.
    Disk(FileFault),
}

impl fmt::Display for ApplyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("this gateway was started without a configuration file"),
            Self::Watching(file) => write!(
                f,
                "{} is being watched: wait until it is kept or has gone, see sluice status",
                file.display()
            ),
            Self::Upgrading => f.write_str("an upgrade is under way"),
            Self::Stopping => f.write_str("the gateway is stopping"),
            Self::Unsettled(config) => write!(
                f,
                "{} is not what is in use, so there would be nothing to go back to: mend it and reload it first",
                config.display()
            ),
            Self::File(fault) | Self::Disk(fault) => fault.fmt(f),
            Self::Config(problems) => problems.fmt(f),
        }
    }
}

impl std::error::Error for ApplyFault {}
