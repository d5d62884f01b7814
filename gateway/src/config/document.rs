//! Where a configuration's text comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::env::Lookup;
use super::{Loaded, Problems, load, load_text};

/// A configuration that can be read, and read again for a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A file, which may change.
    File(PathBuf),
    /// A text written by a command, which does not.
    Text {
        /// Stands in problems where a file's name would.
        name: String,
        /// TOML.
        text: String,
    },
}

impl Document {
    /// Reads and checks it.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self, env: Lookup<'_>) -> Result<Loaded, Problems> {
        match self {
            Self::File(path) => load(path, env),
            Self::Text { name, text } => load_text(name, text.as_str(), env),
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text { .. } => None,
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Text { name, .. } => f.write_str(name),
        }
    }
}
