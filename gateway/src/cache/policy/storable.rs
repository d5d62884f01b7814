//! Whether an answer may be kept for others, and for how long (RFC 9111 §3 and §4.2).

use std::time::Duration;

use super::age::{Age, Times, single_date};
use super::asked::Asked;
use super::bypass::{cookie_names, has_content};
use super::control::AnswerControl;
use super::directive::Delta;
use super::vary;
use crate::cache::object::Freshness;
use crate::config::plan::CacheRule;
use crate::kit::etag::EntityTag;
use crate::wire::{Answer, Fields, Length, Method, Name, Request, framing};

/// RFC 9111 §4.2.2: a heuristic lifetime is a fraction of the time since the last change: "A typical setting of this
/// fraction might be 10%."
const HEURISTIC_DIVISOR: u64 = 10;

/// Nobody is told a heuristic lifetime and nobody chose it; what changes after years of rest is to be seen within a day.
const HEURISTIC_SECS_MAX: u64 = 24 * 60 * 60;

/// What is to be kept of an answer besides its fields and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storable {
    /// How long it may be used.
    pub freshness: Freshness,
    /// By which fields the origin chose it; sorted, lower case.
    pub vary: Box<[Box<str>]>,
    /// What the answer said, for [`super::kept_fields`].
    pub control: AnswerControl,
    /// False for one that has grown too old on its way here: those who have waited for it may have it, and nobody else.
    pub is_kept: bool,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unstorable {
    /// Only answers to GET are kept.
    Method,
    /// The request had content, and the key knows nothing of it.
    Content,
    /// The request said no-store.
    RequestNoStore,
    /// The status is not understood, or about the request rather than about what it asked for.
    Status,
    /// Only a part came.
    Partial,
    /// The answer says no-store.
    NoStore,
    /// The answer is for one user.
    Private,
    /// The request had Authorization and the answer does not say that it is for all.
    Authorization,
    /// The request had cookies, the key does not have them, and the origin has not said that the answer may be kept.
    Cookie,
    /// The answer sets a cookie.
    SetCookie,
    /// `Vary: *`, or one that cannot be read.
    VaryStar,
    /// Whether the body is complete cannot be told, or it was not.
    Incomplete,
    /// Neither the origin nor the rule says for how long.
    NoLifetime,
    /// Stale when it came, and nothing to ask the origin about it with.
    Expired,
    /// More tags than can be purged by.
    Tags,
}

impl Unstorable {
    /// A token for `detail` of Cache-Status.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Content => "request-content",
            Self::RequestNoStore => "request-no-store",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Incomplete => "incomplete",
            Self::NoLifetime => "no-lifetime",
            Self::Expired => "expired",
            Self::Tags => "tags",
        }
    }

    /// Whether it is the request's doing: another request's answer may well be kept.
    pub const fn is_about_request(self) -> bool {
        matches!(
            self,
            Self::Method | Self::Content | Self::RequestNoStore | Self::Authorization | Self::Cookie
        )
    }
}

/// Judges an answer to a request of that route.
///
/// The body is judged by the caller once it has come: an answer that broke off is [`Unstorable::Incomplete`].
pub fn judge(
    request: &Request,
    answer: &Answer,
    rule: &CacheRule,
    asked: &Asked,
    times: Times,
) -> Result<Storable, Unstorable> {
    let storable = share(request, answer, rule, asked, times)?;
    storable.is_kept.then_some(storable).ok_or(Unstorable::Expired)
}

/// The same, and answers too that are too old to be kept only because the origin took its time.
///
/// An origin that needs a second for what it says is good for a second is the one to be spared a thousand questions at
/// once. Who asked while it worked is told what it said, as if it had been asked for each of them.
pub fn share(
    request: &Request,
    answer: &Answer,
    rule: &CacheRule,
    asked: &Asked,
    times: Times,
) -> Result<Storable, Unstorable> {
    // RFC 9111 §3: "the request method is understood by the cache". HEAD has no body to keep, and what other methods
    // may be kept for is not worth the risk.
    if request.method != Method::Get {
        return Err(Unstorable::Method);
    }
    check_body(answer)?;
    weigh_all(request, answer, rule, asked, times)
}

