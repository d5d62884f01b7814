//! The listing of a folder that has no index, as a page or as JSON (nginx: autoindex).

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rustix::fs::{AtFlags, Dir, FileType, Stat};

use super::Fault;
use super::opened::Stamp;
use super::root::{Folder, Purpose};
use super::target;
use crate::kit::http_date;

/// More names than this make a page nobody reads, and a stat of each keeps the worker.
pub(super) const LISTED_MAX: usize = 5_000;

/// Names looked at, hidden ones included.
const READ_MAX: usize = 50_000;

/// RFC 3986 §2.3: unreserved characters stand for themselves in any part of a URI.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a folder holds, as far as it is served: folders first, then by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    entries: Vec<Entry>,
    /// Whether nothing was left out for its number.
    complete: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    is_file: bool,
    name: Vec<u8>,
    /// None for a folder.
    size: Option<u64>,
    modified_secs: Option<u64>,
}

impl Listing {
    /// Reads the folder at `path` below the root.
    pub fn read(root: &Folder, path: &[u8]) -> Result<Self, Fault> {
        let mut names = Dir::new(root.open(path, Purpose::List)?)?;
        let mut listing = Self::default();
        for _ in 0..READ_MAX {
            let Some(name) = names.read().transpose()? else {
                listing.complete = true;
                break;
            };
            if listing.entries.len() == LISTED_MAX {
                break;
            }
            let name = name.file_name().to_bytes();
            if !target::is_servable(name) {
                continue;
            }
            let stat = rustix::fs::statat(names.fd()?, name, AtFlags::SYMLINK_NOFOLLOW);
            // What has gone since, and a link that leads out, is not there for a request either.
            listing
                .entries
                .extend(stat.ok().and_then(|stat| Entry::of(root, path, name, &stat)));
        }
        listing.entries.sort_unstable();
        Ok(listing)
    }

    /// A page without scripts and styles. `title` is the folder's path for people; `up` links to the folder above.
    pub fn html(&self, title: &str, up: bool) -> String {
        let title = escape(title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body>\n<h1>{title}</h1>\n<table>\n<tr><th>Name</th><th>Bytes</th><th>Modified</th></tr>\n"
        );
        if up {
            page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
        }
        for entry in &self.entries {
            entry.row(&mut page);
        }
        page.push_str("</table>\n");
        if !self.complete {
            page.push_str("<p>There are more entries than are shown.</p>\n");
        }
        page.push_str("</body>\n</html>\n");
        page
    }

    /// An array of objects as nginx makes it; one of the type "truncated" ends it where entries were left out.
    pub fn json(&self) -> String {
        let mut items: Vec<String> = self.entries.iter().map(Entry::json).collect();
        if !self.complete {
            items.push("{\"type\":\"truncated\"}".to_owned());
        }
        format!("[{}]\n", items.join(",\n"))
    }
}

impl Entry {
    fn of(root: &Folder, path: &[u8], name: &[u8], stat: &Stat) -> Option<Self> {
        let linked = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Some(root.stat_beneath(&target::join(path, name)).ok()?),
            _ => None,
        };
        let stat = linked.as_ref().unwrap_or(stat);
        let is_file = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => true,
            FileType::Directory => false,
            _ => return None,
        };
        let stamp = Stamp::of(stat);
        Some(Self {
            is_file,
            name: name.to_owned(),
            size: is_file.then_some(stamp.size),
            modified_secs: stamp.modified_secs(),
        })
    }

    fn row(&self, page: &mut String) {
        let slash = if self.is_file { "" } else { "/" };
        // "./" because "a:b" alone would be read as a URI of the scheme "a".
        let link = percent_encode(&self.name, ESCAPED);
        let name = escape(&String::from_utf8_lossy(&self.name));
        let size = self.size.map(|n| n.to_string()).unwrap_or_default();
        let modified = self.modified_secs.map(http_date::format).unwrap_or_default();
        writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{modified}</td></tr>"
        )
        .expect("writing to a string does not fail");
    }

    fn json(&self) -> String {
        let name = quote(&String::from_utf8_lossy(&self.name));
        let kind = if self.is_file { "file" } else { "directory" };
        let mut object = format!("{{\"name\":{name},\"type\":\"{kind}\"");
        if let Some(size) = self.size {
            object.push_str(&format!(",\"size\":{size}"));
        }
        if let Some(at) = self.modified_secs {
            object.push_str(&format!(",\"mtime\":\"{}\"", http_date::format(at)));
        }
        object.push('}');
        object
    }
}

/// Text for HTML, in elements and in attributes with either quote.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// RFC 8259 §7; names with controls are not served and do not come here.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[(&str, bool)]) -> Listing {
        let entry = |(name, is_file): &(&str, bool)| Entry {
            is_file: *is_file,
            name: name.as_bytes().to_owned(),
            size: is_file.then_some(7),
            modified_secs: Some(784_111_777),
        };
        Listing {
            entries: names.iter().map(entry).collect(),
            complete: true,
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        let page = listing(&[("<script>'\"&", true), ("a:b?c#d%", false)]).html("<i>&", true);
        assert!(page.contains("<h1>&lt;i&gt;&amp;</h1>"));
        assert!(page.contains("<a href=\"./%3Cscript%3E%27%22%26\">&lt;script&gt;&#39;&quot;&amp;</a>"));
        assert!(page.contains("<a href=\"./a%3Ab%3Fc%23d%25/\">a:b?c#d%/</a>"));
        assert!(page.contains("href=\"../\"") && !page.contains("<script>"));
    }

    #[test]
    fn the_json_is_an_array_of_what_is_there() {
        assert_eq!(
            listing(&[("d", false), ("a\"b", true)]).json(),
            "[{\"name\":\"d\",\"type\":\"directory\",\"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\"},\n\
             {\"name\":\"a\\\"b\",\"type\":\"file\",\"size\":7,\"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\"}]\n"
        );
        assert_eq!(listing(&[]).json(), "[]\n");
    }

    #[test]
    fn what_was_left_out_is_said() {
        let cut = Listing::default();
        assert!(cut.html("x", false).contains("more entries") && cut.json().contains("truncated"));
    }
}
