//! The policy against a model: a case is drawn as facts, written as a message, and judged twice. The model never sees
//! the message, counts in whole seconds, and follows the text of RFC 9111 from one sentence to the next.

use proptest::option::of;
use proptest::prelude::*;

use super::*;

/// An answer as facts.
#[derive(Clone, Debug)]
struct Said {
    status: u16,
    no_store: bool,
    private: bool,
    no_cache: bool,
    public: bool,
    must_revalidate: bool,
    proxy_revalidate: bool,
    /// Each None for a value that cannot be read.
    max_age: Vec<Option<i64>>,
    s_maxage: Vec<Option<i64>>,
    swr: Option<i64>,
    sie: Option<i64>,
    /// Seconds after its Date; None for a text that is no date.
    expires: Option<Option<i64>>,
    /// Seconds before it was received; None for none.
    date: Option<i64>,
    /// None inside for a text that is no number.
    age: Option<Option<i64>>,
    delay: i64,
    modified_before_date: Option<i64>,
    has_etag: bool,
    sets_cookie: bool,
    targeted: bool,
}

/// A request as facts, and the rule of its route.
#[derive(Clone, Debug)]
struct Wants {
    no_store: bool,
    no_cache: bool,
    max_age: Option<i64>,
    min_fresh: Option<i64>,
    /// None inside for any.
    max_stale: Option<Option<i64>>,
    has_cookie: bool,
    is_cookie_keyed: bool,
    authorization: bool,
    ttl: Option<i64>,
    not_found_ttl: Option<i64>,
    overrides: bool,
    rule_swr: i64,
    rule_sie: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    age: i64,
    lifetime: i64,
    swr: i64,
    sie: i64,
    never_stale: bool,
    no_cache: bool,
}

fn few() -> impl Strategy<Value = Vec<Option<i64>>> {
    proptest::collection::vec(proptest::option::weighted(0.85, 0i64..120), 0..3)
}

fn said() -> impl Strategy<Value = Said> {
    let flags = (
        proptest::bool::weighted(0.05),
        proptest::bool::weighted(0.05),
        proptest::bool::weighted(0.15),
        any::<bool>(),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.1),
    );
    let times = (
        few(),
        few(),
        of(0i64..60),
        of(0i64..60),
        of(proptest::option::weighted(0.9, -20i64..120)),
    );
    let past = (
        of(-5i64..40),
        of(proptest::option::weighted(0.9, 0i64..40)),
        0i64..5,
        of(-50i64..5000),
    );
    let rest = (
        any::<bool>(),
        proptest::bool::weighted(0.05),
        proptest::bool::weighted(0.3),
    );
    let status = proptest::sample::select(vec![
        200u16, 200, 200, 204, 301, 302, 404, 404, 410, 500, 503, 206, 401, 429,
    ]);
    (status, flags, times, past, rest).prop_map(|(status, f, t, p, r)| Said {
        status,
        no_store: f.0,
        private: f.1,
        no_cache: f.2,
        public: f.3,
        must_revalidate: f.4,
        proxy_revalidate: f.5,
        max_age: t.0,
        s_maxage: t.1,
        swr: t.2,
        sie: t.3,
        expires: t.4,
        date: p.0,
        age: p.1,
        delay: p.2,
        modified_before_date: p.3,
        has_etag: r.0,
        sets_cookie: r.1,
        targeted: r.2,
    })
}

fn wants() -> impl Strategy<Value = Wants> {
    let flags = (
        proptest::bool::weighted(0.03),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.3),
        any::<bool>(),
        proptest::bool::weighted(0.2),
    );
    let wishes = (of(0i64..120), of(0i64..60), of(of(0i64..60)));
    let rule = (
        of(0i64..60),
        of(0i64..60),
        proptest::bool::weighted(0.3),
        0i64..60,
        0i64..60,
    );
    (flags, wishes, rule).prop_map(|(f, w, r)| Wants {
        no_store: f.0,
        no_cache: f.1,
        has_cookie: f.2,
        is_cookie_keyed: f.3,
        authorization: f.4,
        max_age: w.0,
        min_fresh: w.1,
        max_stale: w.2,
        ttl: r.0,
        not_found_ttl: r.1,
        overrides: r.2,
        rule_swr: r.3,
        rule_sie: r.4,
    })
}