/// RFC 9112 §8 lets a body be taken for complete when its connection ends. An origin that crashes ends it likewise, and
/// half a page would be shown until it expires: without a length or chunks nothing is kept.
fn check_body(answer: &Answer) -> Result<(), Unstorable> {
    match framing::of_answer(answer, Method::Get) {
        Ok(Length::None | Length::Known(_) | Length::Chunked) => Ok(()),
        Ok(Length::UntilClose) | Err(_) => Err(Unstorable::Incomplete),
    }
}

/// All of it but the method and the framing, which a 304 has of its own.
pub(super) fn weigh(
    request: &Request,
    head: &Answer,
    rule: &CacheRule,
    asked: &Asked,
    times: Times,
) -> Result<Storable, Unstorable> {
    let storable = weigh_all(request, head, rule, asked, times)?;
    storable.is_kept.then_some(storable).ok_or(Unstorable::Expired)
}

fn weigh_all(
    request: &Request,
    head: &Answer,
    rule: &CacheRule,
    asked: &Asked,
    times: Times,
) -> Result<Storable, Unstorable> {
    if has_content(&request.fields) {
        return Err(Unstorable::Content);
    }
    if asked.no_store {
        return Err(Unstorable::RequestNoStore);
    }
    let control = AnswerControl::of(&head.fields);
    check_status(head, &control, rule)?;
    check_sharing(request, &head.fields, &control)?;
    let vary = vary::names(&head.fields).ok_or(Unstorable::VaryStar)?;
    let vary = with_coding(vary, &head.fields);
    let age = Age::of(&head.fields, times);
    let lifetime = lifetime(head, &control, rule, &age)?;
    let is_decided = !lifetime.is_implicit || rule.overrides || control.public;
    if !is_decided && !vary.iter().any(|v| &**v == "cookie") && has_unkeyed_cookie(&request.fields, rule) {
        return Err(Unstorable::Cookie);
    }
    let freshness = freshness(&control, rule, &age, lifetime, times);
    let is_kept = is_worth_it(&freshness, &head.fields);
    if !is_kept && !is_shareable(&freshness) {
        return Err(Unstorable::Expired);
    }
    Ok(Storable {
        freshness,
        vary,
        control,
        is_kept,
    })
}

fn check_status(head: &Answer, control: &AnswerControl, rule: &CacheRule) -> Result<(), Unstorable> {
    let status = head.status;
    if status == 206 || head.fields.first(Name::ContentRange).is_some() {
        return Err(Unstorable::Partial);
    }
    if status < 200
        || is_never_shared(status)
        || is_about_asking(status) && ttl_of_status(rule, status).is_none()
    {
        return Err(Unstorable::Status);
    }
    // RFC 9111 §5.2.2.3: not to be stored "if the cache does not understand the response status code"; if it does, it
    // "SHOULD ignore the no-store directive".
    if control.must_understand && !is_understood(status) {
        return Err(Unstorable::Status);
    }
    if control.no_store && !control.must_understand {
        return Err(Unstorable::NoStore);
    }
    Ok(())
}

/// 304 is no answer of its own; 412 and 416 are due to fields that no key has; RFC 6585 §3 to §6: responses with 428,
/// 429, 431 and 511 "MUST NOT be stored by a cache"; 226 is a part by another name.
const fn is_never_shared(status: u16) -> bool {
    matches!(status, 226 | 304 | 412 | 416 | 428 | 429 | 431 | 511)
}

/// Answers that complain of how something was asked: a field too long, a credential missing, a body refused. None of it
/// is in the key, so that one client with a strange request could have its error shown to everybody who asks properly.
/// An operator who lists the status knows better.
const fn is_about_asking(status: u16) -> bool {
    matches!(
        status,
        400 | 401 | 407 | 408 | 411 | 413 | 415 | 417 | 421 | 425 | 426
    )
}

/// Statuses of RFC 9110 §15 whose requirements on caches are met here, and 451 of RFC 7725.
const fn is_understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300..=303 | 307 | 308 | 402..=406 | 409 | 410 | 414 | 422 | 451 | 500..=505)
}

