use std::time::Duration;

use gateway::kit::clock::{Mono, Now};
use gateway::observe;
use gateway::observe::{Format, TimeCache, Timings};
use gateway::wire::Fields as Head;
use proptest::prelude::*;

use super::super::field::Kind;
use super::*;

fn all() -> Fields {
    Fields::of(Field::ALL)
}

fn head() -> Head {
    let mut head = Head::default();
    head.push(b"User-Agent", b"curl \"8\" \\ \x1b\xff");
    head.push(b"Referer", b"https://example.com/");
    head
}

fn logged(head: &Head) -> observe::Line<'_> {
    observe::Line {
        start: Now {
            mono: Mono(0),
            wall: Duration::from_secs(1_800_000_000),
        },
        duration: Duration::from_micros(1_234_567),
        client_ip: Some([10, 0, 0, 1].into()),
        method: b"GET",
        host: b"example.com",
        path: b"/a",
        query: Some(b"x=1"),
        scheme: "https",
        port: 443,
        protocol: "HTTP/1.1",
        status: 503,
        bytes_sent: 12,
        bytes_received: 3,
        user: Some(b"ann"),
        route: Some("api"),
        upstream: Some("app"),
        server: Some("10.0.0.9:80"),
        tries: 2,
        upstream_time: Some(Duration::from_millis(5)),
        cache: Some("miss"),
        refusal: Some("overload"),
        request_id: b"r1",
        request: head,
        response: &(),
        slow: Some(Timings {
            head: Some(Duration::from_millis(1)),
            guard: Some(Duration::from_millis(4)),
            cache: Some(Duration::from_millis(5)),
            queue: Some(Duration::from_millis(7)),
            connect: Some(Duration::from_millis(2)),
            first_byte: Some(Duration::from_millis(3)),
            body: Some(Duration::from_millis(6)),
        }),
    }
}

#[test]
fn every_member_a_gateway_writes_can_be_asked_for() {
    let head = head();
    let mut text = Vec::new();
    Format::Json.write(&mut text, &logged(&head), &mut TimeCache::default());
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let line = Line::read(&text, all()).unwrap();
    assert_eq!(whole.len(), COUNT);
    for (name, value) in whole {
        let field = Field::of(name.as_bytes()).unwrap_or_else(|| panic!("{name} is unknown"));
        match (field.kind(), value) {
            (Kind::Text, serde_json::Value::String(text)) => assert_eq!(line.text(field).unwrap(), text),
            (Kind::Number, serde_json::Value::Number(n)) => assert_eq!(line.number(field), n.as_f64()),
            (Kind::Flag, serde_json::Value::Bool(true)) => {
                assert_eq!(line.value(field), Some(Value::Bare(b"true")))
            }
            (kind, value) => panic!("{name} is {kind:?}, and {value}"),
        }
    }
}

#[test]
fn a_walk_ends_with_the_last_that_is_wanted() {
    let text = br#"{"status":200,"path":"/a","broken }"#;
    let wanted = Fields::of(&[Field::Path]);
    assert_eq!(Line::read(text, wanted).unwrap().text(Field::Path).unwrap(), "/a");
    assert!(Line::read(text, wanted.with(Field::Host)).is_none());
    assert!(Line::read(text, wanted).unwrap().value(Field::Status).is_none());
}

#[test]
fn what_is_no_object_is_told_apart() {
    for text in [
        "",
        "   ",
        "{",
        "}",
        "[]",
        "10.0.0.1 - - [20/Nov/2026] \"GET / HTTP/1.1\" 200 5",
        r#"{"status":200"#,
        r#"{"status" 200}"#,
        r#"{"status":}"#,
        r#"{"status":200 "path":"/"}"#,
        r#"{status:200}"#,
        r#"{"path":"\"}"#,
        r#"{"other":[1,2}"#,
        r#"{"other":x}"#,
    ] {
        assert!(Line::read(text.as_bytes(), all()).is_none(), "{text}");
    }
    assert!(Line::read(b" {} \r\n", all()).is_some());
}

#[test]
fn what_is_nested_is_passed_over() {
    let text = br#"{"other":{"path":"/no","list":["}",{"a":[]}]}, "path" : "/yes" , "status":7}"#;
    let line = Line::read(text, all()).unwrap();
    assert_eq!(line.text(Field::Path).unwrap(), "/yes");
    assert_eq!(line.whole(Field::Status), Some(7));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn it_reads_what_a_whole_parser_reads(
        others in prop::collection::vec((any::<String>(), json()), 0..6),
        values in prop::collection::vec(json(), 2),
        is_pretty: bool,
    ) {
        let mut object: serde_json::Map<_, _> = others.into_iter().collect();
        object.insert("path".to_owned(), values[0].clone());
        object.insert("status".to_owned(), values[1].clone());
        let object = serde_json::Value::from(object);
        let text = if is_pretty { format!("{object:#}") } else { object.to_string() };
        let line = Line::read(text.as_bytes(), Fields::of(&[Field::Path, Field::Status])).expect("an object");
        for (field, value) in [(Field::Path, &values[0]), (Field::Status, &values[1])] {
            match (line.value(field).expect("it is there"), value) {
                (Value::Text(raw), serde_json::Value::String(text)) => prop_assert_eq!(&*decoded(raw), text),
                (Value::Bare(raw), other) => {
                    prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(raw).unwrap(), other)
                }
                (Value::Text(raw), other) => prop_assert!(false, "{:?} for {}", raw, other),
            }
        }
    }

    #[test]
    fn no_bytes_are_too_strange(text: Vec<u8>) {
        if let Some(line) = Line::read(&text, all()) {
            for field in Field::ALL {
                let _ = (line.text(*field), line.number(*field), line.whole(*field));
            }
        }
        let _ = Line::read(&[b"{", &*text, b"}"].concat(), all());
    }
}
