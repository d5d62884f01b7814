//! A look-out for changes of the configuration's files. What counts is whether the text is another one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config;
use crate::lookout::Lookout;
use crate::reload::{Control, environment};

/// Reloads when the text has changed, for ever.
pub async fn run(control: Arc<Control>, files: Vec<PathBuf>) {
    let Some(path) = control.document().path() else {
        // A text that a command wrote does not change.
        return std::future::pending().await;
    };
    let mut lookout = Lookout::new("configuration files");
    let mut files = files;
    let mut refused = String::new();
    loop {
        lookout.follow(&files);
        // Before the first wait too: the text may have changed between its first reading and the watch.
        match read(path) {
            // The file is not to be what is in use yet. Looked at again soon, whether or not anything happens.
            _ if control.applies.holds(Some(path)) => {}
            None => report_once(&control, path, &mut refused),
            Some((hash, now_files)) => {
                files = now_files;
                // A text that was repaired back to what is in use ends the report of its fault.
                let is_news = hash != control.snapshot().hash || !control.report().ok;
                if is_news && hash != refused {
                    refused = if control.reload().is_ok() {
                        String::new()
                    } else {
                        hash
                    };
                }
            }
        }
        lookout.changed().await;
    }
}

/// The hash of the text, and what else to watch; None while it cannot be used.
fn read(path: &Path) -> Option<(String, Vec<PathBuf>)> {
    config::load(path, &environment)
        .ok()
        .map(|loaded| (loaded.hash, loaded.files))
}

/// A text that cannot be used is reported by one reload, not by one each poll.
fn report_once(control: &Control, path: &Path, refused: &mut String) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mark = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
    if *refused != mark {
        *refused = mark;
        let _ = control.reload();
    }
}
