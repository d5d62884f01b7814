//! cache: for whom an answer is, by what the origin was told of who asks.

use crate::cache::policy::{self, AnswerControl, Asked, Storable, Times, Unstorable};
use crate::config::plan::{CacheRule, Edits};
use crate::exchange::Exchange;
use crate::upstream::head::is_seen_as_sent;

/// Whether it may be kept or shared, and for how long.
pub(in crate::corridor) fn judge(
    x: &Exchange,
    rule: &CacheRule,
    asked: &Asked,
    times: Times,
) -> Result<Storable, Unstorable> {
    let storable = policy::share(&x.request, &x.answer, rule, asked, times)?;
    if is_for_one(x, &storable.control) {
        return Err(Unstorable::Authorization);
    }
    let none = Edits::default();
    let edits = x.site.as_ref().map_or(&none, |s| &s.request_headers);
    let facts = x.facts();
    let chosen_by = storable.vary.iter().map(|name| &**name);
    let mut names = chosen_by.chain(rule.key.headers.iter().map(String::as_str));
    match names.all(|name| is_seen_as_sent(name, &facts, edits)) {
        true => Ok(storable),
        false => Err(Unstorable::VaryStar),
    }
}

/// Whether it is known who asks.
pub(super) fn is_known(x: &Exchange) -> bool {
    x.site.as_ref().is_some_and(|s| s.route.guards.auth.is_some()) || !x.guarded.told.is_empty()
}

/// Whether an answer is for the one who asks, because it is known who that is and it does not say that it is for all.
///
/// RFC 9111 §3.5 speaks of Authorization; whoever is known by other means is known all the same.
pub(super) fn is_for_one(x: &Exchange, control: &AnswerControl) -> bool {
    is_known(x) && !control.is_for_all
}

/// Answers that complain of how or how often something was asked: whoever asks with a field too long, or too often,
/// must not be able to take away what is stored for those who ask properly.
pub(super) const fn is_about_asking(status: u16) -> bool {
    matches!(status, 400 | 401 | 406..=408 | 411..=417 | 421 | 425 | 426 | 428 | 429 | 431)
}
