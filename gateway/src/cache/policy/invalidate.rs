//! What an unsafe request makes obsolete (RFC 9111 §4.4, RFC 9875 §3).

use super::facets::{group_facet, groups, url_facets};
use super::resource::Resource;
use crate::wire::{Answer, Method, Name};

/// The facets of what must not be used any more once this answer has come. Empty for safe methods.
///
/// "A cache MUST invalidate the target URI when it receives a non-error status code in response to an unsafe request
/// method (including methods whose safety is unknown)." Location and Content-Location are taken too, of the same origin
/// only: "This helps prevent denial-of-service attacks."
///
/// RFC 9875 §3 knows no condition on the status: an origin that names groups has touched them, even if it failed then.
pub fn facets(resource: &Resource<'_>, method: Method, answer: &Answer) -> Vec<u64> {
    if !is_unsafe(method) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if (200..400).contains(&answer.status) {
        found.extend(url_facets(resource));
        for name in [Name::Location, Name::ContentLocation] {
            found.extend(
                answer
                    .fields
                    .values(name)
                    .filter_map(|v| named(resource, v))
                    .flatten(),
            );
        }
    }
    let groups = groups(&answer.fields, Name::CacheGroupInvalidation);
    found.extend(groups.iter().map(|g| group_facet(resource, g)));
    found.sort_unstable();
    found.dedup();
    found
}

/// RFC 9110 §9.2.1: GET, HEAD, OPTIONS and TRACE are safe. A tunnel has no resource.
pub const fn is_unsafe(method: Method) -> bool {
    match method {
        Method::Get | Method::Head | Method::Options | Method::Trace | Method::Connect => false,
        Method::Delete | Method::Patch | Method::Post | Method::Put | Method::Other => true,
    }
}

fn named(resource: &Resource<'_>, value: &[u8]) -> Option<[u64; 2]> {
    let reference = std::str::from_utf8(value).ok()?;
    resource.same_origin(reference).map(|r| url_facets(&r))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, status: u16, lines: &[(&str, &str)]) -> Vec<u64> {
        let mut answer = Answer {
            status,
            ..Answer::default()
        };
        for (name, value) in lines {
            answer.fields.push(name.as_bytes(), value.as_bytes());
        }
        facets(&page(), method, &answer)
    }

    fn page() -> Resource<'static> {
        Resource::parse("https://example.com/items?x=1").unwrap()
    }

    fn has(found: &[u64], url: &str) -> bool {
        let facets = url_facets(&Resource::parse(url).unwrap());
        facets.iter().all(|f| found.contains(f))
    }

    #[test]
    fn an_unsafe_method_that_succeeds_touches_its_target_and_what_it_points_to() {
        for method in [
            Method::Post,
            Method::Put,
            Method::Patch,
            Method::Delete,
            Method::Other,
        ] {
            let found = found(
                method,
                201,
                &[("Location", "/items/5"), ("Content-Location", "items/current")],
            );
            assert!(has(&found, "https://example.com/items?x=1"));
            assert!(
                has(&found, "https://example.com/items/5")
                    && has(&found, "https://example.com/items/current")
            );
        }
        assert!(has(
            &found(Method::Post, 303, &[]),
            "https://example.com/items?x=1"
        ));
    }

    #[test]
    fn errors_and_safe_methods_touch_nothing() {
        for status in [400, 404, 500, 503] {
            assert!(found(Method::Post, status, &[("Location", "/a")]).is_empty());
        }
        for method in [
            Method::Get,
            Method::Head,
            Method::Options,
            Method::Trace,
            Method::Connect,
        ] {
            assert!(found(method, 200, &[("Cache-Group-Invalidation", "\"g\"")]).is_empty());
        }
    }

    #[test]
    fn another_origin_is_left_alone() {
        let others = [
            ("Location", "https://example.org/a"),
            ("Content-Location", "//example.net/a"),
            ("Location", "\u{ff}"),
        ];
        assert_eq!(found(Method::Post, 200, &others), found(Method::Post, 200, &[]));
    }

    #[test]
    fn groups_are_touched_whatever_the_status() {
        let of = |group| group_facet(&page(), group);
        let lines = [("Cache-Group-Invalidation", "\"a\", \"b\";x")];
        let found = found(Method::Post, 500, &lines);
        assert!(found.len() == 2 && found.contains(&of("a")) && found.contains(&of("b")));
        assert!(facets(&page(), Method::Post, &Answer::default()).is_empty());
    }
}
