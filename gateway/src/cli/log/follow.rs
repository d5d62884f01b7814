//! A log file that is being written: what is appended, and what comes after it was rotated.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::feed::{Feed, Piece};

/// A file by its name, as it is now and as it will be.
pub struct Followed {
    path: PathBuf,
    file: File,
    feed: Feed,
    /// Bytes read of the file.
    read: u64,
}

impl Followed {
    /// Opens it.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: File::open(path)?,
            feed: Feed::default(),
            read: 0,
        })
    }

    /// Passes over what is in it.
    ///
    /// # Errors
    /// Those of the file.
    pub fn skip(&mut self) -> io::Result<()> {
        self.read = self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Hands out every line that has come, in the file's successor too.
    ///
    /// Whoever rotates a log renames it, and its writer goes on with the old file until it is told to reopen. So the old
    /// one is done with only when something is in the new one. A file that has become shorter was emptied where it
    /// stands, and begins anew.
    ///
    /// # Errors
    /// Those of the files, and those of whoever takes the lines.
    pub fn catch_up(&mut self, take: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
        // Looked at first: what is written to the old file before there is something in the new one is read below.
        let next = self.successor()?;
        self.drain(take)?;
        let Some(next) = next else { return Ok(()) };
        self.feed.finish(take)?;
        (self.file, self.read) = (next, 0);
        self.drain(take)
    }

    fn drain(&mut self, take: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.file.metadata()?.len() < self.read {
            self.feed.finish(take)?;
            self.read = self.file.seek(SeekFrom::Start(0))?;
        }
        loop {
            let n = self.feed.pump(&mut self.file, take)?;
            if n == 0 {
                return Ok(());
            }
            self.read += n as u64;
        }
    }

    /// The file that has taken the name, if there is something in it.
    fn successor(&self) -> io::Result<Option<File>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Renamed, and the new one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (ours, theirs) = (self.file.metadata()?, file.metadata()?);
        let is_ours = (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino());
        Ok((!is_ours && theirs.len() > 0).then_some(file))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
        followed: Followed,
    }

    impl Log {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("access.log");
            std::fs::write(&path, "before\n").unwrap();
            let mut followed = Followed::open(&path).unwrap();
            followed.skip().unwrap();
            Self { folder, followed }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("access.log")
        }

        fn append(&self) -> File {
            File::options()
                .append(true)
                .create(true)
                .open(self.path())
                .unwrap()
        }

        fn rotate(&self) {
            std::fs::rename(self.path(), self.folder.path().join("old")).unwrap();
        }

        fn lines(&mut self) -> Vec<String> {
            let mut lines = Vec::new();
            let mut take = |piece: Piece<'_>| {
                let Piece::Line(line) = piece else {
                    panic!("{piece:?}")
                };
                lines.push(String::from_utf8_lossy(line).into_owned());
                Ok(())
            };
            self.followed.catch_up(&mut take).unwrap();
            lines
        }
    }

    #[test]
    fn what_is_appended_comes_when_its_line_is_whole() {
        let mut log = Log::new();
        assert_eq!(log.lines(), [""; 0]);
        let mut file = log.append();
        write!(file, "one\ntw").unwrap();
        assert_eq!(log.lines(), ["one"]);
        writeln!(file, "o").unwrap();
        assert_eq!(log.lines(), ["two"]);
    }

    #[test]
    fn nothing_is_lost_when_the_log_is_rotated() {
        let mut log = Log::new();
        let mut old = log.append();
        log.rotate();
        writeln!(old, "written before the new one is there").unwrap();
        assert_eq!(log.lines(), ["written before the new one is there"]);
        let mut new = log.append();
        writeln!(old, "written while the new one is empty").unwrap();
        assert_eq!(log.lines(), ["written while the new one is empty"]);
        write!(old, "the last one").unwrap();
        writeln!(new, "the first one").unwrap();
        assert_eq!(log.lines(), ["the last one", "the first one"]);
        writeln!(new, "the second one").unwrap();
        assert_eq!(log.lines(), ["the second one"]);
    }

    #[test]
    fn a_log_that_is_emptied_begins_anew() {
        let mut log = Log::new();
        log.append().set_len(0).unwrap();
        writeln!(log.append(), "new").unwrap();
        assert_eq!(log.lines(), ["new"]);
    }
}
