//! Files of a folder, served by the gateway itself (nginx: root, index, try_files, gzip_static, autoindex).
//!
//! Synchronous: it looks at metadata and reads small files of a local disk, where the page cache answers; larger
//! files are handed out open, for the lane to stream. A folder on a network file system makes the worker wait.

mod listing;
mod media;
mod open_files;
mod opened;
mod respond;
mod root;
mod shelf;
mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use crate::config::plan::{Coding, StaticFiles, TryFile};
use crate::kit::accept::{self, Form};
use crate::kit::clock::{Mono, Now};
use crate::wire::fields::Fields;
use crate::wire::name::Name;
use open_files::{Found, OpenFiles};
use opened::Opened;
use respond::Representation;
use root::Root;
use target::Target;

/// What is understood here.
const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// One route's files. Shared by all workers; a reload makes new ones.
#[derive(Debug)]
pub struct Files {
    plan: StaticFiles,
    /// The names of the codings whose siblings may be there, in the plan's order.
    codings: Vec<&'static str>,
    open: OpenFiles,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As it came.
    pub method: &'a str,
    /// Percent-encoded, without the route's prefix and without query; starts with a slash, or is empty for the
    /// prefix itself without a slash after it.
    pub path: &'a str,
    /// What was taken off before `path`, as it came. Only redirects need it.
    pub prefix: &'a str,
    /// Without the question mark. Only redirects need it.
    pub query: &'a str,
    /// The request's fields.
    pub fields: &'a Fields,
}

/// What comes of it.
#[derive(Debug)]
pub enum Verdict {
    /// Send this.
    Answer(Answer),
    /// Say no, in the words of the gateway.
    Refuse {
        /// 400, 403, 404, 405, 412, 416, 500, 503, or what `try_files` ends with.
        status: u16,
        /// Belong to the answer whatever its body: Allow of 405, Content-Range of 416, Vary.
        fields: Vec<(&'static str, String)>,
    },
}

/// An answer: the lane adds Date, Content-Length, Connection and what the route's edits say.
#[derive(Debug)]
pub struct Answer {
    /// 200, 204, 206, 301, 304, or what `try_files` ends with.
    pub status: u16,
    /// Fields in order, none twice.
    pub fields: Vec<(&'static str, String)>,
    /// The body. Those of an answer to HEAD say the length and are not sent; 204, 301 and 304 have none.
    pub pieces: Vec<Piece>,
}

/// A stretch of a body, never empty.
#[derive(Debug)]
pub enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// In an open file. One that turns out shorter was truncated in place: the connection must break then.
    File {
        /// Open for reading; its position means nothing.
        file: Arc<File>,
        /// First byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// Why there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The file system failed.
    Broken,
    /// The file changes faster than it can be read.
    Busy,
    /// No more descriptors, or no memory.
    Exhausted,
    /// The gateway may not read it. Said as 403, as nginx and Caddy do: what lies in a published folder is no
    /// secret, and an operator who forgot a mode must not look for a missing file.
    Forbidden,
    /// There is none, or the path leads out of the root.
    Nothing,
}

/// A file and its path below the root.
type Named = (Vec<u8>, Arc<Opened>);

/// Where a path leads.
enum Place {
    /// To a file; its path below the root.
    File(Vec<u8>, Arc<Opened>),
    /// To a folder that has something to show, but the path has no slash at its end.
    Slashless,
    /// To a folder that may be listed.
    Listing(listing::Listing),
    /// Nowhere.
    Nothing,
}

impl Files {
    /// Opens nothing yet: a folder that is not there is said once and means 404 until it appears.
    pub fn new(plan: &StaticFiles) -> Self {
        Self {
            plan: plan.clone(),
            codings: plan.precompressed.iter().map(|c| c.name()).collect(),
            open: OpenFiles::new(Root::new(&plan.root)),
        }
    }