/// RFC 9110 §15.1: statuses that "can be reused by a cache with heuristic expiration unless otherwise indicated", but
/// for 206, which is not kept here.
const fn is_heuristic(status: u16) -> bool {
    matches!(
        status,
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// What keeps an answer from being another user's.
fn check_sharing(request: &Request, fields: &Fields, control: &AnswerControl) -> Result<(), Unstorable> {
    // RFC 9111 §5.2.2.7: "a shared cache MUST NOT store the response".
    if control.private {
        return Err(Unstorable::Private);
    }
    // RFC 9111 §3.5: a shared cache must not use it for anyone else "unless the response contains a Cache-Control field
    // with a response directive … that allows it to be stored by a shared cache": must-revalidate, public, s-maxage.
    if request.fields.first(Name::Authorization).is_some() && !control.is_for_all {
        return Err(Unstorable::Authorization);
    }
    // RFC 9111 §7.3 allows it: "the Set-Cookie response header field does not inhibit caching". But a page made
    // together with a session is a page of that session, its token included; one origin that forgets `private` hands
    // that session to everybody. Only an origin that names the field says that the rest is for all.
    if sets_cookie(fields) && !control.withholds(b"set-cookie") {
        return Err(Unstorable::SetCookie);
    }
    Ok(())
}

/// An origin that encodes and forgets to say `Vary: Accept-Encoding` has chosen by it all the same: nobody may get a coding
/// that it has not said to take.
fn with_coding(vary: Box<[Box<str>]>, fields: &Fields) -> Box<[Box<str>]> {
    const NAME: &str = "accept-encoding";
    let is_encoded = fields
        .tokens(Name::ContentEncoding)
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    match vary.binary_search_by(|name| (**name).cmp(NAME)) {
        Err(at) if is_encoded => {
            let mut names = vary.into_vec();
            names.insert(at, NAME.into());
            names.into_boxed_slice()
        }
        Ok(_) | Err(_) => vary,
    }
}

fn sets_cookie(fields: &Fields) -> bool {
    fields.first(Name::SetCookie).is_some() || fields.first_of("set-cookie2").is_some()
}

/// Whether the request has a cookie that is not part of the key.
///
/// Where the origin says nothing, nothing says that the answer is for all either, and it may be made for the one whom
/// the cookie names. With explicit freshness the origin has taken that decision (RFC 9111 has no rule for Cookie as it
/// has for Authorization). Without it we would take the decision, and a wrong one shows one user's page to another. One
/// cookie in the key is not enough: it is the other one that might be the session. An origin that says `public`, or
/// varies by Cookie, has thought of it.
fn has_unkeyed_cookie(fields: &Fields, rule: &CacheRule) -> bool {
    let keyed = &rule.key.cookies;
    let is_keyed = |name: &[u8]| keyed.iter().any(|k| k.as_bytes() == name);
    let is_wholly_keyed = rule.key.headers.iter().any(|h| h == "cookie");
    !is_wholly_keyed && cookie_names(fields).any(|name| !is_keyed(name))
}

/// A lifetime and where it comes from.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    length: Duration,
    /// The origin has not said it.
    is_implicit: bool,
    /// The rule's, against what the origin has said.
    is_override: bool,
}

impl Lifetime {
    /// The rule speaks of the time the answer is kept here: however old it was, that time begins now.
    fn of_rule(ttl: Duration, age: &Age, is_override: bool) -> Self {
        Self {
            length: age.at_receipt.saturating_add(ttl),
            is_implicit: true,
            is_override,
        }
    }
}

fn lifetime(
    head: &Answer,
    control: &AnswerControl,
    rule: &CacheRule,
    age: &Age,
) -> Result<Lifetime, Unstorable> {
    let ttl = ttl_of_status(rule, head.status).or(rule.ttl.filter(|_| is_heuristic(head.status)));
    if let Some(ttl) = ttl.filter(|_| rule.overrides) {
        return Ok(Lifetime::of_rule(ttl, age, true));
    }
    if let Some(length) = control.lifetime(age.date_secs) {
        let length = if age.is_known { length } else { Duration::ZERO };
        return Ok(Lifetime {
            length,
            is_implicit: false,
            is_override: false,
        });
    }
    // The origin says no-cache and no time: it may be kept, and is of no use without asking. A ttl would not change it.
    if let Some(ttl) = ttl {
        return Ok(Lifetime::of_rule(ttl, age, false));
    }
    // RFC 9111 §4.2.2: heuristics are for statuses defined as heuristically cacheable "and those responses without
    // explicit freshness that have been marked as explicitly cacheable (e.g., with a public response directive)".
    if !is_heuristic(head.status) && (!control.public || head.status >= 500) {
        return Err(Unstorable::NoLifetime);
    }
    let length = heuristic(&head.fields, age);
    if length.is_none() && !has_validator(&head.fields) {
        return Err(Unstorable::NoLifetime);
    }
    Ok(Lifetime {
        length: length.unwrap_or_default(),
        is_implicit: true,
        is_override: false,
    })
}

fn ttl_of_status(rule: &CacheRule, status: u16) -> Option<Duration> {
    let at = rule.statuses.binary_search_by_key(&status, |(s, _)| *s).ok()?;
    Some(rule.statuses[at].1)
}

/// A tenth of how long it had not changed when it was made.
fn heuristic(fields: &Fields, age: &Age) -> Option<Duration> {
    let modified = single_date(fields, Name::LastModified)?;
    let rest = age.date_secs.saturating_sub(modified);
    let secs = (rest / HEURISTIC_DIVISOR).min(HEURISTIC_SECS_MAX);
    (secs > 0 && age.is_known).then(|| Duration::from_secs(secs))
}

fn freshness(
    control: &AnswerControl,
    rule: &CacheRule,
    age: &Age,
    lifetime: Lifetime,
    times: Times,
) -> Freshness {
    // RFC 9111 §5.2.2.10: s-maxage "incorporates the proxy-revalidate response directive's semantics for a shared
    // cache": no client may have it stale. Where the rule holds against it, it does so in both.
    let has_s_maxage = control.s_maxage != Delta::Absent && !lifetime.is_override;
    let must_revalidate = control.must_revalidate || has_s_maxage;
    let no_cache = control.no_cache && !lifetime.is_override;
    // RFC 9111 §4.2.4: stale use "MUST NOT" be if one of these forbids it; nor does it begin where the age is unknown.
    // An origin that writes stale-while-revalidate beside s-maxage, as many do, permits what s-maxage alone would not, and
    // an operator who writes it into the route has the contract with the origin that the same section speaks of.
    let may_be_stale = !control.must_revalidate && !no_cache && (age.is_known || lifetime.is_override);
    let window = |said: Delta, otherwise: Duration| match may_be_stale {
        true => said.duration().unwrap_or(otherwise),
        false => Duration::ZERO,
    };
    Freshness {
        received_ms: times.received_at.unix_ms(),
        age_at_receipt: age.at_receipt,
        lifetime: lifetime.length,
        stale_while_revalidate: window(control.stale_while_revalidate, rule.stale_while_revalidate),
        stale_if_error: window(control.stale_if_error, rule.stale_if_error),
        must_revalidate,
        no_cache,
    }
}

/// What can be used neither now nor after asking takes the place of something that can.
fn is_worth_it(freshness: &Freshness, fields: &Fields) -> bool {
    let window = freshness.stale_while_revalidate.max(freshness.stale_if_error);
    let usable_for = freshness.lifetime.saturating_add(window);
    has_validator(fields) || !freshness.no_cache && usable_for > freshness.age_at_receipt
}

/// Whether those who asked while the origin was being asked may have the answer: it lets others have it, for however short
/// a time. An answer that every user is to be asked about (no-cache), or that is for no time at all, may be one user's.
pub fn is_shareable(freshness: &Freshness) -> bool {
    !freshness.no_cache && !freshness.lifetime.is_zero()
}

/// Whether the origin can be asked if it is still the same.
pub(super) fn has_validator(fields: &Fields) -> bool {
    etag(fields).is_some() || single_date(fields, Name::LastModified).is_some()
}

/// The entity tag, if there is exactly one and it is well formed.
pub(super) fn etag(fields: &Fields) -> Option<&[u8]> {
    let mut lines = fields.values(Name::Etag);
    let first = lines.next()?;
    (lines.next().is_none() && EntityTag::parse(first).is_some()).then_some(first)
}
