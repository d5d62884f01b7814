//! A configuration's text on its way to the place of the one before it.
//!
//! It is written beside the configuration first, and gets its name only when it is kept: until then a start, after
//! whatever has happened, finds the text of before. Every step is one rename, so there is no half a configuration.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::config::{FILE_BYTES_MAX, reason};

/// Of a mode, who may do what; not that it runs as somebody else.
const MODE_BITS: u32 = 0o777;

/// A text beside the configuration's file that is to take its place.
#[derive(Debug)]
pub struct Staged {
    /// Where links lead to: a link stays a link.
    config: PathBuf,
}

/// What cannot be done with a file.
#[derive(Debug)]
pub struct FileFault {
    file: PathBuf,
    what: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for FileFault {}

impl FileFault {
    fn new(file: &Path, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            what: what.into(),
        }
    }
}

impl Staged {
    /// Writes the text beside the configuration, readable by those who may read that.
    ///
    /// # Errors
    /// The folder cannot be written. Nothing has changed then.
    pub fn write(config: &Path, text: &str) -> Result<Self, FileFault> {
        let config = config
            .canonicalize()
            .map_err(|e| FileFault::new(config, reason(&e)))?;
        let staged = Self { config };
        let path = staged.named(".applying");
        staged.fill(&path, text).map_err(|e| {
            let help = "the gateway has to be able to write into the folder of its configuration";
            FileFault::new(&path, format!("{}; {help}", reason(&e)))
        })?;
        Ok(staged)
    }

    fn fill(&self, path: &Path, text: &str) -> io::Result<()> {
        remove(path)?;
        let old = fs::metadata(&self.config)?;
        // Nobody reads it before it is as closed as the other.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        if chown(path, Some(old.uid()), Some(old.gid())).is_err() {
            // Only root gives files away; a group of one's own can be given by everybody.
            let _ = chown(path, None, Some(old.gid()));
        }
        let has_group = file.metadata()?.gid() == old.gid();
        let mode = mode_like(old.mode(), has_group);
        if mode != old.mode() & MODE_BITS {
            let (name, gid) = (self.config.display(), old.gid());
            log::warn!(
                "the new text of {name} cannot be given to its group ({gid}), and gets mode {mode:03o}: put the gateway's user into that group"
            );
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Gives it the configuration's name. What had it is kept beside it, as `.before-apply`.
    ///
    /// # Errors
    /// The configuration's file is as it was.
    pub fn put_in_place(&self) -> Result<(), FileFault> {
        let fault = |e: io::Error| FileFault::new(&self.config, reason(&e));
        let before = self.named(".before-apply");
        remove(&before).map_err(fault)?;
        fs::hard_link(&self.config, &before)
            .or_else(|_| fs::copy(&self.config, &before).map(drop))
            .map_err(fault)?;
        fs::rename(self.named(".applying"), &self.config).map_err(fault)?;
        self.sync_folder();
        Ok(())
    }

    /// Keeps it beside the configuration as `.rejected`, for whoever wants to know what was wrong with it.
    pub fn reject(&self) {
        let rejected = self.named(".rejected");
        if let Err(error) = fs::rename(self.named(".applying"), &rejected) {
            log::warn!("{} cannot be written: {error}", rejected.display());
        }
    }

    /// Takes it away.
    pub fn discard(&self) {
        let path = self.named(".applying");
        if let Err(error) = remove(&path) {
            log::warn!("{} cannot be removed: {error}", path.display());
        }
    }

    /// A rename outlives a loss of power only when its folder is written. Systems without that have done what they can.
    fn sync_folder(&self) {
        let folder = self.config.parent().unwrap_or(Path::new("/"));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }

    fn named(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(self.config.as_os_str());
        name.push(ending);
        name.into()
    }
}

/// The text of a file that is to become the configuration.
///
/// Whoever can reach the admin address can name any file, so it has to belong to somebody who may write the configuration
/// anyway: to root, to the owner of the configuration, or to the gateway's own user; and not everybody may write it.
///
/// # Errors
/// It cannot be read, or is not to be trusted.
pub fn read_candidate(file: &Path, config: &Path) -> Result<String, FileFault> {
    let fault = |what: &str| FileFault::new(file, what);
    let failed = |e: io::Error| FileFault::new(file, format!("the file cannot be read: {}", reason(&e)));
    // What is no file, as a pipe nobody writes to, must not hold the gateway up.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(file)
        .map_err(failed)?;
    let facts = opened.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(fault("it is no file"));
    }
    let own = rustix::process::geteuid().as_raw();
    let owner = fs::metadata(config).map_err(failed)?.uid();
    if ![0, own, owner].contains(&facts.uid()) {
        return Err(fault(
            "it belongs neither to root, nor to the owner of the configuration, nor to the gateway's user: copy it as one of them",
        ));
    }
    if facts.mode() & 0o002 != 0 {
        return Err(fault("everybody may write it: chmod o-w"));
    }
    let mut text = String::new();
    opened
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(fault("it is longer than 16 MiB, which no configuration is"));
    }
    Ok(text)
}

/// The mode of a file that is to be as closed as one of this mode, whose group it has or has not.
///
/// Without the group, its members are as all others to the new file, and the members of the file's own group were as all
/// others to the old one: nobody may do with the new one what the old one kept from them.
fn mode_like(old: u32, has_group: bool) -> u32 {
    let old = old & MODE_BITS;
    if has_group {
        return old;
    }
    let (owner, group, others) = (old & 0o700, old >> 3 & 0o7, old & 0o7);
    owner | others << 3 | (others & group)
}

/// A file that is not there is as good as removed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