    /// The same folder without what requests have opened and read so far: who looks through it spares and stales nothing.
    pub fn apart(&self) -> Self {
        Self::new(&self.plan)
    }

    /// Answers one request. Waits for the local file system and for nothing else.
    pub fn answer(&self, request: &Request<'_>, now: Now) -> Verdict {
        match request.method {
            "GET" | "HEAD" => {}
            "OPTIONS" => return Verdict::Answer(Answer::empty(204).with("Allow", ALLOWED)),
            _ => return Verdict::refuse(405, [("Allow", ALLOWED.to_owned())]),
        }
        let target = match Target::parse(request.path) {
            Ok(target) => Some(target),
            Err(target::Fault::Hidden) => return Verdict::refuse(404, None),
            Err(target::Fault::Malformed) => return Verdict::refuse(400, None),
            Err(target::Fault::Nameless) => None,
        };
        let place = target.as_ref().map_or(Ok(Place::Nothing), |t| self.place(t, now));
        match place {
            Ok(Place::File(path, file)) => self.send(path, file, request, now),
            Ok(Place::Slashless) => Verdict::Answer(redirect(request)),
            Ok(Place::Listing(listing)) => Verdict::Answer(list(&listing, target.as_ref(), request)),
            Ok(Place::Nothing) => self.fall_back(target.as_ref(), request, now),
            Err(fault) => Verdict::refuse(fault.status(), None),
        }
    }

    /// Closes files nobody has asked for lately. Requests do it on their way; without any, the caller should now
    /// and then, so that a deleted file gives its space back.
    pub fn sweep(&self, now: Mono) {
        self.open.sweep(now);
    }

    fn place(&self, target: &Target, now: Now) -> Result<Place, Fault> {
        if target.folder {
            return self.in_folder(target, now);
        }
        match self.open.find(&target.path, now)? {
            Found::File(file) => Ok(Place::File(target.path.clone(), file)),
            Found::Folder if self.plan.directory_listing => Ok(Place::Slashless),
            // A folder with nothing to show is not given away by a redirect.
            Found::Folder => {
                let index = self.index(target, now)?;
                Ok(index.map_or(Place::Nothing, |_| Place::Slashless))
            }
            Found::Nothing => Ok(Place::Nothing),
        }
    }

    /// The folder itself is looked up only to be listed: one open instead of two.
    fn in_folder(&self, target: &Target, now: Now) -> Result<Place, Fault> {
        if let Some((path, file)) = self.index(target, now)? {
            return Ok(Place::File(path, file));
        }
        if !self.plan.directory_listing {
            return Ok(Place::Nothing);
        }
        let listing = self.open.list(&target.path, now)?;
        Ok(listing.map_or(Place::Nothing, Place::Listing))
    }

    fn index(&self, target: &Target, now: Now) -> Result<Option<Named>, Fault> {
        let Some(name) = &self.plan.index else {
            return Ok(None);
        };
        let path = target::join(&target.path, name.as_bytes());
        Ok(match self.open.find(&path, now)? {
            Found::File(file) => Some((path, file)),
            Found::Folder | Found::Nothing => None,
        })
    }

    /// `try_files`: files only, in turn. What cannot be named from this path is passed over.
    fn fall_back(&self, asked: Option<&Target>, request: &Request<'_>, now: Now) -> Verdict {
        for entry in &self.plan.try_files {
            let target = match entry {
                TryFile::Path(text) => Target::of_entry(text, asked),
                TryFile::Status(status @ ..400) => return Verdict::Answer(Answer::empty(*status)),
                TryFile::Status(status) => return Verdict::refuse(*status, None),
            };
            match target.map_or(Ok(Place::Nothing), |t| self.place(&t, now)) {
                Ok(Place::File(path, file)) => return self.send(path, file, request, now),
                Ok(Place::Listing(_) | Place::Nothing | Place::Slashless) => {}
                Err(fault) => return Verdict::refuse(fault.status(), None),
            }
        }
        Verdict::refuse(404, None)
    }

