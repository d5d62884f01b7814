//! What an answer says about its being kept: Cache-Control (RFC 9111 §5.2.2), its targeted kin (RFC 9213),
//! Surrogate-Control, Expires and Pragma.
//!
//! `immutable` (RFC 8246) is not among the fields below: it asks clients to leave a fresh answer alone, which a shared
//! cache does anyway.

use std::time::Duration;

use super::directive::{Delta, Directive, directives};
use super::structured::{self, Bare};
use crate::kit::http_date;
use crate::wire::syntax;
use crate::wire::{Fields, Name};

/// The directives that hold for this cache, whichever field they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerControl {
    /// Not to be kept.
    pub no_store: bool,
    /// For one user (the form without field names).
    pub private: bool,
    /// Not to be used without asking the origin (the form without field names).
    pub no_cache: bool,
    /// `must-revalidate` or `proxy-revalidate`.
    pub must_revalidate: bool,
    /// Kept only where the status is understood.
    pub must_understand: bool,
    /// `public`.
    pub public: bool,
    /// Whether it may be kept although the request had Authorization (RFC 9111 §3.5).
    pub is_for_all: bool,
    /// `s-maxage`
    pub s_maxage: Delta,
    /// `max-age`
    pub max_age: Delta,
    /// Expires; read only where no targeted field rules.
    pub expires: Expires,
    /// `stale-while-revalidate` (RFC 5861 §3)
    pub stale_while_revalidate: Delta,
    /// `stale-if-error` (RFC 5861 §4)
    pub stale_if_error: Delta,
    /// Names in lower case that `private` and `no-cache` list: these fields are for one user, the rest is for all.
    pub withheld: Vec<Box<str>>,
}

/// The Expires field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expires {
    /// There is none.
    #[default]
    Absent,
    /// RFC 9111 §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing
    /// a time in the past".
    Past,
    /// Seconds since the epoch.
    At(u64),
}

impl AnswerControl {
    /// Reads the fields of an answer.
    ///
    /// RFC 9213 §2.2: of the targeted fields a cache knows, the first with a valid, non-empty value decides, and the
    /// cache "MUST ignore the Cache-Control and Expires header fields in that response".
    pub fn of(fields: &Fields) -> Self {
        targeted(fields)
            .or_else(|| surrogate(fields))
            .unwrap_or_else(|| standard(fields))
    }

    /// The freshness lifetime (RFC 9111 §4.2.1: "using the first match of" s-maxage, max-age, Expires minus Date).
    ///
    /// None where none of them is there. Zero where the one that counts cannot be read: "Caches are encouraged to
    /// consider responses that have invalid freshness information … to be stale."
    pub fn lifetime(&self, date_secs: u64) -> Option<Duration> {
        match (self.s_maxage, self.max_age, self.expires) {
            (Delta::Absent, Delta::Absent, Expires::Absent) => None,
            (Delta::Absent, Delta::Absent, Expires::Past) => Some(Duration::ZERO),
            (Delta::Absent, Delta::Absent, Expires::At(at)) => {
                Some(Duration::from_secs(at.saturating_sub(date_secs)))
            }
            (Delta::Absent, max_age, _) => Some(max_age.or_zero()),
            (s_maxage, _, _) => Some(s_maxage.or_zero()),
        }
    }

    /// Whether the field is one that `private` or `no-cache` names.
    pub fn withholds(&self, name: &[u8]) -> bool {
        self.withheld
            .iter()
            .any(|w| w.as_bytes().eq_ignore_ascii_case(name))
    }

    fn take(&mut self, directive: &Directive<'_>) {
        let name = |n: &str| directive.name.eq_ignore_ascii_case(n.as_bytes());
        let has_argument = directive.argument.is_some();
        // What restricts holds even where an argument stands that does not belong there; what permits does not.
        if name("no-store") {
            self.no_store = true;
        } else if name("private") {
            self.private |= !self.take_names(directive);
        } else if name("no-cache") {
            self.no_cache |= !self.take_names(directive);
        } else if name("must-revalidate") {
            self.must_revalidate = true;
            self.is_for_all |= !has_argument;
        } else if name("proxy-revalidate") {
            self.must_revalidate = true;
        } else if name("must-understand") {
            self.must_understand = true;
        } else if name("public") {
            self.public |= !has_argument;
            self.is_for_all |= !has_argument;
        } else if name("s-maxage") {
            self.s_maxage.add(directive.delta());
            self.is_for_all |= matches!(directive.delta(), Delta::Seconds(_));
        } else if name("max-age") {
            self.max_age.add(directive.delta());
        } else if name("stale-while-revalidate") {
            self.stale_while_revalidate.add(directive.delta());
        } else if name("stale-if-error") {
            self.stale_if_error.add(directive.delta());
        }
        // RFC 9111 §5.2.3: "A cache MUST ignore unrecognized cache directives."
    }

    /// The fields named by the qualified form (RFC 9111 §5.2.2.4 and §5.2.2.7); false where it is not that form, or one
    /// that cannot be read: the unqualified meaning is the stricter one.
    fn take_names(&mut self, directive: &Directive<'_>) -> bool {
        let Some(text) = directive.text() else {
            return false;
        };
        let names: Vec<_> = syntax::tokens(text).collect();
        if names.is_empty() || !names.iter().all(|n| syntax::is_token(n)) {
            return false;
        }
        let lower = |n: &&[u8]| String::from_utf8_lossy(n).to_ascii_lowercase().into_boxed_str();
        self.withheld.extend(names.iter().map(lower));
        true
    }

