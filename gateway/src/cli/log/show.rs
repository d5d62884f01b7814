//! A line of the log as people read it: one row of a table whose columns stand before the next line is known.

use super::field::{Field, Fields};
use super::line::Line;
use crate::cli::terminal::printable;

/// Columns of a row besides the address, in characters.
const STATUS: usize = 6;
const METHOD: usize = 7;
const MS: usize = 9;
const SERVER: usize = 24;
const CACHE: usize = 11;
/// The last column is not filled up; this much of it is mostly there.
const REFUSAL: usize = 14;
/// From this width on the whole date fits.
const WIDE: usize = 140;
/// An address is never cut to less.
const ADDRESS_MIN: usize = 16;
/// Where the width is not known: nothing is cut, and what is longer pushes the rest aside.
const ADDRESS: usize = 44;

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Characters of a line; None where it does not matter.
    pub width: Option<usize>,
    /// Whether the status may have a colour.
    pub colour: bool,
}

/// What a row shows.
pub fn shown() -> Fields {
    Fields::of(&[
        Field::Time,
        Field::Status,
        Field::Method,
        Field::Host,
        Field::Path,
        Field::Query,
        Field::DurationMs,
        Field::Upstream,
        Field::Server,
        Field::Cache,
        Field::Refusal,
    ])
}

impl Rows {
    /// The names of the columns.
    pub fn head(&self) -> String {
        let time = self.time();
        let address = self.address();
        format!(
            "{:time$}  {:STATUS$}  {:METHOD$}  {:address$}  {:>MS$}  {:SERVER$}  {:CACHE$}  {}\n",
            "TIME", "STATUS", "METHOD", "HOST AND PATH", "MS", "SERVER", "CACHE", "REFUSAL"
        )
    }

    /// A row. Of the line everything that is [`shown`] has been read.
    pub fn row(&self, line: &Line<'_>) -> String {
        let text = |field| line.text(field).map_or(String::new(), |text| printable(&text));
        let status = line.whole(Field::Status).unwrap_or(0);
        let server = match (text(Field::Upstream), text(Field::Server)) {
            (upstream, server) if server.is_empty() => upstream,
            (upstream, server) => format!("{upstream}/{server}"),
        };
        let address = match (text(Field::Host), text(Field::Path), text(Field::Query)) {
            (host, path, query) if query.is_empty() => format!("{host}{path}"),
            (host, path, query) => format!("{host}{path}?{query}"),
        };
        let ms = line
            .number(Field::DurationMs)
            .map_or(String::new(), |ms| format!("{ms:.1}"));
        let time = text(Field::Time);
        // 2026-11-20T12:34:56.789Z: the time of day is in the middle.
        let time = match time.get(11..23) {
            Some(day_time) if self.time() == 12 => day_time.to_owned(),
            _ => time,
        };
        let [style, plain] = self.style(status);
        let cells = [
            self.cell(&time, self.time()),
            format!("{style}{status:<STATUS$}{plain}"),
            self.cell(&text(Field::Method), METHOD),
            self.cell(&address, self.address()),
            format!("{ms:>MS$}"),
            self.cell(&server, SERVER),
            self.cell(&text(Field::Cache), CACHE),
            text(Field::Refusal),
        ];
        let row = cells.join("  ");
        format!("{}\n", row.trim_end())
    }

    fn time(&self) -> usize {
        if self.width.is_some_and(|width| width < WIDE) {
            12
        } else {
            24
        }
    }

    fn address(&self) -> usize {
        let Some(width) = self.width else { return ADDRESS };
        let others = self.time() + STATUS + METHOD + MS + SERVER + CACHE + REFUSAL + 7 * 2;
        width.saturating_sub(others).max(ADDRESS_MIN)
    }

    /// Filled up to a width; cut to it only where a terminal would break the line.
    fn cell(&self, text: &str, width: usize) -> String {
        let length = text.chars().count();
        if self.width.is_some() && length > width {
            let kept: String = text.chars().take(width - 1).collect();
            return format!("{kept}…");
        }
        format!("{text:width$}")
    }

    fn style(&self, status: u64) -> [&'static str; 2] {
        let style = match status {
            _ if !self.colour => return ["", ""],
            200..=299 => "\x1b[32m",
            300..=399 => "\x1b[36m",
            400..=499 => "\x1b[33m",
            // 0 is a client that has left.
            0 => "\x1b[35m",
            _ => "\x1b[1;31m",
        };
        [style, "\x1b[0m"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-11-20T12:34:56.789Z","method":"GET","host":"example.com","path":"/a\u001b[2J","query":"x=1","status":503,"duration_ms":1234.56,"upstream":"app","server":"10.0.0.1:80","cache":"miss","refusal":"overload"}"#;

    fn row(rows: Rows, line: &str) -> String {
        rows.row(&Line::read(line.as_bytes(), shown()).unwrap())
    }

    #[test]
    fn cells_stand_below_their_heads() {
        let rows = Rows {
            width: None,
            colour: false,
        };
        let (head, text) = (rows.head(), row(rows, LINE));
        for (name, cell) in [
            ("TIME", "2026-11-20T12:34:56.789Z"),
            ("STATUS", "503"),
            ("METHOD", "GET"),
            ("HOST", "example.com/a\u{fffd}[2J?x=1"),
            ("SERVER", "app/10.0.0.1:80"),
            ("CACHE", "miss"),
            ("REFUSAL", "overload"),
        ] {
            let at = head.find(name).unwrap();
            let below: String = text.chars().skip(at).collect();
            assert!(
                below.starts_with(cell),
                "{cell} is not below {name}:\n{head}{text}"
            );
        }
        assert!(text.contains("  1234.6  "), "{text}");
        assert_eq!(
            row(rows, "{}").trim_end(),
            format!("{:24}  0", ""),
            "nothing of it is there"
        );
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        let long = LINE.replace("\"/a", &format!("\"/{}", "é".repeat(500)));
        for width in [110, 139, 140, 300] {
            let rows = Rows {
                width: Some(width),
                colour: false,
            };
            let text = row(rows, &long);
            assert!(text.trim_end().chars().count() <= width, "{width}: {text}");
            assert!(text.contains('…'));
        }
        let rows = Rows {
            width: None,
            colour: false,
        };
        assert!(row(rows, &long).contains(&"é".repeat(500)));
    }

    #[test]
    fn colour_moves_nothing() {
        let [plain, coloured] = [false, true].map(|colour| Rows { width: None, colour });
        let escapes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        for status in ["0", "200", "304", "404", "500", "999"] {
            let line = LINE.replace("503", status);
            let text = row(coloured, &line);
            assert_ne!(text, row(plain, &line));
            assert_eq!(escapes.replace_all(&text, ""), row(plain, &line));
        }
    }
}
