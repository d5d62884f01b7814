//! A request's head.

use super::fields::Fields;
use super::head::{HeadFault, HeadLimits, first_line, parse_fields};
use super::name::Name;
use super::syntax;
use super::target::{self, Form};

/// The head of one request. Reusable: [`Request::parse`] keeps the allocations.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method, if it is one the gateway acts upon.
    pub method: Method,
    /// The method as it came.
    pub method_text: String,
    /// 1.0 or 1.1.
    pub version: Version,
    /// Whether it came by HTTP/2, and was put into the words of 1.1 by whoever took it in.
    pub is_http2: bool,
    /// Form of the target.
    pub form: Form,
    /// Host and port as the client wrote them: from the absolute form, else the Host field; "" in a 1.0 request without.
    pub authority: String,
    /// The host as routes compare it: lower case, without port.
    pub host: String,
    /// The path as the client wrote it, percent-encoded; "/" for the asterisk form.
    pub raw_path: String,
    /// The path as routes compare it, see [`target::normalise`]. Origins may tell paths apart that are equal here.
    pub path: String,
    /// Whether `raw_path` had dot segments, so that only `path` may be sent on.
    pub had_dots: bool,
    /// What follows the question mark; None without one.
    pub query: Option<String>,
    /// The field lines.
    pub fields: Fields,
}

/// Methods that make a difference here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// CONNECT
    Connect,
    /// DELETE
    Delete,
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// POST
    Post,
    /// PUT
    Put,
    /// TRACE
    Trace,
    /// Any other token.
    Other,
}

/// Version of an HTTP/1 message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Method {
    /// The method of that name; methods are case-sensitive (RFC 9110 §9.1).
    pub fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

impl Request {
    /// Reads a whole head, as [`super::HeadScan`] has found it.
    ///
    /// On success every rule that makes a request unambiguous has been checked except the body's framing
    /// (see [`super::framing`]).
    pub fn parse(&mut self, head: &[u8], limits: HeadLimits) -> Result<(), HeadFault> {
        self.clear();
        let (line, rest) = first_line(head)?;
        let target = self.parse_request_line(line, limits)?;
        parse_fields(rest, &mut self.fields, limits.fields_max)?;
        self.take_target(target)
    }

    /// Whether the connection may carry another request (RFC 9112 §9.3).
    pub fn wants_keep_alive(&self) -> bool {
        !self.fields.has_option("close")
            && (self.version == Version::Http11 || self.fields.has_option("keep-alive"))
    }

    /// Path and query as they are sent on where nothing rewrites them.
    pub fn path_to_send(&self) -> &str {
        if self.had_dots { &self.path } else { &self.raw_path }
    }

    /// Forgets everything and keeps the memory. Nothing of one request may be taken for another's.
    pub fn clear(&mut self) {
        self.method = Method::default();
        self.version = Version::default();
        self.is_http2 = false;
        self.form = Form::default();
        self.method_text.clear();
        self.authority.clear();
        self.host.clear();
        self.raw_path.clear();
        self.path.clear();
        self.had_dots = false;
        self.query = None;
        self.fields.clear();
    }

    /// RFC 9112 §3: `method SP request-target SP HTTP-version`, with exactly these spaces.
    fn parse_request_line<'a>(&mut self, line: &'a [u8], limits: HeadLimits) -> Result<&'a str, HeadFault> {
        const FAULT: HeadFault = HeadFault::Malformed("the request line");
        let mut words = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(FAULT);
        };
        if !syntax::is_token(method) {
            return Err(HeadFault::Malformed("the method"));
        }
        if target.len() > limits.target_bytes_max {
            return Err(HeadFault::TargetTooLong);
        }
        self.version = parse_version(version)?;
        self.method = Method::of(method);
        self.method_text
            .push_str(std::str::from_utf8(method).map_err(|_| FAULT)?);
        let is_printable = !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
        let target = is_printable.then(|| std::str::from_utf8(target).ok()).flatten();
        target.ok_or(HeadFault::Malformed("a byte that may not stand in a target"))
    }

    fn take_target(&mut self, text: &str) -> Result<(), HeadFault> {
        let target = target::split(text, self.method)?;
        self.form = target.form;
        self.raw_path.push_str(target.path);
        self.query = target.query.map(str::to_owned);
        self.had_dots = target::normalise(target.path, &mut self.path)?;
        self.take_authority(target.authority)
    }

    /// RFC 9112 §3.2: a 1.1 request without Host, or any request with more than one or an invalid one, gets 400.
    fn take_authority(&mut self, in_target: Option<&str>) -> Result<(), HeadFault> {
        let mut hosts = self.fields.values(Name::Host);
        let host = match (hosts.next(), hosts.next()) {
            (Some(_), Some(_)) => return Err(HeadFault::Malformed("more than one Host")),
            (host, None) => host,
            (None, Some(_)) => None,
        };
        if host.is_none() && self.version == Version::Http11 {
            return Err(HeadFault::Malformed("no Host"));
        }
        let in_field = host
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| HeadFault::Malformed("Host"))?;
        // RFC 9112 §3.2.2 would let the absolute form win. Whoever sends two different ones means harm, or
        // will be misunderstood by somebody down the line.
        if let (Some(a), Some(b)) = (in_target, in_field)
            && !a.eq_ignore_ascii_case(b)
        {
            return Err(HeadFault::Malformed("the target's host is not the Host field's"));
        }
        let Some(authority) = in_target.or(in_field) else {
            return Ok(());
        };
        target::take_host(authority, &mut self.host)?;
        self.authority.push_str(authority);
        Ok(())
    }
}