    /// A line whose quotes do not close may hide anything: nothing it says makes an answer fresh.
    fn distrust(&mut self) {
        self.s_maxage.add(Delta::Invalid);
        self.public = false;
        self.is_for_all = false;
    }
}

/// Cache-Control, Expires and Pragma.
fn standard(fields: &Fields) -> AnswerControl {
    let mut control = cache_control(fields);
    control.expires = expires(fields);
    // Its meaning in answers "was never specified" (RFC 9111 §5.4), and those who send it mean no-cache. It is heard
    // where there is nothing better, as in requests.
    if fields.first(Name::CacheControl).is_none() && has_pragma_no_cache(fields) {
        control.no_cache = true;
    }
    control
}

fn cache_control(fields: &Fields) -> AnswerControl {
    let mut control = AnswerControl::default();
    let mut is_broken = false;
    for line in fields.values(Name::CacheControl) {
        for directive in directives(line) {
            is_broken |= directive.is_broken;
            control.take(&directive);
        }
    }
    if is_broken {
        control.distrust();
    }
    control
}

/// Whether Pragma has `no-cache`.
pub fn has_pragma_no_cache(fields: &Fields) -> bool {
    let mut elements = fields.tokens(Name::Pragma);
    elements.any(|e| e.eq_ignore_ascii_case(b"no-cache"))
}

/// RFC 9111 §4.2.1: of two Expires lines "either the first occurrence should be used, or the response should be
/// considered stale". Two that differ are none to rely on.
fn expires(fields: &Fields) -> Expires {
    let mut lines = fields.values(Name::Expires);
    let Some(first) = lines.next() else {
        return Expires::Absent;
    };
    match http_date::parse(first) {
        Some(at) if lines.all(|l| l == first) => Expires::At(at),
        Some(_) | None => Expires::Past,
    }
}

/// CDN-Cache-Control (RFC 9213 §3). §2.1: "If a targeted field in a given response is empty, or a parsing error is
/// encountered, that field MUST be ignored by the cache".
fn targeted(fields: &Fields) -> Option<AnswerControl> {
    let value = structured::joined(fields.values(Name::CdnCacheControl))?;
    let members = structured::dictionary(&value)?;
    if members.is_empty() {
        return None;
    }
    let mut control = AnswerControl::default();
    for (at, (key, bare)) in members.iter().enumerate() {
        let is_last = members[at + 1..].iter().all(|(later, _)| later != key);
        if is_last {
            control.take_member(key, bare);
        }
    }
    Some(control)
}

impl AnswerControl {
    /// RFC 9213 §2.1: a directive without value is a Boolean, a quoted one a String, a number an Integer; values of other
    /// types are not to be bent into these.
    fn take_member(&mut self, key: &[u8], bare: &Bare) {
        let mut digits = Vec::new();
        let argument: Option<&[u8]> = match bare {
            // `no-store=?0` says that the directive is not there.
            Bare::Boolean(false) => return,
            Bare::Boolean(true) => None,
            Bare::Integer(n) => {
                digits.extend_from_slice(n.to_string().as_bytes());
                Some(&digits)
            }
            Bare::Text(text) if matches!(key, b"private" | b"no-cache") => Some(text.as_bytes()),
            Bare::Text(_) | Bare::Token | Bare::Other => Some(b""),
        };
        let is_broken = false;
        self.take(&Directive {
            name: key,
            argument,
            is_broken,
        });
    }
}

/// Surrogate-Control, as the Edge Architecture note of 2001 describes it and CDNs read it.
///
/// It sets the times of caches in front of the origin apart from those of browsers, so that Cache-Control's times and
/// its no-store do not count beside it. Unlike RFC 9213 no standard says that `private` does not either; an origin that
/// calls an answer private in one field and forgets it in the other means the former, and the mistake would hand one
/// user's answer to another. `public` counts as well, since Surrogate-Control has no word for it.
fn surrogate(fields: &Fields) -> Option<AnswerControl> {
    let mut control = AnswerControl::default();
    let mut is_broken = false;
    for line in fields.values(Name::SurrogateControl) {
        for directive in directives(line) {
            is_broken |= directive.is_broken;
            control.take_surrogate(&directive);
        }
    }
    if control == AnswerControl::default() && !is_broken {
        return None;
    }
    if is_broken {
        control.distrust();
    }
    let for_browsers = cache_control(fields);
    control.private |= for_browsers.private;
    control.public |= for_browsers.public;
    control.is_for_all |= for_browsers.public;
    control.withheld.extend(for_browsers.withheld);
    Some(control)
}

impl AnswerControl {
    /// `max-age=60+30` grants 30 seconds in which it is used while a newer one is fetched. `;name` behind a directive
    /// makes it another surrogate's. `content` names a processor we are not.
    fn take_surrogate(&mut self, directive: &Directive<'_>) {
        let Some(argument) = directive.argument else {
            return self.take(directive);
        };
        if argument.contains(&b';') && !argument.starts_with(b"\"") {
            return;
        }
        let Some(plus) = argument.iter().position(|b| *b == b'+') else {
            return self.take(directive);
        };
        let part = |text| Directive {
            argument: Some(text),
            ..*directive
        };
        self.take(&part(&argument[..plus]));
        if directive.name.eq_ignore_ascii_case(b"max-age") {
            self.stale_while_revalidate
                .add(part(&argument[plus + 1..]).delta());
        }
    }
}
