//! Requests and answers by someone who wants one user's bytes shown to another, or a worker to stop.

use proptest::prelude::*;

use super::*;
use crate::cache::policy::storable::weigh;
use crate::config::plan::QueryRule;

/// Lines as a client or an origin may send them: known names, values of any bytes.
fn lines() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let name = proptest::sample::select(vec![
        "Cache-Control",
        "CDN-Cache-Control",
        "Surrogate-Control",
        "Expires",
        "Pragma",
        "Date",
        "Age",
        "Vary",
        "ETag",
        "Last-Modified",
        "Set-Cookie",
        "Cookie",
        "Authorization",
        "Cache-Groups",
        "Cache-Tag",
        "Surrogate-Key",
        "Cache-Group-Invalidation",
        "Location",
        "Content-Location",
        "Connection",
        "Content-Length",
        "Range",
        "If-Range",
        "If-None-Match",
        "If-Modified-Since",
        "Accept-Encoding",
        "Accept-Language",
    ]);
    let value = prop_oneof![
        "[ -~]{0,24}",
        "(max-age|s-maxage|private|no-cache|stale-if-error|public|no-store)(=|=\"|= )?[0-9a-z\", \\\\-]{0,24}",
        "(Sun, 06 Nov 1994 08:49:37 GMT|Thu, 01 Jan 1970 00:00:00 GMT|Fri, 31 Dec 9999 23:59:59 GMT)",
        "[0-9]{1,30}",
        "\"?[a-z]{0,4}\"?(, ?\"[a-z]*\")*",
        "(https?:)?//?[a-z./?#%:]{0,16}",
    ];
    proptest::collection::vec((name, value), 0..12)
}

/// Lines that decide whether an answer is kept. Of those above hardly any is, and what holds for those kept is not tried.
fn words() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let control = "(max-age=60|s-maxage=60|s-maxage=x|public|private|no-store|must-revalidate|must-understand|no-cache=\"x-a\")";
    let line = prop_oneof![
        4 => (Just("Cache-Control"), control),
        1 => (Just("CDN-Cache-Control"), "(max-age=60|private|no-store|must-revalidate)(, public)?"),
        1 => (Just("Surrogate-Control"), "(max-age=60|no-store)"),
        1 => (Just("Expires"), "(Fri, 31 Dec 9999 23:59:59 GMT|0)"),
        1 => (Just("Vary"), "(Cookie|Accept-Language)"),
        1 => (Just("Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT"),
        1 => (Just("ETag"), "\"[a-z]\""),
    ];
    proptest::collection::vec(line, 0..5)
}

fn borrowed<'a>(lines: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    lines.iter().map(|(n, v)| (*n, v.trim())).collect()
}

proptest! {
    #[test]
    fn no_message_makes_anything_panic(asked in lines(), said in lines(), status in 100u16..600, now: u64, size: u64) {
        let request = request(&borrowed(&asked));
        let answer = answer(status, &borrowed(&said));
        let wishes = Asked::of(&request);
        let resource = Resource::of("https", &request);
        let rule = CacheRule { ttl: Some(secs(9)), ..rule() };
        if let Ok(storable) = weigh(&request, &answer, &rule, &wishes, times()) {
            let fields = kept_fields(&answer, &storable.control, at(NOW));
            prop_assert!(fields.values_of("set-cookie").next().is_none());
            let meta = Meta { fields, status, freshness: storable.freshness, ..meta(status, &[]) };
            let _ = select(&meta, size, &request, now);
            let _ = reuse(&meta.freshness, &wishes, false, now);
            let exchange = Revalidation { request: &request, resource: &resource, rule: &rule, asked: &wishes, times: times(), serial: 0 };
            let _ = freshen(&meta, &answer, &exchange);
        }
        let _ = facets::of_object(&resource, &rule, &answer.fields);
        let _ = invalidate::facets(&resource, crate::wire::Method::Post, &answer);
    }

    #[test]
    fn a_cookie_or_a_credential_is_never_shared_without_the_origin_s_word(said in words(), ttl in proptest::option::of(0u64..100), has_cookie: bool) {
        let asked = if has_cookie { [("Cookie", "session=1")] } else { [("Authorization", "Bearer x")] };
        let rule = CacheRule { ttl: ttl.map(secs), ..rule() };
        let answer = answer(200, &borrowed(&said));
        if let Ok(storable) = judged(&asked, &answer, &rule) {
            let control = &storable.control;
            let varies = storable.vary.iter().any(|v| &**v == "cookie");
            prop_assert!(!control.private && (!control.no_store || control.must_understand));
            // The route's ttl is not the origin's word.
            let cookie_may = control.lifetime(NOW).is_some() || control.public || varies;
            prop_assert!(has_cookie && cookie_may || !has_cookie && control.is_for_all);
        }
    }

    #[test]
    fn an_added_prohibition_is_obeyed_wherever_it_stands(said in lines(), at_end: bool, word in "(no-store|private)") {
        let mut all = borrowed(&said);
        all.retain(|(name, _)| *name != "CDN-Cache-Control" && (*name != "Surrogate-Control" || word == "private"));
        all.insert(if at_end { all.len() } else { 0 }, ("Cache-Control", &word));
        let control = AnswerControl::of(&fields(&all));
        prop_assert!(control.no_store || control.private);
    }

    #[test]
    fn two_queries_with_one_key_differ_in_what_the_rule_leaves_out_only(a in "[ab](=[12])?(&[abc%6]{1,4}(=[12])?){0,3}", b in "[ab](=[12])?(&[abc%6]{1,4}(=[12])?){0,3}") {
        let rule = KeyRule { query: QueryRule::Only(vec!["a".to_owned(), "b".to_owned()]), ..KeyRule::default() };
        let none = Fields::default();
        let key = |query: &str| {
            let mut out = Vec::new();
            let facts = KeyFacts { route: "r", scheme: "http", host: "h", authority: "h", path_sent: "/", query: Some(query), fields: &none };
            write_key(&mut out, &facts, &rule);
            out
        };
        if key(&a) == key(&b) {
            // As a form decoder reads it: for each name that counts, the list of its values.
            for name in ["a", "b"] {
                prop_assert_eq!(values(&a, name), values(&b, name));
            }
        }
    }
}

/// The values of a parameter as an origin decodes them.
fn values(query: &str, name: &str) -> Vec<String> {
    let pair = |p: &str| {
        let (n, v) = p.split_once('=').unwrap_or((p, ""));
        (
            percent_encoding::percent_decode_str(n)
                .decode_utf8_lossy()
                .into_owned(),
            v.to_owned(),
        )
    };
    query
        .split('&')
        .map(pair)
        .filter(|(n, _)| n == name)
        .map(|(_, v)| v)
        .collect()
}

#[test]
fn a_redirect_to_a_foreign_origin_purges_nothing_there() {
    let page = request(&[]);
    let resource = Resource::of("https", &page);
    let evil = answer(
        201,
        &[
            ("Location", "https://victim.example/"),
            ("Cache-Group-Invalidation", "\"all\""),
        ],
    );
    let victim = Resource::parse("https://victim.example/").unwrap();
    let object = facets::of_object(&victim, &rule(), &fields(&[("Cache-Groups", "\"all\"")])).unwrap();
    let touched = invalidate::facets(&resource, crate::wire::Method::Post, &evil);
    assert!(!touched.is_empty() && touched.iter().all(|f| !object.0.contains(f)));
}
