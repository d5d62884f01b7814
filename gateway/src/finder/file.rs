//! A file of servers.

use std::path::Path;
use std::time::Duration;

use crate::config;
use crate::discovery::Answer;

/// Bounds what is never waited for: a file is read again when it changes.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

pub(super) fn read(path: &Path) -> Answer {
    match config::load_servers(path) {
        Ok(servers) if servers.is_empty() => Answer::Empty("there is none in it".to_owned()),
        Ok(servers) => Answer::Servers {
            servers,
            again_after: AGAIN,
            missing: None,
        },
        Err(problems) => Answer::Failed(problems.to_string().trim_end().to_owned()),
    }
}
