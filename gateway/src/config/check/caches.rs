//! `[caches.NAME]`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::values;
use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::plan::{Cache, CacheId};
use crate::config::raw;
use crate::config::raw::leaf::At;

/// Pages, styles and scripts of a site fit in it, and so does it in a small machine.
const MEMORY: u64 = 64 << 20;
/// Below it a cache forgets a page before it is asked for again.
const MEMORY_MIN: u64 = 1 << 20;
/// More than any machine has: whoever writes more has slipped.
const MEMORY_MAX: u64 = 1 << 44;
/// An object and its file's own share of a disk.
const DISK_MIN: u64 = 1 << 20;
/// A pebibyte: whoever writes more has slipped.
const DISK_MAX: u64 = 1 << 50;
/// A size that is written and wrong: enough for whatever else is written, so that it is told once.
const UNKNOWN: u64 = u64::MAX;
/// Films come in pieces below it; an image of a disk shall not push out all the rest.
const MAX_OBJECT: u64 = 512 << 20;
/// A disk is worth a second request only where whoever runs it says so.
const MIN_USES: u32 = 1;

/// The caches by name, and which of them are used.
pub struct Caches<'r> {
    names: Vec<&'r At<String>>,
    used: BTreeSet<usize>,
}

impl<'r> Caches<'r> {
    /// Those of a file, in the order of their ids.
    pub fn of(raw: Option<&'r At<BTreeMap<At<String>, At<raw::Cache>>>>) -> Self {
        Self {
            names: raw.into_iter().flat_map(|section| section.value.keys()).collect(),
            used: BTreeSet::new(),
        }
    }

