mod coding;
mod ours;
mod stored;
mod streams;

use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request, Response};
use proptest::prelude::*;

use coding::decoded;

/// Text that shrinks, of about so many bytes.
fn text(bytes: usize) -> String {
    let lines = (0..).map(|n| format!("<li>line {n} of a list that goes on</li>\n"));
    let mut text = String::new();
    for line in lines {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&line);
    }
    text
}

/// A page of that text.
fn page(body: impl AsRef<[u8]>) -> Script {
    reply(200).header("Content-Type", "text/html").body(body)
}

/// Every request goes to this origin, compressed, with these lines about the route and these sections.
fn compressing(origin: &Origin, route: &str, sections: &str) -> Gateway {
    Gateway::start(&format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        compression = true
        {route}
        {sections}
        "#,
        origin.address()
    ))
}

fn accepting(target: &str, codings: &str) -> Request {
    Request::get(target).header("Accept-Encoding", codings)
}

/// Fails unless the response is in this coding and says all that it has to.
#[track_caller]
fn coded(response: &Response, coding: &str) -> Vec<u8> {
    response.header("content-encoding", coding);
    assert!(
        response.head.list("vary").contains(&"accept-encoding".to_owned()),
        "{response}"
    );
    response.no_header("accept-ranges");
    let tag = response.value("etag");
    assert!(tag.is_none_or(|tag| tag.starts_with("W/\"")), "{response}");
    decoded(coding, &response.message.body.kept)
}

/// Fails unless the response is as its origin made it, and says that it might have been another one.
#[track_caller]
fn plain_but_varies(response: &Response) {
    response.no_header("content-encoding");
    assert_eq!(response.head.list("vary"), ["accept-encoding"], "{response}");
}

#[test]
fn an_answer_comes_in_the_coding_its_client_likes_best() {
    let body = text(20_000);
    let script = page(&body)
        .header("ETag", "\"a\"")
        .header("Accept-Ranges", "bytes");
    let origin = Origin::new().on("/", script);
    let gw = compressing(&origin, "", "");

    let mut client = gw.connect();
    for (accepts, coding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip;q=0.001", "gzip"),
        ("identity;q=0, br;q=0.1", "br"),
        ("*", "zstd"),
    ] {
        let response = client.ask(&accepting("/", accepts));
        response
            .expect(200)
            .no_header("content-length")
            .header("etag", "W/\"a\"")
            .header("content-type", "text/html");
        assert_eq!(coded(&response, coding), body.as_bytes(), "{accepts}");
        assert!(response.message.body.length < 4_000, "{accepts}");
    }
    let log = gw.log_objects(7);
    let sent = log[2]["bytes_sent"].as_u64().unwrap();
    assert!(
        sent > 0 && sent < 4_000,
        "what was sent is what is logged: {sent}"
    );
}

