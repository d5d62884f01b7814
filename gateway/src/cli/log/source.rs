//! Where the access log is read from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use gateway::config;
use gateway::config::plan::{AccessLog, LogFormat, LogTarget};
use gateway::reload::environment;

use crate::cli::{Fault, configuration};

/// The first two bytes of a gzip file (RFC 1952 §2.3.1): rotated logs are mostly compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// What is piped in.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Place {
    /// The file that was named; else what is piped in, if no configuration was named; else where the configuration says
    /// that the gateway writes to.
    pub fn find(file: Option<&Path>, config: Option<PathBuf>, is_terminal: bool) -> Result<Self, Fault> {
        match file {
            Some(file) if file.as_os_str() == "-" => return Ok(Self::Stdin),
            Some(file) => return Ok(Self::File(file.to_owned())),
            None if config.is_none() && !is_terminal => return Ok(Self::Stdin),
            None => {}
        }
        let path = configuration(config)?;
        let loaded = config::load(&path, &environment).map_err(Fault::Config)?;
        written_to(&path, &loaded.plan.access_log)
    }
}

fn written_to(path: &Path, log: &AccessLog) -> Result<Place, Fault> {
    let path = path.display();
    match (&log.target, &log.format) {
        (LogTarget::Off, _) => Err(Fault::usage(
            format!("{path} writes no access log"),
            "set [access_log] path, or name a file: -f FILE",
        )),
        (LogTarget::Stdout | LogTarget::Stderr, _) => Err(Fault::usage(
            format!("{path} writes the access log to the gateway's output, not to a file"),
            "pipe it in: journalctl -u sluice -o cat | sluice log -q …; or name a file: -f FILE",
        )),
        (LogTarget::File(_), LogFormat::Combined | LogFormat::Template(_)) => Err(Fault::usage(
            format!("{path} writes an access log that is not JSON"),
            "set [access_log] format = \"json\"; older lines cannot be filtered",
        )),
        (LogTarget::File(file), LogFormat::Json) => Ok(Place::File(file.clone())),
    }
}

/// Opens a log, compressed or not.
pub fn open(path: &Path) -> Result<Box<dyn Read>, Fault> {
    let opened = || -> io::Result<Box<dyn Read>> {
        let mut file = File::open(path)?;
        let mut first = Vec::new();
        (&mut file).take(GZIP.len() as u64).read_to_end(&mut first)?;
        let is_gzip = first == GZIP;
        let file = io::Cursor::new(first).chain(file);
        Ok(if is_gzip {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        })
    };
    opened().map_err(|error| unreadable(&path.display().to_string(), &error))
}

/// A log that cannot be read.
pub fn unreadable(name: &str, error: &io::Error) -> Fault {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name the file: -f FILE",
        io::ErrorKind::PermissionDenied => "run as the gateway's user, or as a member of its group",
        _ => "",
    };
    Fault::failed(format!("{name} cannot be read: {error}"), help)
}
