use proptest::prelude::*;

use super::*;
use crate::cache::{Facets, Freshness};
use crate::config::plan::Cache;
use crate::kit::clock::Clock;

const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];
const FACETS: [u64; 2] = [7, 8];

fn store() -> Arc<Store> {
    let plan = Cache {
        name: "edge".to_owned(),
        memory: 64 << 20,
        disk: 0,
        path: None,
        max_object: 64 << 20,
        min_uses: 1,
    };
    Store::open(&plan, 7, Clock::manual(Duration::from_secs(1_800_000_000)))
}

fn meta(variance: &[u8], round: u64, serial: u64) -> Meta {
    let mut fields = Fields::default();
    fields.push(b"Content-Type", b"text/html");
    fields.push(b"ETag", b"\"a\"");
    Meta {
        key_text: (*b"key").into(),
        variance: variance.into(),
        vary: Box::default(),
        status: 200,
        reason: (*b"OK").into(),
        version: Version::Http11,
        fields,
        freshness: Freshness {
            received_ms: round,
            ..Freshness::default()
        },
        facets: Facets(FACETS.into()),
        serial,
    }
}

fn key(variance: &[u8]) -> Key {
    Key {
        primary: 1,
        variance: xxh3_128(variance),
    }
}

fn put(store: &Store, round: u64, body: &[u8]) -> Arc<Object> {
    let mark = store.begin_fill();
    let meta = meta(b"v", round, mark.serial());
    store
        .admit(key(b"v"), meta, Bytes::copy_from_slice(body))
        .expect("there is room")
}

fn find(form: &Form, store: &Arc<Store>) -> Option<Arc<Object>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .expect("a runtime without sockets")
        .block_on(form.find(store, Look::Use))
}

fn page(word: &str) -> Vec<u8> {
    format!("<li>{word}</li>\n").repeat(500).into_bytes()
}

#[test]
fn a_form_is_made_once_and_found_for_what_it_was_made_from() {
    let store = store();
    let plain = put(&store, 1, &page("one"));
    for coding in ALL {
        let form = Form::of(&plain, coding, &store);
        assert!(find(&form, &store).is_none());
        form.make(&store).unwrap();
        let found = find(&form, &store).unwrap();
        form.make(&store).unwrap();
        assert!(Arc::ptr_eq(&found, &find(&form, &store).unwrap()), "{coding:?}");
        assert_eq!(
            found.meta.fields.first(Name::ContentEncoding).unwrap(),
            coding.name().as_bytes()
        );
        assert_eq!(found.meta.fields.first(Name::Etag).unwrap(), b"W/\"a\"");
        assert!(found.body.length() < plain.body.length() / 10);
    }
    assert_eq!(store.status().objects, 4);
}

#[test]
fn other_bytes_under_the_same_head_have_no_part_in_it() {
    let store = store();
    let form = |plain| Form::of(plain, Coding::Gzip, &store);
    let old = put(&store, 1, &page("one"));
    form(&old).make(&store).unwrap();
    // The same head in the same millisecond, and as many bytes.
    let new = put(&store, 1, &page("two"));
    assert!(find(&form(&new), &store).is_none());
    form(&new).make(&store).unwrap();
    assert!(find(&form(&new), &store).is_some());
    assert!(find(&form(&old), &store).is_none(), "what is gone has no form");
    // One that is not what its key leads to gets none, and takes none away.
    form(&old).make(&store).unwrap();
    assert!(find(&form(&new), &store).is_some());
}

#[test]
fn a_new_head_on_the_old_bytes_keeps_the_coded_bytes() {
    let store = store();
    let shrinks = page("one");
    let mut word = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 56) as u8
    })
    .take(5_000)
    .collect();
    for (body, status) in [(&shrinks, 200), (&noise, 0)] {
        let old = put(&store, 1, body);
        Form::of(&old, Coding::Gzip, &store).make(&store).unwrap();
        let before = find(&Form::of(&old, Coding::Gzip, &store), &store).unwrap();
        assert_eq!(before.meta.status, status);

        let new = store.freshen(&old, meta(b"v", 2, store.serial()));
        let form = Form::of(&new, Coding::Gzip, &store);
        assert!(find(&form, &store).is_none());
        form.make(&store).unwrap();
        let after = find(&form, &store).unwrap();
        assert_eq!(after.meta.status, status);
        assert_eq!(
            after.meta.freshness.received_ms, 2,
            "the head is that of the new one"
        );
        let (Body::Memory(a), Body::Memory(b)) = (&before.body, &after.body) else {
            panic!("all of this is in memory");
        };
        assert_eq!(a.as_ptr(), b.as_ptr(), "the bytes are the old ones");
    }
}

#[test]
fn what_was_purged_meanwhile_has_no_form_and_what_was_not_has() {
    let store = store();
    let plain = put(&store, 1, &page("one"));
    let form = Form::of(&plain, Coding::Zstd, &store);
    store.purge(&FACETS[..1], false);
    form.make(&store).unwrap();
    assert!(find(&form, &store).is_none());

    let plain = put(&store, 2, &page("one"));
    let form = Form::of(&plain, Coding::Zstd, &store);
    store.purge(&[99], false);
    form.make(&store).unwrap();
    assert!(find(&form, &store).is_some());
    store.purge(&FACETS[1..], false);
    assert!(find(&form, &store).is_none());
}

#[test]
fn a_key_is_the_same_hash_for_short_and_long_variances() {
    for length in [0, 1, 122, 123, 124, 125, 126, 127, 128, 500] {
        let plain = vec![b'x'; length];
        for coding in ALL {
            let text = [&plain[..], &[MARK], coding.name().as_bytes()].concat();
            assert_eq!(
                variance_hash(&plain, coding, 7),
                vary::variance(&text, 7),
                "{length}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_variance_of_a_request_and_no_other_form_is_taken_for_one(
        variances in proptest::collection::vec("([a-z-]{1,8}(\u{1}[ -~\t]{0,8}){0,2}\n){0,2}", 2),
        identities in any::<[[u8; IDENTITY_BYTES]; 2]>(),
        at in 0..3_usize,
    ) {
        let store = store();
        let form = |variance: &str, coding| {
            let variance = variance.as_bytes();
            let object = Object::new(key(variance), meta(variance, 1, 1), Body::Memory(Bytes::new()));
            Form::of(&Arc::new(object), coding, &store)
        };
        let one = form(&variances[0], ALL[at]);
        let with = |variance: &[u8]| meta(variance, 1, 1);
        prop_assert!(one.is_of(&with(&one.variance(&identities[0])), &identities[0]));
        prop_assert!(one.is_of(&with(&one.variance(&identities[0])), &identities[0][16..]));
        prop_assert!(!one.is_of(&with(&one.variance(&identities[0])), &identities[1]));
        prop_assert!(!one.is_of(&with(variances[0].as_bytes()), b""));
        let other = form(&variances[0], ALL[(at + 1) % 3]);
        prop_assert!(!one.is_of(&with(&other.variance(&identities[0])), &identities[0]));
        prop_assert!(one.key != other.key);
        if variances[0] != variances[1] {
            let other = form(&variances[1], ALL[at]);
            prop_assert!(!one.is_of(&with(&other.variance(&identities[0])), &identities[0]));
            prop_assert!(one.key != other.key);
        }
    }
}
