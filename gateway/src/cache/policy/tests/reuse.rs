//! When a stored answer may be used, case by case.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1000;

/// Received at [`NOW`], fresh for 60 seconds.
fn stored() -> Freshness {
    Freshness {
        received_ms: NOW * MS,
        lifetime: secs(60),
        ..Freshness::default()
    }
}

fn wishes(value: &str) -> Asked {
    Asked::of(&request(&[("Cache-Control", value)]))
}

fn at_age(freshness: &Freshness, value: &str, age: u64) -> Reuse {
    reuse(freshness, &wishes(value), false, (NOW + age) * MS)
}

fn fresh(age_secs: u64) -> Reuse {
    Reuse::Fresh { age_secs }
}

#[test]
fn fresh_means_younger_than_its_lifetime() {
    assert_eq!(at_age(&stored(), "", 59), fresh(59));
    assert_eq!(at_age(&stored(), "", 60), Reuse::Validate);
    let old = Freshness {
        age_at_receipt: secs(50),
        ..stored()
    };
    assert_eq!(at_age(&old, "", 9), fresh(59));
    assert_eq!(at_age(&old, "", 10), Reuse::Validate);
    assert_eq!(
        reuse(&stored(), &Asked::default(), false, NOW * MS + 59_999),
        fresh(59)
    );
}

#[test]
fn no_cache_of_either_side_wants_validation() {
    assert_eq!(at_age(&stored(), "no-cache", 0), Reuse::Validate);
    let strict = Freshness {
        no_cache: true,
        ..stored()
    };
    assert_eq!(at_age(&strict, "", 0), Reuse::Validate);
    assert_eq!(at_age(&strict, "max-stale", 0), Reuse::Validate);
}

#[test]
fn a_request_can_ask_for_younger_and_for_fresher() {
    assert_eq!(at_age(&stored(), "max-age=10", 10), fresh(10));
    assert_eq!(at_age(&stored(), "max-age=10", 11), Reuse::Validate);
    assert_eq!(at_age(&stored(), "max-age=0", 0), fresh(0));
    assert_eq!(at_age(&stored(), "min-fresh=20", 40), fresh(40));
    assert_eq!(at_age(&stored(), "min-fresh=20", 41), Reuse::Validate);
    assert_eq!(at_age(&stored(), "max-age=99", 70), Reuse::Validate);
}

#[test]
fn a_request_can_take_stale_ones_unless_that_is_forbidden() {
    let allowed = |age_secs| Reuse::StaleAllowed { age_secs };
    assert_eq!(at_age(&stored(), "max-stale", 9000), allowed(9000));
    assert_eq!(at_age(&stored(), "max-stale=10", 70), allowed(70));
    assert_eq!(at_age(&stored(), "max-stale=10", 71), Reuse::Validate);
    assert_eq!(at_age(&stored(), "max-stale=10, max-age=65", 66), Reuse::Validate);
    assert_eq!(at_age(&stored(), "max-stale=10, max-age=65", 65), allowed(65));
    assert_eq!(
        at_age(&stored(), "max-stale=10, min-fresh=1", 65),
        Reuse::Validate
    );
    let strict = Freshness {
        must_revalidate: true,
        ..stored()
    };
    assert_eq!(at_age(&strict, "max-stale", 61), Reuse::Validate);
    assert_eq!(at_age(&strict, "max-stale", 59), fresh(59));
}

#[test]
fn stale_while_revalidate_is_for_requests_without_wishes() {
    let lax = Freshness {
        stale_while_revalidate: secs(30),
        ..stored()
    };
    let stale = |age_secs| Reuse::StaleWhileRevalidate { age_secs };
    assert_eq!(at_age(&lax, "", 89), stale(89));
    assert_eq!(at_age(&lax, "", 90), Reuse::Validate);
    assert_eq!(at_age(&lax, "max-stale", 61), stale(61));
    for wish in ["max-age=100", "min-fresh=1", "no-cache"] {
        assert_eq!(at_age(&lax, wish, 61), Reuse::Validate, "{wish}");
    }
}

#[test]
fn on_an_error_what_is_fresh_or_within_the_window_will_do() {
    let lax = Freshness {
        stale_if_error: secs(600),
        ..stored()
    };
    let on_error = |freshness: &Freshness, wish, age: u64| {
        may_serve_on_error(freshness, &wishes(wish), false, (NOW + age) * MS)
    };
    assert_eq!(on_error(&lax, "", 659), Some(659));
    assert_eq!(on_error(&lax, "", 660), None);
    assert_eq!(on_error(&lax, "max-age=0", 300), Some(300));
    assert_eq!(on_error(&lax, "no-cache", 300), None);
    assert_eq!(on_error(&stored(), "max-age=0", 30), Some(30));
    assert_eq!(on_error(&stored(), "", 60), None);
    assert_eq!(
        on_error(
            &Freshness {
                no_cache: true,
                ..lax
            },
            "",
            1
        ),
        None
    );
}

#[test]
fn after_a_soft_purge_it_is_stale() {
    let purged = |freshness: &Freshness, wish| reuse(freshness, &wishes(wish), true, NOW * MS);
    let lax = Freshness {
        stale_while_revalidate: secs(30),
        stale_if_error: secs(30),
        ..stored()
    };
    assert_eq!(purged(&stored(), ""), Reuse::Validate);
    assert_eq!(purged(&stored(), "max-stale"), Reuse::Validate);
    assert_eq!(purged(&lax, ""), Reuse::StaleWhileRevalidate { age_secs: 0 });
    let on_error = |freshness| may_serve_on_error(freshness, &Asked::default(), true, NOW * MS);
    assert_eq!((on_error(&stored()), on_error(&lax)), (None, Some(0)));
}

#[test]
fn a_clock_that_was_set_back_makes_it_older_and_never_younger() {
    let before = (NOW - 3600) * MS;
    assert_eq!(age_secs(&stored(), before), 3600);
    assert_eq!(
        reuse(&stored(), &Asked::default(), false, before),
        Reuse::Validate
    );
    assert_eq!(
        reuse(&stored(), &Asked::default(), false, (NOW - 1) * MS),
        fresh(1)
    );
}

#[test]
fn what_is_left_is_negative_when_it_is_stale() {
    assert_eq!(ttl_secs(&stored(), (NOW + 20) * MS), 40);
    assert_eq!(ttl_secs(&stored(), (NOW + 472) * MS), -412);
}

proptest! {
    #[test]
    fn no_numbers_make_it_panic(received_ms: u64, now_ms: u64, age: u64, lifetime: u64, window: u64, wish: u64, purged: bool) {
        let freshness = Freshness {
            received_ms,
            age_at_receipt: secs(age),
            lifetime: secs(lifetime),
            stale_while_revalidate: secs(window),
            stale_if_error: secs(window),
            ..Freshness::default()
        };
        for asked in [
            Asked::default(),
            Asked { max_age: Some(secs(wish)), min_fresh: Duration::MAX, max_stale: Some(secs(wish)), ..Asked::default() },
        ] {
            let _ = reuse(&freshness, &asked, purged, now_ms);
            let _ = may_serve_on_error(&freshness, &asked, purged, now_ms);
            let _ = ttl_secs(&freshness, now_ms);
        }
    }
}
