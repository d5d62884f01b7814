//! A look-out for files that change, whoever changes them and however.
//!
//! Editors replace a file by renaming another one over it, and Kubernetes swaps a symbolic link two folders
//! up; so it is folders that are watched, those of the names and those the names lead to. An event says only that it is
//! time to look: what counts is whether the file holds something else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};

/// Quiet after the last event before the files are read: a save is several events.
const SETTLE: Duration = Duration::from_millis(250);
/// Longest wait for that quiet: in some folders there is none.
const SETTLE_MAX: Duration = Duration::from_secs(1);
/// A look without any event: network and overlay file systems may send none.
const POLL: Duration = Duration::from_secs(10);

/// A watch over some files.
pub struct Lookout {
    /// None where the system has no more of them: then the files are looked at now and then.
    watcher: Option<RecommendedWatcher>,
    events: Receiver<()>,
    watched: BTreeSet<PathBuf>,
}

impl Lookout {
    /// Watches nothing yet. `what` is for the log.
    pub fn new(what: &str) -> Self {
        let (tell, events) = channel(1);
        // A full channel holds an event already, and one is enough.
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_err() || event.is_ok_and(|e| may_change_text(&e.kind)) {
                let _ = tell.try_send(());
            }
        });
        let watcher = watcher
            .inspect_err(|e| log::warn!("{what} are only polled: {e}"))
            .ok();
        Self {
            watcher,
            events,
            watched: BTreeSet::new(),
        }
    }

    /// Watches these and no others. To be called before each look at them: a folder may have been replaced by one of the same
    /// name.
    pub fn follow(&mut self, files: &[PathBuf]) {
        follow(&mut self.watcher, &mut self.watched, files);
    }

    /// Ends when it is time to look again.
    pub async fn changed(&mut self) {
        wait(&mut self.events, self.watcher.is_some()).await;
    }
}

async fn wait(events: &mut Receiver<()>, has_events: bool) {
    let event = async {
        if !has_events || events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let quiet = async {
            while tokio::time::timeout(SETTLE, events.recv())
                .await
                .is_ok_and(|e| e.is_some())
            {}
        };
        let _ = tokio::time::timeout(SETTLE_MAX, quiet).await;
    };
    let _ = tokio::time::timeout(POLL, event).await;
}

/// Whether a file may say something else after this.
///
/// Not when somebody opens or reads one: we do so ourselves, and would wake ourselves for ever. Nor with each write:
/// the access log may lie in the same folder, and would never let it be quiet; whoever has written a text closes it.
fn may_change_text(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => matches!(access, AccessKind::Close(AccessMode::Write)),
        EventKind::Modify(modify) => !matches!(modify, ModifyKind::Data(_)),
        EventKind::Any | EventKind::Create(_) | EventKind::Other | EventKind::Remove(_) => true,
    }
}

fn follow(watcher: &mut Option<RecommendedWatcher>, watched: &mut BTreeSet<PathBuf>, files: &[PathBuf]) {
    let Some(watcher) = watcher else { return };
    let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|f| folders(f)).collect();
    for gone in watched.difference(&wanted) {
        let _ = watcher.unwatch(gone);
    }
    // Again and again, because a folder may have been replaced by one of the same name.
    for folder in &wanted {
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            log::debug!("{} is only polled: {error}", folder.display());
        }
    }
    *watched = wanted;
}

/// The folder a name stands in, each folder its links lead through, and the folder of what it leads to.
fn folders(file: &Path) -> Vec<PathBuf> {
    const LINKS_MAX: usize = 8;
    let mut found = Vec::new();
    let mut at = file.to_path_buf();
    for _ in 0..LINKS_MAX {
        let parent = at
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        found.push(parent.to_path_buf());
        match std::fs::read_link(&at) {
            Ok(target) => at = parent.join(target),
            Err(_) => break,
        }
    }
    if let Ok(real) = file.canonicalize()
        && let Some(parent) = real.parent()
    {
        found.push(parent.to_path_buf());
    }
    if file.is_dir() {
        found.push(file.to_path_buf());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;

    use notify::event::{CreateKind, DataChange, RenameMode};

    use super::*;

    /// Generous: a test that passes does not wait for it.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A volume of Kubernetes: each name leads through the link `..data` to a folder that is never changed, and what is
    /// changed is the link.
    fn fill_volume(volume: &Path, serial: u32, text: &str) {
        let (folder, data) = (format!("..serial_{serial}"), volume.join("..data"));
        let former = fs::read_link(&data).ok();
        fs::create_dir(volume.join(&folder)).unwrap();
        fs::write(volume.join(&folder).join("sluice.toml"), text).unwrap();
        symlink(&folder, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), &data).unwrap();
        match former {
            Some(former) => fs::remove_dir_all(volume.join(former)).unwrap(),
            None => symlink("..data/sluice.toml", volume.join("sluice.toml")).unwrap(),
        }
    }

    #[test]
    fn the_swap_of_a_volume_of_kubernetes_is_an_event_each_time() {
        let volume = tempfile::tempdir().unwrap();
        fill_volume(volume.path(), 0, "old");
        let file = volume.path().join("sluice.toml");
        let (tell, told) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let is_swap = |e: &Event| e.paths.iter().any(|p| p.ends_with("..data"));
            let is_whole = |e: &Event| e.kind == EventKind::Modify(ModifyKind::Name(RenameMode::To));
            if event.is_ok_and(|e| may_change_text(&e.kind) && is_whole(&e) && is_swap(&e)) {
                let _ = tell.send(());
            }
        })
        .ok();
        let mut watched = BTreeSet::new();
        for serial in 1..4 {
            follow(&mut watcher, &mut watched, std::slice::from_ref(&file));
            fill_volume(volume.path(), serial, "new");
            told.recv_timeout(PATIENCE)
                .expect("a swap is seen without a poll");
        }
    }

    #[test]
    fn a_text_that_was_written_or_moved_counts_and_one_that_is_read_or_being_written_does_not() {
        let counts = [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Other,
        ];
        assert!(counts.iter().all(may_change_text));
        let does_not = [
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            EventKind::Access(AccessKind::Close(AccessMode::Read)),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
        ];
        assert!(!does_not.iter().any(may_change_text));
    }
}
