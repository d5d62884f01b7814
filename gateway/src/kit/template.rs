//! Texts with `${variables}`, parsed once when a configuration is read.

use std::fmt;

/// What a template may name; implemented by [`RequestVariable`] and [`LogVariable`].
pub trait Variable: Sized {
    /// The variable of that name, if there is one.
    fn named(name: &str) -> Option<Self>;
    /// All names without an argument, for "did you mean".
    fn names() -> Vec<&'static str>;
}

/// A parsed text with variables of one kind in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<V> {
    text: String,
    parts: Vec<Part<V>>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<V> {
    /// Stands as it is.
    Text(String),
    /// Is asked for.
    Variable(V),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// `${` without `}`.
    Unclosed,
    /// No variable has this name.
    Unknown(String),
}

impl<V: Variable> Template<V> {
    /// Reads a text; `$${` stands for a literal `${`.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let end = inner.find('}').ok_or(TemplateFault::Unclosed)?;
            let variable =
                V::named(&inner[..end]).ok_or_else(|| TemplateFault::Unknown(inner[..end].to_owned()))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Variable(variable));
            rest = &inner[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }
}

impl<V> Template<V> {
    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part<V>] {
        &self.parts
    }

    /// Appends the text to `out`, asking `write` for each variable.
    pub fn render(&self, out: &mut Vec<u8>, mut write: impl FnMut(&V, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(v) => write(v, out),
            }
        }
    }
}

impl<V> fmt::Display for Template<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What can be known of a request before it is answered; used in header edits and redirects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestVariable {
    /// `${client_ip}`
    ClientIp,
    /// `${cookie:NAME}`
    Cookie(String),
    /// `${header:NAME}`, the name in lower case.
    Header(String),
    /// `${host}`: without port.
    Host,
    /// `${method}`
    Method,
    /// `${path}`: as the client wrote it, without query.
    Path,
    /// `${port}`: of the listener.
    Port,
    /// `${query}`: with its leading `?`, or nothing.
    Query,
    /// `${request_id}`
    RequestId,
    /// `${route}`
    Route,
    /// `${scheme}`: http or https.
    Scheme,
    /// `${time_ms}`: Unix time of the request's start.
    TimeMs,
    /// `${uri}`: path and query.
    Uri,
}

impl Variable for RequestVariable {
    fn named(name: &str) -> Option<Self> {
        if let Some((kind, argument)) = name.split_once(':') {
            return match kind {
                _ if argument.is_empty() => None,
                "cookie" => Some(Self::Cookie(argument.to_owned())),
                "header" => Some(Self::Header(argument.to_ascii_lowercase())),
                _ => None,
            };
        }
        Some(match name {
            "client_ip" => Self::ClientIp,
            "host" => Self::Host,
            "method" => Self::Method,
            "path" => Self::Path,
            "port" => Self::Port,
            "query" => Self::Query,
            "request_id" => Self::RequestId,
            "route" => Self::Route,
            "scheme" => Self::Scheme,
            "time_ms" => Self::TimeMs,
            "uri" => Self::Uri,
            _ => return None,
        })
    }

    fn names() -> Vec<&'static str> {
        vec![
            "client_ip",
            "host",
            "method",
            "path",
            "port",
            "query",
            "request_id",
            "route",
            "scheme",
            "time_ms",
            "uri",
            "header:NAME",
            "cookie:NAME",
        ]
    }
}

/// What an access-log line can say: all of a request, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogVariable {
    /// `${bytes_sent}`: body bytes to the client.
    BytesSent,
    /// `${bytes_received}`: body bytes from the client.
    BytesReceived,
    /// `${cache}`: hit, stale, revalidated, miss, uncacheable, bypass, or `-` where nothing is cached.
    Cache,
    /// `${duration_ms}`: from the head's first byte to the last byte sent, with microseconds behind the point.
    DurationMs,
    /// `${protocol}`: HTTP/1.1.
    Protocol,
    /// `${refusal}`: the word of the refusal, or `-`.
    Refusal,
    /// Anything a header edit can name too.
    Request(RequestVariable),
    /// `${response_header:NAME}`, the name in lower case.
    ResponseHeader(String),
    /// `${server}`: address of the last server tried, or `-`.
    Server,
    /// `${status}`
    Status,
    /// `${time}`: RFC 3339, UTC, milliseconds.
    Time,
    /// `${time_local}`: as in the combined log format.
    TimeLocal,
    /// `${tries}`: servers tried.
    Tries,
    /// `${upstream}`: its name, or `-`.
    Upstream,
    /// `${upstream_ms}`: from the first try to the origin's head, or `-`.
    UpstreamMs,
    /// `${user}`: who the route's authority has found it to be, or `-`.
    User,
}

impl Variable for LogVariable {
    fn named(name: &str) -> Option<Self> {
        if let Some(header) = name.strip_prefix("response_header:") {
            return (!header.is_empty()).then(|| Self::ResponseHeader(header.to_ascii_lowercase()));
        }
        Some(match name {
            "bytes_sent" => Self::BytesSent,
            "bytes_received" => Self::BytesReceived,
            "cache" => Self::Cache,
            "duration_ms" => Self::DurationMs,
            "protocol" => Self::Protocol,
            "refusal" => Self::Refusal,
            "server" => Self::Server,
            "status" => Self::Status,
            "time" => Self::Time,
            "time_local" => Self::TimeLocal,
            "tries" => Self::Tries,
            "upstream" => Self::Upstream,
            "upstream_ms" => Self::UpstreamMs,
            "user" => Self::User,
            other => Self::Request(RequestVariable::named(other)?),
        })
    }

    fn names() -> Vec<&'static str> {
        let mut names = RequestVariable::names();
        names.extend([
            "bytes_sent",
            "bytes_received",
            "cache",
            "duration_ms",
            "protocol",
            "refusal",
            "response_header:NAME",
            "server",
            "status",
            "time",
            "time_local",
            "tries",
            "upstream",
            "upstream_ms",
            "user",
        ]);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_and_variables_in_order() {
        let t = Template::<RequestVariable>::parse("https://${host}/new${query}").unwrap();
        let mut out = Vec::new();
        t.render(&mut out, |v, out| {
            out.extend_from_slice(format!("<{v:?}>").as_bytes())
        });
        assert_eq!(out, b"https://<Host>/new<Query>");
    }

    #[test]
    fn every_variable_of_a_line_is_among_the_names_that_are_offered() {
        let words = "bytes_sent bytes_received cache duration_ms protocol refusal response_header:NAME server status time \
                     time_local tries upstream upstream_ms user host uri header:NAME";
        let names = LogVariable::names();
        for word in words.split_whitespace() {
            assert!(LogVariable::named(word).is_some(), "{word}");
            assert!(names.contains(&word), "{word}");
        }
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_one() {
        let t = Template::<RequestVariable>::parse("a$${host}").unwrap();
        assert_eq!(t.parts(), [Part::Text("a${host}".into())]);
    }

    #[test]
    fn unknown_and_unclosed_variables_are_faults() {
        assert_eq!(
            Template::<LogVariable>::parse("${statsu}"),
            Err(TemplateFault::Unknown("statsu".into()))
        );
        assert_eq!(
            Template::<LogVariable>::parse("${status"),
            Err(TemplateFault::Unclosed)
        );
        assert_eq!(
            Template::<LogVariable>::parse("${header:}"),
            Err(TemplateFault::Unknown("header:".into()))
        );
    }
}
