//! Where the access log goes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::plan::LogTarget;

/// An open target. Opening can fail, using it cannot refuse: so a reload opens first and switches last.
pub struct Target {
    plan: LogTarget,
    sink: Box<dyn Write + Send>,
}

/// Why there is no access log.
#[derive(Debug)]
pub enum LogFault {
    /// The file could not be opened for appending.
    Open {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process was started without this stream.
    Stream {
        /// "stdout" or "stderr".
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No thread for the writer.
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

impl Target {
    /// Opens what the operator has chosen, without truncating it.
    pub fn open(plan: &LogTarget) -> Result<Self, LogFault> {
        let sink: Box<dyn Write + Send> = match plan {
            LogTarget::File(path) => Box::new(append(path).map_err(|source| LogFault::Open {
                path: path.clone(),
                source,
            })?),
            LogTarget::Off => Box::new(io::sink()),
            LogTarget::Stderr => Box::new(stream("stderr", io::stderr())?),
            LogTarget::Stdout => Box::new(stream("stdout", io::stdout())?),
        };
        Ok(Self {
            plan: plan.clone(),
            sink,
        })
    }

    /// What it was opened from.
    pub fn plan(&self) -> &LogTarget {
        &self.plan
    }

    pub(super) fn is_off(&self) -> bool {
        self.plan == LogTarget::Off
    }

    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.sink.write(text)
    }

    #[cfg(test)]
    pub(super) fn of(sink: impl Write + Send + 'static) -> Self {
        Self {
            plan: LogTarget::Stdout,
            sink: Box::new(sink),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    // A FIFO opened for writing alone makes the open wait for its reader, and the start with it.
    let is_fifo = path.metadata().is_ok_and(|m| m.file_type().is_fifo());
    OpenOptions::new()
        .append(true)
        .read(is_fifo)
        .create(true)
        // Lines name people's addresses and what they looked at: not for everyone on the machine.
        .mode(0o640)
        .open(path)
}

/// The stream without the standard library's buffer, which would cut lines differently from us.
fn stream(name: &'static str, stream: impl AsFd) -> Result<File, LogFault> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(fd) => Ok(File::from(fd)),
        Err(source) => Err(LogFault::Stream { name, source }),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plan {
            LogTarget::File(path) => path.display().fmt(f),
            LogTarget::Off => f.write_str("off"),
            LogTarget::Stderr => f.write_str("stderr"),
            LogTarget::Stdout => f.write_str("stdout"),
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => {
                write!(f, "access_log.path: cannot open {}: {source}; ", path.display())?;
                f.write_str(remedy(source.kind()))
            }
            Self::Stream { name, source } => write!(
                f,
                "access_log.path: {name} is not open: {source}; log to a file or turn it \"off\""
            ),
            Self::Thread { source } => write!(
                f,
                "no thread for the access log: {source}; raise the limit on threads (ulimit -u, TasksMax)"
            ),
        }
    }
}

impl std::error::Error for LogFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Stream { source, .. } | Self::Thread { source } => Some(source),
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "create its folder",
        io::ErrorKind::PermissionDenied => "let the gateway's user write there",
        io::ErrorKind::IsADirectory => "name a file in that folder",
        io::ErrorKind::ReadOnlyFilesystem => "choose a path on a writable file system",
        _ => "choose another path, or \"stdout\"",
    }
}