    fn send(&self, path: Vec<u8>, original: Arc<Opened>, request: &Request<'_>, now: Now) -> Verdict {
        let media = media::of(&path);
        let sibling = self.sibling(path, &original, request.fields, now);
        let (file, coding) = sibling.map_or((original, None), |(file, coding)| (file, Some(coding)));
        let representation = Representation {
            file,
            media,
            coding,
            varies: !self.codings.is_empty(),
        };
        respond::respond(&representation, request, now)
    }

    /// The precompressed form the client wants most, if it is there and not older than the original.
    ///
    /// Where the client refuses even the plain form and there is no other, it gets the plain one: RFC 9110 §12.4.1
    /// lets a server disregard a preference it cannot meet, and a file is of more use than 406.
    fn sibling(
        &self,
        mut path: Vec<u8>,
        original: &Opened,
        fields: &Fields,
        now: Now,
    ) -> Option<(Arc<Opened>, Coding)> {
        if self.codings.is_empty() || fields.first(Name::AcceptEncoding).is_none() {
            return None;
        }
        let wanted = accept::codings(fields.elements(Name::AcceptEncoding), &self.codings).wanted;
        let length = path.len();
        wanted.into_iter().find_map(|at| {
            let coding = self.plan.precompressed[at];
            path.truncate(length);
            path.extend_from_slice(coding.extension().as_bytes());
            let file = self.open.find_sibling(&path, now)?;
            (!file.stamp.is_older_than(&original.stamp)).then_some((file, coding))
        })
    }
}

/// To the same path with a slash at its end, where relative links are right.
///
/// Built segment by segment: with two slashes at its start it would lead to another host.
fn redirect(request: &Request<'_>) -> Answer {
    let mut to = String::new();
    let segments = request.prefix.split('/').chain(request.path.split('/'));
    for segment in segments.filter(|s| !s.is_empty()) {
        to.push('/');
        to.push_str(segment);
    }
    to.push('/');
    if !request.query.is_empty() {
        to.push('?');
        to.push_str(request.query);
    }
    Answer::empty(301).with("Location", to)
}

fn list(listing: &listing::Listing, target: Option<&Target>, request: &Request<'_>) -> Answer {
    let path = target.map_or(&b""[..], |t| &t.path);
    let (media, body) = match accept::form(request.fields.elements(Name::Accept)) {
        Form::Json => ("application/json; charset=utf-8", listing.json()),
        Form::Either | Form::Html => {
            let prefix = request.prefix.trim_end_matches('/');
            let slash = if path.is_empty() { "" } else { "/" };
            let title = format!("Index of {prefix}/{}{slash}", String::from_utf8_lossy(path));
            ("text/html; charset=utf-8", listing.html(&title, !path.is_empty()))
        }
    };
    let mut answer = Answer::empty(200)
        .with("Content-Type", media)
        .with("Vary", "Accept")
        .with("X-Content-Type-Options", "nosniff");
    answer.pieces.push(Piece::Bytes(body.into()));
    answer
}

impl Verdict {
    fn refuse(status: u16, fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self::Refuse {
            status,
            fields: fields.into_iter().collect(),
        }
    }
}

impl Answer {
    /// Length of the body in bytes.
    pub fn length(&self) -> u64 {
        self.pieces.iter().map(Piece::length).sum()
    }

    fn empty(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            pieces: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value.into());
        self
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.fields.push((name, value));
    }
}

impl Piece {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

impl Fault {
    fn status(self) -> u16 {
        match self {
            Self::Broken => 500,
            Self::Busy | Self::Exhausted => 503,
            Self::Forbidden => 403,
            Self::Nothing => 404,
        }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            // EXDEV is how openat2 says that a path leaves the root; ENXIO is a socket.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV => Self::Nothing,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Self::Exhausted,
            Errno::AGAIN | Errno::INTR => Self::Busy,
            _ => Self::Broken,
        }
    }
}