#[test]
fn a_client_that_takes_no_coding_gets_the_plain_form_and_is_told_that_there_are_others() {
    let body = text(20_000);
    let origin = Origin::new().on("/", page(&body).header("ETag", "\"a\""));
    let gw = compressing(&origin, "", "");

    let mut asked = vec![Request::get("/")];
    for accepts in [
        "",
        "identity",
        "gzip;q=0",
        "*;q=0",
        "deflate",
        "identity, gzip;q=0.5",
        "identity;q=0",
    ] {
        asked.push(accepting("/", accepts));
    }
    asked.push(accepting("/", "gzip").header("Cache-Control", "no-transform"));
    for request in asked {
        let response = gw.ask(&request);
        response.expect(200).header("etag", "\"a\"").body(&body);
        plain_but_varies(&response);
        assert_eq!(
            response.value("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
}

#[test]
fn an_http_1_0_client_gets_the_plain_form() {
    let body = text(20_000);
    let origin = Origin::new().on("/", page(&body).chunked());
    let gw = compressing(&origin, "", "");

    let response = gw.connect().ask(&accepting("/", "gzip").http10());
    response.expect(200).body(&body);
    plain_but_varies(&response);
}

#[test]
fn what_must_not_be_changed_or_is_not_worth_it_passes_as_it_is() {
    let body = text(20_000);
    let typed = |media: &str| reply(200).header("Content-Type", media).body(&body);
    let origin = Origin::new()
        .on("/transform", page(&body).header("Cache-Control", "no-transform"))
        .on("/encoded", page(&body).header("Content-Encoding", "br"))
        .on("/digest", page(&body).header("Repr-Digest", "sha-256=:AA==:"))
        .on("/image", typed("image/png"))
        .on("/events", typed("text/event-stream").chunked())
        .on("/grpc", typed("application/grpc"))
        .on("/untyped", reply(200).body(&body))
        .on("/tiny", page("tiny"))
        .on("/nothing", page(""))
        .on("/gone", reply(204).header("Content-Type", "text/html"));
    let gw = compressing(&origin, "", "");

    let mut client = gw.connect();
    for path in [
        "/transform",
        "/encoded",
        "/digest",
        "/image",
        "/events",
        "/grpc",
        "/untyped",
    ] {
        let response = client.ask(&accepting(path, "gzip"));
        response.expect(200).no_header("vary").body(&body);
        let encoding = (path == "/encoded").then_some("br");
        assert_eq!(response.value("content-encoding"), encoding, "{path}");
    }
    for path in ["/tiny", "/nothing", "/gone"] {
        let response = client.ask(&accepting(path, "gzip"));
        response.no_header("content-encoding").no_header("vary");
    }
}

#[test]
fn an_error_s_page_is_compressed_like_any_other() {
    let body = text(20_000);
    let script = reply(404).header("Content-Type", "text/html").body(&body);
    let origin = Origin::new().on("/", script);
    let gw = compressing(&origin, "", "");

    let response = gw.ask(&accepting("/", "zstd"));
    assert_eq!(coded(response.expect(404), "zstd"), body.as_bytes());
}

#[test]
fn head_is_told_what_get_would_get() {
    let origin = Origin::new()
        .on("/", page(text(20_000)).header("ETag", "\"a\""))
        .on("/tiny", page("tiny"));
    let gw = compressing(&origin, "", "");

    let mut client = gw.connect();
    let head = |path: &str, accepts: &str| Request::head(path).header("Accept-Encoding", accepts);
    let response = client.ask(&head("/", "gzip"));
    response
        .expect(200)
        .header("content-encoding", "gzip")
        .header("vary", "Accept-Encoding")
        .header("etag", "W/\"a\"")
        .no_header("content-length");
    plain_but_varies(client.ask(&head("/", "identity")).expect(200));
    client
        .ask(&head("/tiny", "gzip"))
        .expect(200)
        .no_header("content-encoding")
        .header("content-length", "4");
    client.ask(&Request::get("/tiny")).expect(200).body("tiny");
}

#[test]
fn who_asks_by_the_weak_tag_is_answered_by_it() {
    let not_modified = reply(304).header("ETag", "\"a\"");
    let origin = Origin::new().on("/", not_modified);
    let gw = compressing(&origin, "", "");

    let ask = |tag: &str| gw.ask(&accepting("/", "gzip").header("If-None-Match", tag));
    ask("W/\"a\"").expect(304).header("etag", "W/\"a\"");
    ask("\"a\"").expect(304).header("etag", "\"a\"");
}

#[test]
fn a_part_passes_as_it_is_and_nobody_continues_by_date_what_was_coded() {
    let body = text(20_000);
    let part = reply(206)
        .header("Content-Type", "text/html")
        .header("Content-Range", "bytes 0-1999/30000")
        .body(&body[..2_000]);
    let origin = Origin::new().on("/part", part).on("/", page(&body));
    let gw = compressing(&origin, "", "");

    let ranged = |path: &str, accepts: &str| accepting(path, accepts).header("Range", "bytes=0-1999");
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    gw.ask(&ranged("/part", "gzip"))
        .expect(206)
        .no_header("content-encoding")
        .header("vary", "Accept-Encoding")
        .body(&body[..2_000]);
    gw.ask(&ranged("/", "gzip").header("If-Range", date)).expect(200);
    gw.ask(&ranged("/", "identity").header("If-Range", date))
        .expect(200);
    gw.ask(&ranged("/", "gzip").header("If-Range", "\"a\""))
        .expect(200);
    let seen: Vec<_> = origin
        .requests("/")
        .iter()
        .map(|seen| (seen.has("range"), seen.has("if-range")))
        .collect();
    assert_eq!(seen, [(false, false), (true, true), (true, true)]);
}

#[test]
fn a_route_that_has_the_last_word_on_such_fields_is_not_compressed() {
    let body = text(20_000);
    let origin = Origin::new().on("/", page(&body));
    for edits in [
        "set = { Content-Type = \"text/plain\" }",
        "set = { Vary = \"Origin\" }",
        "remove = [\"ETag\"]",
        "set = { Cache-Control = \"no-transform\" }",
    ] {
        let gw = compressing(&origin, &format!("response_headers = {{ {edits} }}"), "");
        gw.ask(&accepting("/", "gzip"))
            .expect(200)
            .no_header("content-encoding")
            .body(&body);
    }
    let gw = compressing(&origin, "response_headers = { add = { Vary = \"Origin\" } }", "");
    let response = gw.ask(&accepting("/", "gzip"));
    assert_eq!(coded(&response, "gzip"), body.as_bytes());
    let mut vary = response.head.list("vary");
    vary.sort();
    assert_eq!(vary, ["accept-encoding", "origin"]);
}

#[test]
fn a_route_is_compressed_only_if_it_says_so_and_as_the_section_says() {
    let body = text(20_000);
    let origin = Origin::new().on("/", page(&body)).on(
        "/json",
        reply(200).header("Content-Type", "application/json").body(&body),
    );
    let section =
        "[compression]\nalgorithms = [\"gzip\"]\nmin_size = \"10KiB\"\ntypes = [\"application/json\"]";
    let gw = compressing(&origin, "", section);
    gw.ask(&accepting("/", "gzip"))
        .expect(200)
        .no_header("content-encoding")
        .body(&body);
    gw.ask(&accepting("/json", "br")).expect(200).body(&body);
    assert_eq!(
        coded(&gw.ask(&accepting("/json", "br, gzip;q=0.1")), "gzip"),
        body.as_bytes()
    );

    let without = Gateway::start(&crate::all_to(&origin));
    without
        .ask(&accepting("/", "gzip"))
        .expect(200)
        .no_header("content-encoding")
        .no_header("vary");
}

#[test]
fn whatever_is_sent_in_whatever_pieces_arrives_in_whatever_coding() {
    let origin = Origin::new();
    let gw = compressing(&origin, "", "[compression]\nmin_size = \"1B\"");
    let client = std::cell::RefCell::new(gw.connect());
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..3_000),
        (any::<u8>(), 1..40_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        (1..60_000_usize).prop_map(|length| text(length).into_bytes()),
    ];
    let strategy = (
        proptest::collection::vec(piece, 1..8),
        proptest::sample::select(vec!["gzip", "br", "zstd", "identity"]),
        any::<bool>(),
    );
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&strategy, |(pieces, coding, is_chunked)| {
        let mut script = reply(200).header("Content-Type", "text/plain");
        for piece in &pieces {
            script = script.body(piece);
        }
        origin.set("/", if is_chunked { script.chunked() } else { script });
        let response = client.borrow_mut().ask(&accepting("/", coding));
        let body = match coding {
            "identity" => response.message.body.kept,
            _ => coded(&response, coding),
        };
        prop_assert!(body == pieces.concat());
        Ok(())
    });
    outcome.unwrap();
}