    /// The cache of this name; None with a problem told.
    pub fn find(&mut self, name: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<CacheId> {
        let found = self.names.iter().position(|n| n.value == name.value);
        if let Some(id) = found {
            self.used.insert(id);
        } else if findings.is_complete() {
            let message = format!("no cache is named \"{}\"", name.value);
            let known: Vec<&str> = self.names.iter().map(|n| n.value.as_str()).collect();
            let help = match (hints::closest(&name.value, &known), known.as_slice()) {
                (Some(close), _) => hints::did_you_mean(close),
                (None, []) => format!("define it: [caches.{}]", name.value),
                (None, [..]) => format!("define [caches.{}], or use {}", name.value, hints::one_of(&known)),
            };
            findings.error(&name.span, path, message).help(help);
        }
        found.map(CacheId)
    }

    /// What to write where a rule does not say which cache it means.
    pub fn example(&self) -> String {
        match self.names.first() {
            Some(name) => format!("add store = \"{}\"", name.value),
            None => "define [caches.edge], and write store = \"edge\"".to_owned(),
        }
    }

    /// A cache that no route uses takes its share of nothing, but its author waits for hits.
    pub fn warn_of_unused(&self, findings: &mut Findings<'_>) {
        if findings.failed() || !findings.is_complete() {
            return;
        }
        for (id, name) in self.names.iter().enumerate() {
            if !self.used.contains(&id) {
                let message = format!("no route uses the cache \"{}\"", name.value);
                let problem = findings.warning(&name.span, &format!("caches.{}", name.value), message);
                problem.help(format!(
                    "add to a route: cache = {{ store = \"{}\" }}",
                    name.value
                ));
            }
        }
    }
}

/// Caches by name, in the order of [`CacheId`].
pub fn caches(
    raw: Option<&At<BTreeMap<At<String>, At<raw::Cache>>>>,
    findings: &mut Findings<'_>,
) -> Vec<Arc<Cache>> {
    let mut folders: Vec<(PathBuf, &At<String>)> = Vec::new();
    let mut caches = Vec::new();
    for (name, item) in raw.into_iter().flat_map(|section| &section.value) {
        let path = format!("caches.{}", name.value);
        values::name(name, &path, findings);
        let cache = cache(name, item, &path, findings);
        if let (Some(_), Some(written)) = (&cache.path, &item.value.path) {
            apart_from(&folders, written, &format!("{path}.path"), findings);
            folders.push((plain_path(Path::new(&written.value)), written));
        }
        caches.push(Arc::new(cache));
    }
    caches
}

fn cache(name: &At<String>, item: &At<raw::Cache>, path: &str, findings: &mut Findings<'_>) -> Cache {
    let raw = &item.value;
    let memory = values::size(
        &raw.memory,
        &format!("{path}.memory"),
        MEMORY_MIN..=MEMORY_MAX,
        raw.memory.as_ref().map_or(MEMORY, |_| UNKNOWN),
        findings,
    );
    let disk = disk(raw, path, findings);
    if raw.disk.is_none() && findings.is_whole(&item.span) {
        only_for_disk(raw, path, findings);
    }
    Cache {
        name: name.value.clone(),
        memory,
        disk,
        path: folder(item, disk, path, findings),
        max_object: max_object(item, memory.max(disk), path, findings),
        min_uses: raw.min_uses.as_ref().map_or(MIN_USES, |n| n.value.u32()),
    }
}

fn disk(raw: &raw::Cache, path: &str, findings: &mut Findings<'_>) -> u64 {
    let at = format!("{path}.disk");
    let wrong = raw.disk.as_ref().map_or(0, |_| UNKNOWN);
    let disk = values::size(&raw.disk, &at, 0..=DISK_MAX, wrong, findings);
    if let Some(written) = &raw.disk
        && (1..DISK_MIN).contains(&disk)
    {
        let message = format!("`disk` cannot be \"{}\"", written.value.0);
        let problem = findings.error(&written.span, &at, message);
        problem.help("write at least \"1MiB\"; \"0\" keeps answers in memory alone");
    }
    disk
}

/// A disk that is written down as 0 was turned off; one that is not mentioned was forgotten.
fn only_for_disk(raw: &raw::Cache, path: &str, findings: &mut Findings<'_>) {
    let folder = raw.path.as_ref().filter(|p| !p.value.is_empty());
    let uses = raw.min_uses.as_ref().filter(|n| n.value.u32() != MIN_USES);
    for (key, span) in [
        ("path", folder.map(|p| &p.span)),
        ("min_uses", uses.map(|n| &n.span)),
    ] {
        let Some(span) = span else { continue };
        let message = format!("`{key}` has no effect without `disk`");
        let problem = findings.error(span, &format!("{path}.{key}"), message);
        problem.help("say how much of the disk it may take: disk = \"10GiB\"");
    }
}

/// Where the disk tier lives; None without one.
fn folder(item: &At<raw::Cache>, disk: u64, path: &str, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let raw = &item.value;
    if disk == 0 {
        return None;
    }
    let at = format!("{path}.path");
    let Some(written) = raw.path.as_ref().filter(|p| !p.value.is_empty()) else {
        if findings.is_whole(&item.span) {
            let span = raw.disk.as_ref().map_or(&item.span, |d| &d.span);
            let problem = findings.error(span, &at, "a cache with a `disk` does not say in which folder");
            problem.help("add path = \"/var/cache/sluice\"");
        }
        return None;
    };
    // "/", "." and ".." are somebody else's: a cache takes what it does not know in its folder for rubbish.
    if plain_path(Path::new(&written.value)).file_name().is_none() {
        let message = format!("\"{}\" is no folder for a cache alone", written.value);
        let problem = findings.error(&written.span, &at, message);
        problem.help("write path = \"/var/cache/sluice\"");
        return None;
    }
    Some(PathBuf::from(&written.value))
}

/// Two caches in one folder would each take the other's files for rubbish.
fn apart_from(
    others: &[(PathBuf, &At<String>)],
    written: &At<String>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let folder = plain_path(Path::new(&written.value));
    for (other, at) in others {
        let message = if *other == folder {
            format!("two caches cannot both have the folder \"{}\"", written.value)
        } else if folder.starts_with(other) {
            format!("\"{}\" lies in the folder of another cache", written.value)
        } else if other.starts_with(&folder) {
            format!("\"{}\" holds the folder of another cache", written.value)
        } else {
            continue;
        };
        let help = format!(
            "the other stands at {}: give each a folder of its own",
            findings.place(&at.span)
        );
        findings.error(&written.span, path, message).help(help);
        // The others stand in each other's way, which is told where they stand.
        return;
    }
}

/// Without "." and "..", as far as the text tells.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match plain.components().next_back() {
                Some(Component::Normal(_)) => _ = plain.pop(),
                Some(Component::RootDir) => {}
                _ => plain.push(part),
            },
            Component::Normal(_) | Component::Prefix(_) | Component::RootDir => plain.push(part),
        }
    }
    plain
}

fn max_object(item: &At<raw::Cache>, room: u64, path: &str, findings: &mut Findings<'_>) -> u64 {
    let raw = &item.value.max_object;
    let at = format!("{path}.max_object");
    let bytes = values::size(raw, &at, 1..=DISK_MAX, MAX_OBJECT.min(room), findings);
    if let Some(written) = raw
        && bytes > room
        && findings.is_whole(&item.span)
    {
        let message = format!(
            "`max_object` is \"{}\", more than the cache holds",
            written.value.0
        );
        let problem = findings.error(&written.span, &at, message);
        problem.help("lower it, or raise `memory` or `disk`");
    }
    bytes
}
