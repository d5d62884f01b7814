//! Words to a tree, and what is included in place.

use std::path::{Path, PathBuf};

use super::lexer::{Kind, Lexer};
use super::tree::{Body, Directive, Place, Tree};
use super::{Fault, FaultKind};

/// Bytes of one file: a list of a million addresses fits.
const FILE_BYTES_MAX: usize = 32 << 20;
/// Files of a configuration; one for each of many sites is usual.
const FILES_MAX: usize = 10_000;
/// Blocks in blocks: nginx itself has no use for more than six.
const BLOCKS_DEEP_MAX: usize = 32;
/// Files that include files: beyond it they include each other.
const INCLUDES_DEEP_MAX: usize = 16;
/// Directives of all files together, so that the report stays readable by a machine.
const DIRECTIVES_MAX: usize = 500_000;

/// Files that hold nothing this importer looks at, and that need not be there.
const NEEDLESS_FILES: [&str; 7] = [
    "mime.types",
    "fastcgi.conf",
    "fastcgi_params",
    "scgi_params",
    "uwsgi_params",
    "koi-utf",
    "win-utf",
];

/// Where files come from; a test has them in memory.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// The files that a pattern with `*`, `?` or `[…]` means, sorted; none if there is no folder.
    fn list(&self, pattern: &Path) -> Vec<PathBuf>;
}

/// Reads a file and all that it includes.
pub fn read(files: &dyn Files, main: &Path) -> Result<Tree, Fault> {
    let mut reader = Reader {
        files,
        // As nginx: what is relative is so to the folder of the main file, wherever `include` stands.
        folder: main.parent().map(Path::to_owned).unwrap_or_default(),
        tree: Tree::default(),
        directives: 0,
    };
    reader.tree.directives = reader.file(main, 0, 0)?;
    Ok(reader.tree)
}

/// Reads one text; `include` stays as it stands.
pub fn read_text(text: &str) -> Result<Vec<Directive>, Fault> {
    let mut count = 0;
    Parser {
        lexer: Lexer::new(text),
        file: 0,
        count: &mut count,
    }
    .directives(0, true)
}

struct Reader<'f> {
    files: &'f dyn Files,
    folder: PathBuf,
    tree: Tree,
    directives: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, includes: usize, blocks: usize) -> Result<Vec<Directive>, Fault> {
        let name = path.display().to_string();
        let named = |fault: Fault| fault.in_file(&name);
        if self.tree.files.len() >= FILES_MAX {
            return Err(named(Fault::at(1, FaultKind::TooMuch("files"))));
        }
        let file = self.tree.files.len();
        self.tree.files.push(name.clone());
        let bytes = self
            .files
            .read(path)
            .map_err(|error| named(Fault::at(1, FaultKind::Unreadable(error.to_string()))))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(named(Fault::at(1, FaultKind::TooMuch("bytes"))));
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut parser = Parser {
            lexer: Lexer::new(text.strip_prefix('\u{feff}').unwrap_or(&text)),
            file,
            count: &mut self.directives,
        };
        let directives = parser.directives(blocks, true).map_err(named)?;
        self.included(directives, includes, blocks)
    }

    /// Directives with those of included files in place.
    fn included(
        &mut self,
        directives: Vec<Directive>,
        includes: usize,
        blocks: usize,
    ) -> Result<Vec<Directive>, Fault> {
        let mut all = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if let Body::Block(inner) = directive.body {
                directive.body = Body::Block(self.included(inner, includes, blocks + 1)?);
            }
            if directive.name != "include" || directive.args.len() != 1 || directive.body != Body::Nothing {
                all.push(directive);
                continue;
            }
            let found = self.include(&directive, includes, blocks)?;
            // It stays, so that the report can tell of it.
            all.push(directive);
            all.extend(found);
        }
        Ok(all)
    }

    fn include(
        &mut self,
        directive: &Directive,
        includes: usize,
        blocks: usize,
    ) -> Result<Vec<Directive>, Fault> {
        let place = directive.place;
        let here = |fault: Fault, tree: &Tree| fault.in_file(&tree.files[place.file]);
        if includes >= INCLUDES_DEEP_MAX {
            let fault = Fault::at(place.line, FaultKind::TooMuch("files that include files"));
            return Err(here(fault, &self.tree));
        }
        let pattern = self.folder.join(directive.arg(0));
        if is_needless(&pattern) {
            return Ok(Vec::new());
        }
        let paths = match directive.arg(0).contains(['*', '?', '[']) {
            true => self.files.list(&pattern),
            false => vec![pattern],
        };
        let mut found = Vec::new();
        for path in paths {
            found.extend(self.file(&path, includes + 1, blocks)?);
        }
        Ok(found)
    }
}

/// Whether an included file need not be read.
pub(super) fn is_needless(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| NEEDLESS_FILES.contains(&name))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    file: usize,
    count: &'t mut usize,
}

impl Parser<'_> {
    fn directives(&mut self, depth: usize, is_file: bool) -> Result<Vec<Directive>, Fault> {
        if depth > BLOCKS_DEEP_MAX {
            return Err(Fault::at(
                self.lexer.line(),
                FaultKind::TooMuch("blocks in blocks"),
            ));
        }
        let opened = self.lexer.line();
        let mut directives = Vec::new();
        loop {
            let Some(token) = self.lexer.next()? else {
                if is_file {
                    return Ok(directives);
                }
                return Err(Fault::at(opened, FaultKind::OpenBlock));
            };
            match token.kind {
                Kind::Word(name) => directives.push(self.directive(name, token.line, depth)?),
                Kind::Close if !is_file => return Ok(directives),
                Kind::Close => return Err(Fault::at(token.line, FaultKind::StrayBrace('}'))),
                Kind::Open => return Err(Fault::at(token.line, FaultKind::StrayBrace('{'))),
                Kind::End => return Err(Fault::at(token.line, FaultKind::StraySemicolon)),
            }
        }
    }

    fn directive(&mut self, name: String, line: usize, depth: usize) -> Result<Directive, Fault> {
        if *self.count >= DIRECTIVES_MAX {
            return Err(Fault::at(line, FaultKind::TooMuch("directives")));
        }
        let id = *self.count;
        *self.count += 1;
        let mut args = Vec::new();
        let body = loop {
            let Some(token) = self.lexer.next()? else {
                return Err(Fault::at(line, FaultKind::Unfinished(name)));
            };
            match token.kind {
                Kind::Word(word) => args.push(word),
                Kind::End => break Body::Nothing,
                Kind::Open if name.ends_with("_by_lua_block") => break Body::Code(self.lexer.code()?),
                Kind::Open => break Body::Block(self.directives(depth + 1, false)?),
                Kind::Close => return Err(Fault::at(line, FaultKind::Unfinished(name))),
            }
        };
        if let Some(word) = args.iter().chain([&name]).find(|w| w.contains('\u{fffd}')) {
            return Err(Fault::at(line, FaultKind::NotUtf8(word.clone())));
        }
        Ok(Directive {
            id,
            place: Place {
                file: self.file,
                line,
            },
            name,
            args,
            body,
        })
    }
}
