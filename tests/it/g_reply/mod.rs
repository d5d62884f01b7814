mod compression;
mod files;

use harness::origin::reply;
use harness::{Gateway, Origin, Request};

use crate::all_to;

#[test]
fn an_error_is_a_problem_document_unless_the_client_wants_a_page() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "only"
        match = { path = "/only" }
        respond = { status = 200 }
        "#,
    );
    let ask = |accept: &str| gw.ask(&Request::get("/none").header("Accept", accept));

    gw.get("/none").expect(404).problem();
    for accept in [
        "application/json",
        "*/*",
        "application/problem+json",
        "image/*",
        "text/html;q=0",
    ] {
        ask(accept).expect(404).problem();
    }
    // As browsers ask.
    for accept in [
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ] {
        let page = ask(accept);
        let kind = page.expect(404).value("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{page}");
        assert!(page.text().contains("404"), "{page}");
    }
}

#[test]
fn nothing_of_the_request_stands_in_an_error_page() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "only"
        match = { path = "/only" }
        respond = { status = 200 }
        "#,
    );

    let request = Request::get("/<script>alert(1)</script>");
    for response in [
        gw.ask(&request),
        gw.ask(&request.clone().header("Accept", "text/html")),
    ] {
        assert!(!response.text().contains("<script>"), "{response}");
    }
    let quoted = gw.ask(
        &Request::get("/%22%3Cscript%3E")
            .header("Accept", "text/html")
            .header("X-Request-ID", "<b>"),
    );
    assert!(!quoted.expect(404).text().contains("<b>"));
}

#[test]
fn a_head_that_fails_announces_the_error_and_leaves_it_out() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "only"
        match = { path = "/only" }
        respond = { status = 200 }
        "#,
    );

    let mut client = gw.connect();
    client.ask(&Request::head("/none")).expect(404);
    client.ask(&Request::get("/only")).expect(200);
}

#[test]
fn an_origin_s_own_error_is_passed_on_as_it_is() {
    let script = reply(500).header("Content-Type", "text/plain").body("mine");
    let origin = Origin::new().on("/", script);
    let gw = Gateway::start(&all_to(&origin));

    gw.get("/")
        .expect(500)
        .header("content-type", "text/plain")
        .body("mine");
}

#[test]
fn a_refusal_on_a_kept_connection_leaves_it_open() {
    let gw = Gateway::start(
        r#"
        [[routes]]
        name = "only"
        match = { path = "/only" }
        respond = { status = 200 }
        "#,
    );

    let mut client = gw.connect();
    for _ in 0..2 {
        assert!(!client.ask(&Request::get("/none")).expect(404).closes());
        client.ask(&Request::get("/only")).expect(200);
    }
}

#[test]
fn every_answer_of_ours_carries_the_request_s_id() {
    let origin = Origin::down();
    let gw = Gateway::start(&all_to(&origin));

    let response = gw.get("/");
    assert!(response.expect(502).value("x-request-id").is_some());
}
