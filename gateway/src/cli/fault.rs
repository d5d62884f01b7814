//! Why a command did not do its work, by blame: the words, the configuration, or the world.

use std::fmt;

use gateway::config::Problems;
use gateway::server::StartError;

use crate::cli::terminal;

/// What a command ends with when it has not done its work.
#[derive(Debug)]
pub enum Fault {
    /// Words that are no command, or a question for help: told by the parser of the words.
    Words(Box<clap::Error>),
    /// Words that are a command, but make no sense.
    Usage(Told),
    /// A configuration that cannot be used.
    Config(Problems),
    /// Everything was right, and still it did not work.
    Failed(Told),
}

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub struct Told {
    message: String,
    help: String,
}

impl Fault {
    /// Words that make no sense.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage(Told::new(message, help))
    }

    /// It did not work. The help may be empty.
    pub fn failed(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed(Told::new(message, help))
    }

    /// The same with the code of wrong words, for a command whose code 1 means something else.
    pub fn into_usage(self) -> Self {
        match self {
            Self::Failed(told) => Self::Usage(told),
            other @ (Self::Words(_) | Self::Usage(_) | Self::Config(_)) => other,
        }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            // A question for help is no error, and has code 0.
            Self::Words(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// Tells the person who gave the command.
    pub fn tell(&self) {
        match self {
            // A stream that is gone has nobody to be told.
            Self::Words(error) => _ = error.print(),
            Self::Usage(told) | Self::Failed(told) => terminal::complain(&told.message, &told.help),
            Self::Config(problems) => terminal::tell(&problems.render(terminal::stderr_has_colour())),
        }
    }
}

/// In one line, without the help.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(error) => error.fmt(f),
            Self::Usage(told) | Self::Failed(told) => f.write_str(&told.message),
            Self::Config(_) => f.write_str("the configuration cannot be used"),
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(problems) => Self::Config(problems),
            // Each of these says itself what to do.
            other @ (StartError::Bind(_)
            | StartError::Log(_)
            | StartError::Admin(_)
            | StartError::Handover(_)
            | StartError::System(_)) => Self::failed(other.to_string(), ""),
        }
    }
}

impl Told {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}