impl Said {
    fn directives(&self) -> String {
        let mut all: Vec<String> = Vec::new();
        let flags = [
            (self.no_store, "no-store"),
            (self.private, "private"),
            (self.no_cache, "no-cache"),
            (self.public, "public"),
            (self.must_revalidate, "must-revalidate"),
            (self.proxy_revalidate, "proxy-revalidate"),
        ];
        all.extend(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, word)| (*word).to_owned()),
        );
        let number = |n: &Option<i64>| n.map_or("x".to_owned(), |n| n.to_string());
        all.extend(self.max_age.iter().map(|n| format!("max-age={}", number(n))));
        all.extend(self.s_maxage.iter().map(|n| format!("s-maxage={}", number(n))));
        all.extend(self.swr.map(|n| format!("stale-while-revalidate={n}")));
        all.extend(self.sie.map(|n| format!("stale-if-error={n}")));
        // A dictionary that is empty would be ignored, and one with a token in it not.
        all.push("other".to_owned());
        all.join(", ")
    }

    fn answer(&self) -> Answer {
        let mut fields = Fields::default();
        let mut push = |name: &str, value: &str| fields.push(name.as_bytes(), value.as_bytes());
        let date = self.date.map(|before| NOW.saturating_add_signed(-before));
        if let Some(date) = date {
            push("Date", &http_date::format(date));
        }
        let made = date.unwrap_or(NOW);
        if self.targeted {
            push("CDN-Cache-Control", &self.directives());
            push("Cache-Control", "no-store, private, max-age=1");
        } else {
            push("Cache-Control", &self.directives());
        }
        match self.expires {
            None => {}
            Some(None) => push("Expires", "0"),
            Some(Some(after)) => push("Expires", &http_date::format(made.saturating_add_signed(after))),
        }
        match self.age {
            None => {}
            Some(None) => push("Age", "1, 2"),
            Some(Some(age)) => push("Age", &age.to_string()),
        }
        if let Some(before) = self.modified_before_date {
            push(
                "Last-Modified",
                &http_date::format(made.saturating_add_signed(-before)),
            );
        }
        if self.has_etag {
            push("ETag", "\"v\"");
        }
        if self.sets_cookie {
            push("Set-Cookie", "a=1");
        }
        if self.status != 204 {
            push("Content-Length", "3");
        }
        Answer {
            status: self.status,
            fields,
            ..Answer::default()
        }
    }
}

impl Wants {
    fn request(&self) -> Request {
        let mut all: Vec<String> = Vec::new();
        all.extend(self.no_store.then(|| "no-store".to_owned()));
        all.extend(self.no_cache.then(|| "no-cache".to_owned()));
        all.extend(self.max_age.map(|n| format!("max-age={n}")));
        all.extend(self.min_fresh.map(|n| format!("min-fresh=\"{n}\"")));
        all.extend(
            self.max_stale
                .map(|n| n.map_or("max-stale".to_owned(), |n| format!("max-stale={n}"))),
        );
        let control = all.join(" ,,");
        let mut lines = vec![("Cache-Control", control.as_str())];
        lines.extend(self.has_cookie.then_some(("Cookie", "s=1")));
        lines.extend(self.authorization.then_some(("Authorization", "Basic x")));
        request(&lines)
    }

    fn rule(&self) -> CacheRule {
        let time = |n: i64| secs(u64::try_from(n).unwrap());
        let mut rule = CacheRule {
            ttl: self.ttl.map(time),
            statuses: self.not_found_ttl.map(|n| (404, time(n))).into_iter().collect(),
            overrides: self.overrides,
            stale_while_revalidate: time(self.rule_swr),
            stale_if_error: time(self.rule_sie),
            ..rule()
        };
        rule.key
            .cookies
            .extend(self.is_cookie_keyed.then(|| "s".to_owned()));
        rule
    }
}

/// The values of one directive that the field it stands in leaves over: a dictionary has each key once, the last.
fn heard(said: &Said, values: &[Option<i64>]) -> Vec<Option<i64>> {
    let first = if said.targeted {
        values.len().saturating_sub(1)
    } else {
        0
    };
    values[first..].to_vec()
}

/// "either the first occurrence should be used, or the response should be considered stale": here the latter.
fn one_of(values: &[Option<i64>]) -> Option<i64> {
    let first = *values.first()?;
    Some(if values.iter().all(|v| *v == first) {
        first.unwrap_or(0)
    } else {
        0
    })
}

/// What no lifetime makes up for.
fn is_forbidden(said: &Said, wants: &Wants) -> bool {
    let is_for_all =
        said.public || said.must_revalidate || heard(said, &said.s_maxage).iter().any(Option::is_some);
    let has_fault =
        [206, 401, 429].contains(&said.status) || said.no_store || said.private || said.sets_cookie;
    has_fault || wants.no_store || wants.authorization && !is_for_all
}