/// RFC 9112 §2.3: the name is case-sensitive, one digit on each side of the point.
fn parse_version(text: &[u8]) -> Result<Version, HeadFault> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadFault::Version)
        }
        _ => Err(HeadFault::Malformed("the version")),
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

    fn parse(head: &str) -> Result<Request, HeadFault> {
        let mut request = Request::default();
        request
            .parse(format!("{head}\r\n\r\n").as_bytes(), LIMITS)
            .map(|()| request)
    }

    #[test]
    fn the_four_forms_of_target_are_read() {
        let origin = parse("GET /a/b?c=d?e HTTP/1.1\r\nHost: Example.com:80").unwrap();
        assert_eq!(
            (origin.host.as_str(), origin.raw_path.as_str()),
            ("example.com", "/a/b")
        );
        assert_eq!(origin.query.as_deref(), Some("c=d?e"));
        let absolute = parse("GET http://a.b?x HTTP/1.1\r\nHost: a.b").unwrap();
        assert_eq!((absolute.host.as_str(), absolute.path.as_str()), ("a.b", "/"));
        assert_eq!(
            parse("OPTIONS * HTTP/1.1\r\nHost: a").unwrap().form,
            Form::Asterisk
        );
        assert_eq!(
            parse("CONNECT a:443 HTTP/1.1\r\nHost: a:443").unwrap().form,
            Form::Authority
        );
    }

    #[test]
    fn ambiguous_request_lines_and_hosts_are_refused() {
        for bad in [
            "GET  / HTTP/1.1\r\nHost: a",
            "GET\t/ HTTP/1.1\r\nHost: a",
            "GET / HTTP/1.1 \r\nHost: a",
            "GET /",
            "G(T / HTTP/1.1\r\nHost: a",
            "GET / http/1.1\r\nHost: a",
            "GET a HTTP/1.1\r\nHost: a",
            "GET * HTTP/1.1\r\nHost: a",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a",
            "GET / HTTP/1.1\r\nHost: ",
            "GET / HTTP/1.1\r\nHost: a b",
            "GET / HTTP/1.1\r\nHost: u@a",
            "GET / HTTP/1.1\r\nHost: a/b",
            "GET / HTTP/1.1\r\nHost: a,b",
            "GET / HTTP/1.1\r\nHost: a:b",
            "GET http://a/ HTTP/1.1\r\nHost: b",
            "GET http://u@a/ HTTP/1.1\r\nHost: u@a",
            "GET ftp://a/ HTTP/1.1\r\nHost: a",
            "GET /\u{e9} HTTP/1.1\r\nHost: a",
            "GET /%zz HTTP/1.1\r\nHost: a",
            "GET /%00 HTTP/1.1\r\nHost: a",
            "GET /a#b HTTP/1.1\r\nHost: a",
            "GET /../a HTTP/1.1\r\nHost: a",
            "CONNECT / HTTP/1.1\r\nHost: a",
        ] {
            assert!(
                matches!(parse(bad), Err(HeadFault::Malformed(_))),
                "{bad:?} gave {:?}",
                parse(bad)
            );
        }
        assert_eq!(
            parse("GET / HTTP/2.0\r\nHost: a").unwrap_err(),
            HeadFault::Version
        );
        assert_eq!(
            parse(&format!("GET /{} HTTP/1.1\r\nHost: a", "a".repeat(64))).unwrap_err(),
            HeadFault::TargetTooLong
        );
    }

    #[test]
    fn an_old_client_may_leave_the_host_out() {
        assert_eq!(parse("GET / HTTP/1.0").unwrap().host, "");
    }

    #[test]
    fn connections_persist_by_version_and_option() {
        assert!(parse("GET / HTTP/1.1\r\nHost: a").unwrap().wants_keep_alive());
        assert!(
            !parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close")
                .unwrap()
                .wants_keep_alive()
        );
        assert!(!parse("GET / HTTP/1.0").unwrap().wants_keep_alive());
        assert!(
            parse("GET / HTTP/1.0\r\nConnection: Keep-Alive")
                .unwrap()
                .wants_keep_alive()
        );
    }

    #[test]
    fn a_request_is_forgotten_when_the_next_is_read() {
        let mut request = parse("GET /a/../b?q HTTP/1.1\r\nHost: a\r\nX: y").unwrap();
        request.parse(b"GET / HTTP/1.0\r\n\r\n", LIMITS).unwrap();
        assert_eq!(
            (request.host.as_str(), request.path.as_str(), request.query),
            ("", "/", None)
        );
        assert!(request.fields.is_empty() && !request.had_dots);
    }
}
