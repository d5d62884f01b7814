//! `sluice log`: the access log, filtered.

pub mod feed;
pub mod field;
mod follow;
mod lexer;
pub mod line;
pub mod query;
mod show;
pub mod source;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Fault, args, terminal};
use feed::{Feed, Piece};
use field::Fields;
use follow::Followed;
use line::Line;
use query::Query;
use show::{Rows, shown};
use source::{Place, unreadable};

/// How often a followed file is looked at: what a person takes for at once.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Filters the log, and tells at the end what could not be read.
pub fn log(config: Option<PathBuf>, words: &args::Log) -> Result<ExitCode, Fault> {
    let query = words.query.as_deref().map(read_query).transpose()?;
    let place = Place::find(words.file.as_deref(), config, io::stdin().is_terminal())?;
    let mut sieve = Sieve::new(query, words, io::stdout().lock());
    let ended = match place {
        Place::Stdin => sieve.take_all(&mut io::stdin().lock(), "stdin"),
        Place::File(path) if words.follow => sieve.follow(&path),
        Place::File(path) => {
            let mut file = source::open(&path)?;
            sieve.take_all(&mut *file, &path.display().to_string())
        }
    };
    ended?;
    sieve.verdict()
}

/// Reads what is wanted, for people: with carets below what is wrong.
pub fn read_query(text: &str) -> Result<Query, Fault> {
    Query::parse(text).map_err(|fault| Fault::usage(fault.told(text), fault.help))
}

/// What holds back the lines that are not wanted.
struct Sieve<W: Write> {
    query: Option<Query>,
    /// What the query asks of a line.
    wanted: Fields,
    out: io::BufWriter<W>,
    rows: Option<Rows>,
    /// Nothing has been written yet.
    is_new: bool,
    /// The last lines that match, where only these are wanted, and how many.
    last: Option<(VecDeque<Vec<u8>>, usize)>,
    lines: u64,
    matched: u64,
    unread: u64,
}

impl<W: Write> Sieve<W> {
    fn new(query: Option<Query>, words: &args::Log, out: W) -> Self {
        let rows = (!words.json).then(|| Rows {
            width: terminal::stdout_width(),
            colour: terminal::stdout_has_colour(),
        });
        Self {
            wanted: query.as_ref().map_or(Fields::default(), Query::fields),
            query,
            out: io::BufWriter::with_capacity(256 << 10, out),
            rows,
            is_new: true,
            last: words.last.map(|n| (VecDeque::new(), n)),
            lines: 0,
            matched: 0,
            unread: 0,
        }
    }

    fn take(&mut self, piece: Piece<'_>) -> io::Result<()> {
        self.lines += 1;
        let Piece::Line(text) = piece else {
            self.unread += 1;
            return Ok(());
        };
        let Some(line) = Line::read(text, self.wanted) else {
            self.unread += 1;
            return Ok(());
        };
        if self.query.as_ref().is_some_and(|query| !query.matches(&line)) {
            return Ok(());
        }
        if let Some((last, n)) = &mut self.last {
            if last.len() == *n {
                last.pop_front();
            }
            last.push_back(text.to_vec());
            self.matched += 1;
            return Ok(());
        }
        self.show(text)
    }

    fn show(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(rows) = &self.rows else {
            self.matched += 1;
            self.out.write_all(text)?;
            return self.out.write_all(b"\n");
        };
        let Some(line) = Line::read(text, shown()) else {
            self.unread += 1;
            return Ok(());
        };
        self.matched += 1;
        if std::mem::take(&mut self.is_new) {
            self.out.write_all(rows.head().as_bytes())?;
        }
        self.out.write_all(rows.row(&line).as_bytes())
    }

    /// Writes what was held back.
    fn flush(&mut self) -> io::Result<()> {
        if let Some((last, _)) = self.last.take() {
            self.matched -= last.len() as u64;
            last.iter().try_for_each(|line| self.show(line))?;
        }
        self.out.flush()
    }

    fn take_all(&mut self, from: &mut dyn io::Read, name: &str) -> Result<(), Fault> {
        let mut feed = Feed::default();
        loop {
            let mut written = Ok(());
            let read = feed.pump(from, &mut |piece| {
                if written.is_ok() {
                    written = self.take(piece);
                }
                Ok(())
            });
            // Who pipes a gateway's log in here wants to see a line when it comes, not when the pipe is full.
            if self.last.is_none() {
                written = written.and_then(|()| self.out.flush());
            }
            if is_over(written)? {
                return Ok(());
            }
            if read.map_err(|error| unreadable(name, &error))? == 0 {
                break;
            }
        }
        let mut written = Ok(());
        let end = feed.finish(&mut |piece| {
            written = self.take(piece);
            Ok(())
        });
        end.map_err(|error| unreadable(name, &error))?;
        is_over(written.and_then(|()| self.flush())).map(|_| ())
    }

    fn follow(&mut self, path: &std::path::Path) -> Result<(), Fault> {
        let name = path.display().to_string();
        let mut file = Followed::open(path).map_err(|error| unreadable(&name, &error))?;
        if self.last.is_none() {
            file.skip().map_err(|error| unreadable(&name, &error))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault::failed(format!("no clock: {error}"), ""))?;
        runtime.block_on(async {
            let failed = |error| Fault::failed(format!("signals cannot be heard: {error}"), "");
            let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
            let mut looks = tokio::time::interval(LOOK_INTERVAL);
            loop {
                tokio::select! {
                    _ = interrupted.recv() => return Ok(()),
                    _ = looks.tick() => {}
                }
                let mut written = Ok(());
                let read = file.catch_up(&mut |piece| {
                    if written.is_ok() {
                        written = self.take(piece);
                    }
                    Ok(())
                });
                if is_over(written.and_then(|()| self.flush()))? {
                    return Ok(());
                }
                read.map_err(|error| unreadable(&name, &error))?;
            }
        })
    }

    /// What is told at the end.
    fn verdict(&self) -> Result<ExitCode, Fault> {
        let (unread, lines) = (self.unread, self.lines);
        if unread == lines && lines > 0 {
            return Err(Fault::failed(
                format!("none of {lines} lines is of an access log in JSON"),
                "the format to write one is [access_log] format = \"json\"",
            ));
        }
        if unread > 0 {
            let are = if unread == 1 { "is" } else { "are" };
            terminal::tell(&format!(
                "sluice: {unread} of {lines} lines {are} not of an access log in JSON, and passed over\n"
            ));
        }
        if lines == 0 {
            terminal::tell(
                "sluice: there are no lines; name a log by -f FILE, or its configuration by -c FILE\n",
            );
        } else if self.matched == 0 {
            terminal::tell(&format!("sluice: no line matches, of {lines}\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether nobody reads any more, as with `head`.
fn is_over(written: io::Result<()>) -> Result<bool, Fault> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Fault::failed(
            format!("the lines cannot be written: {error}"),
            "make room where stdout goes",
        )),
    }
}