/// RFC 9111 §3, sentence by sentence, and the operator's rule.
fn model_of_storing(said: &Said, wants: &Wants) -> Option<Kept> {
    let heuristic_status = [200, 204, 301, 404, 410].contains(&said.status);
    let rule_ttl = if said.status == 404 {
        wants.not_found_ttl
    } else {
        None
    };
    let rule_ttl = rule_ttl.or(if heuristic_status { wants.ttl } else { None });
    if is_forbidden(said, wants) {
        return None;
    }
    let (s_maxage, max_age) = (heard(said, &said.s_maxage), heard(said, &said.max_age));
    let apparent = said.date.unwrap_or(0).max(0);
    let age_known = said.age != Some(None);
    let age = apparent.max(said.age.flatten().unwrap_or(0) + said.delay);
    let expires = if said.targeted { None } else { said.expires };
    let explicit = one_of(&s_maxage)
        .or(one_of(&max_age))
        .or(expires.map(|e| e.unwrap_or(0).max(0)));
    let guess = said
        .modified_before_date
        .map(|m| m / 10)
        .filter(|g| *g > 0 && age_known);
    let validator = said.has_etag || said.modified_before_date.is_some();
    let overrides = wants.overrides && rule_ttl.is_some();
    let (lifetime, decided) = match (overrides, explicit, rule_ttl) {
        (true, _, _) => (age + rule_ttl?, true),
        (_, Some(explicit), _) => (if age_known { explicit } else { 0 }, true),
        (_, None, Some(ttl)) => (age + ttl, wants.overrides || said.public),
        (_, None, None) => {
            if !heuristic_status && (!said.public || said.status >= 500) || guess.is_none() && !validator {
                return None;
            }
            (guess.unwrap_or(0), wants.overrides || said.public)
        }
    };
    if !decided && wants.has_cookie && !wants.is_cookie_keyed {
        return None;
    }
    let never_stale =
        said.must_revalidate || said.proxy_revalidate || !said.s_maxage.is_empty() && !overrides;
    let no_cache = said.no_cache && !overrides;
    let forbidden = said.must_revalidate || said.proxy_revalidate;
    let lax = !forbidden && !no_cache && (age_known || overrides);
    let swr = if lax {
        said.swr.unwrap_or(wants.rule_swr)
    } else {
        0
    };
    let sie = if lax {
        said.sie.unwrap_or(wants.rule_sie)
    } else {
        0
    };
    let usable = !no_cache && age < lifetime + swr.max(sie);
    (validator || usable).then_some(Kept {
        age,
        lifetime,
        swr,
        sie,
        never_stale,
        no_cache,
    })
}

/// RFC 9111 §4 and §5.2.1, RFC 5861: what the model lets be done, and the age it shows.
fn model_of_reuse(kept: &Kept, wants: &Wants, later: i64) -> Reuse {
    let age = kept.age + later;
    let age_secs = u64::try_from(age).unwrap();
    let stale_by = age - kept.lifetime;
    if kept.no_cache || wants.no_cache {
        return Reuse::Validate;
    }
    let wants_young = wants.max_age.is_some_and(|max| age > max);
    if stale_by < 0 {
        let wants_fresh = wants.min_fresh.is_some_and(|min| -stale_by < min);
        return if wants_young || wants_fresh {
            Reuse::Validate
        } else {
            Reuse::Fresh { age_secs }
        };
    }
    let asks_for_fresh = wants.min_fresh.is_some_and(|min| min > 0);
    if wants.max_age.is_none() && !asks_for_fresh && stale_by < kept.swr {
        return Reuse::StaleWhileRevalidate { age_secs };
    }
    match wants.max_stale {
        Some(max)
            if max.is_none_or(|max| stale_by <= max)
                && !kept.never_stale
                && !wants_young
                && !asks_for_fresh =>
        {
            Reuse::StaleAllowed { age_secs }
        }
        _ => Reuse::Validate,
    }
}

fn judged_now(said: &Said, wants: &Wants) -> Option<Freshness> {
    let request = wants.request();
    let times = Times {
        asked_at: at(NOW.saturating_add_signed(-said.delay)),
        received_at: at(NOW),
    };
    let verdict = judge(
        &request,
        &said.answer(),
        &wants.rule(),
        &Asked::of(&request),
        times,
    );
    verdict.ok().map(|s| s.freshness)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn storing_is_as_the_model_says(said in said(), wants in wants()) {
        let kept = judged_now(&said, &wants).map(|f| Kept {
            age: f.age_at_receipt.as_secs().cast_signed(),
            lifetime: f.lifetime.as_secs().cast_signed(),
            swr: f.stale_while_revalidate.as_secs().cast_signed(),
            sie: f.stale_if_error.as_secs().cast_signed(),
            never_stale: f.must_revalidate,
            no_cache: f.no_cache,
        });
        prop_assert_eq!(kept, model_of_storing(&said, &wants));
    }

    #[test]
    fn reuse_is_as_the_model_says(said in said(), stored_for in wants(), asked_by in wants(), later in 0i64..200) {
        let Some(freshness) = judged_now(&said, &stored_for) else {
            return Ok(());
        };
        let kept = model_of_storing(&said, &stored_for).unwrap();
        let now_ms = NOW.saturating_add_signed(later) * 1000;
        let asked = Asked::of(&asked_by.request());
        prop_assert_eq!(reuse(&freshness, &asked, false, now_ms), model_of_reuse(&kept, &asked_by, later));
        let age = kept.age + later;
        let is_fresh = age < kept.lifetime;
        let in_window = age < kept.lifetime + kept.sie;
        let on_error = !kept.no_cache && !asked_by.no_cache && (is_fresh || in_window);
        prop_assert_eq!(may_serve_on_error(&freshness, &asked, false, now_ms).is_some(), on_error);
        prop_assert_eq!(ttl_secs(&freshness, now_ms), kept.lifetime - age);
    }
}
