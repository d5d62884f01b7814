//! An answer's head, as an origin sends it.

use super::fields::Fields;
use super::head::{HeadFault, HeadLimits, first_line, parse_fields};
use super::request::Version;
use super::syntax;

/// The head of one answer. Reusable: [`Answer::parse`] keeps the allocations.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// 1.0 or 1.1.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// The text behind the status; may be empty.
    pub reason: Vec<u8>,
    /// The field lines.
    pub fields: Fields,
}

impl Answer {
    /// Reads a whole head, as [`super::HeadScan`] has found it. As strict as for requests: an origin that
    /// folds lines or sends controls is misread by somebody.
    pub fn parse(&mut self, head: &[u8], limits: HeadLimits) -> Result<(), HeadFault> {
        self.fields.clear();
        let (line, rest) = first_line(head)?;
        self.parse_status_line(line)?;
        parse_fields(rest, &mut self.fields, limits.fields_max)
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.version = Version::default();
        self.status = 0;
        self.reason.clear();
        self.fields.clear();
    }

    /// Whether the origin's connection may carry another request (RFC 9112 §9.3).
    pub fn allows_keep_alive(&self) -> bool {
        !self.fields.has_option("close")
            && (self.version == Version::Http11 || self.fields.has_option("keep-alive"))
    }

    /// RFC 9112 §4: `HTTP-version SP status-code SP [ reason-phrase ]`. The second space is missing so
    /// often where there is no reason that its absence is forgiven; it cannot be misread.
    fn parse_status_line(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        const FAULT: HeadFault = HeadFault::Malformed("the status line");
        let (version, rest) = line.split_at_checked(9).ok_or(FAULT)?;
        self.version = match version {
            b"HTTP/1.1 " => Version::Http11,
            b"HTTP/1.0 " => Version::Http10,
            _ => return Err(FAULT),
        };
        let (code, reason) = rest.split_at_checked(3).ok_or(FAULT)?;
        if !code.iter().all(u8::is_ascii_digit) {
            return Err(FAULT);
        }
        self.status = code.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
        if !(100..600).contains(&self.status) {
            return Err(FAULT);
        }
        let reason = match reason {
            [] => reason,
            [b' ', reason @ ..] if syntax::is_value(reason) => reason,
            _ => return Err(FAULT),
        };
        self.reason.clear();
        self.reason.extend_from_slice(reason);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes_max: 4096,
        fields_max: 10,
        target_bytes_max: 64,
        leading_lines_max: 4,
    };

    fn parse(line: &str) -> Result<Answer, HeadFault> {
        let mut answer = Answer::default();
        answer
            .parse(format!("{line}\r\nA: b\r\n\r\n").as_bytes(), LIMITS)
            .map(|()| answer)
    }

    #[test]
    fn status_lines_are_read_with_and_without_reason() {
        for (line, status, reason) in [
            ("HTTP/1.1 200 OK", 200, "OK"),
            ("HTTP/1.0 404 ", 404, ""),
            ("HTTP/1.1 204", 204, ""),
            ("HTTP/1.1 599 a b", 599, "a b"),
        ] {
            let answer = parse(line).unwrap();
            assert_eq!(
                (answer.status, answer.reason.as_slice()),
                (status, reason.as_bytes()),
                "{line}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_answer() {
        for bad in [
            "",
            "HTTP/1.1",
            "HTTP/2.0 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 600 OK",
            "http/1.1 200 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 +20 OK",
            "HTTP/1.1 200 a\rb",
            "ICY 200 OK",
            "<html>",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
