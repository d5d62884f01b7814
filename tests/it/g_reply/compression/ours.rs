//! Answers of our own.

use std::fs;

use harness::{Gateway, Request};

use super::{accepting, coded, plain_but_varies, text};

#[test]
fn a_configured_answer_is_compressed_whole_and_its_length_is_that_of_the_coded_form() {
    let body = text(8_000);
    let gw = Gateway::start(&format!(
        r#"
        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        respond = {{ status = 200, content_type = "text/html", body = {body:?} }}
        compression = true

        [[routes]]
        name = "tiny"
        match = {{ path = "/tiny" }}
        respond = {{ status = 200, content_type = "text/html", body = "tiny" }}
        compression = true
        "#
    ));

    let mut client = gw.connect();
    for coding in ["gzip", "br", "zstd"] {
        let response = client.ask(&accepting("/", coding));
        assert_eq!(coded(response.expect(200), coding), body.as_bytes());
        let length = response.message.body.length.to_string();
        response.header("content-length", &length);
        let head = client.ask(&Request::head("/").header("Accept-Encoding", coding));
        head.expect(200)
            .header("content-encoding", coding)
            .header("content-length", &length);
    }
    let plain = client.ask(&Request::get("/"));
    plain_but_varies(plain.expect(200).body(&body));
    let old = gw.connect().ask(&accepting("/", "gzip").http10());
    plain_but_varies(old.expect(200).body(&body));
    client
        .ask(&accepting("/tiny", "gzip"))
        .expect(200)
        .no_header("vary")
        .body("tiny");
}

#[test]
fn a_small_file_is_compressed_and_its_conditions_and_ranges_hold() {
    let folder = tempfile::tempdir().unwrap();
    let body = text(20_000);
    fs::write(folder.path().join("a.html"), &body).unwrap();
    fs::write(folder.path().join("a.png"), &body).unwrap();
    let gw = Gateway::start(&format!(
        r#"
        [[routes]]
        name = "files"
        match = {{ path_prefix = "/" }}
        static_files = {{ root = "{}" }}
        compression = true
        "#,
        folder.path().display()
    ));

    let mut client = gw.connect();
    let plain = client.ask(&Request::get("/a.html"));
    let strong = plain.expect(200).body(&body).value("etag").unwrap().to_owned();
    let date = plain.value("last-modified").unwrap().to_owned();
    plain_but_varies(&plain);
    let response = client.ask(&accepting("/a.html", "gzip"));
    assert_eq!(coded(response.expect(200), "gzip"), body.as_bytes());
    let weak = response.value("etag").unwrap().to_owned();
    assert_eq!(weak, format!("W/{strong}"));

    let again = accepting("/a.html", "gzip").header("If-None-Match", &weak);
    client.ask(&again).expect(304).header("etag", &weak);
    let again = accepting("/a.html", "gzip").header("If-None-Match", &strong);
    client.ask(&again).expect(304).header("etag", &strong);
    let ranged = accepting("/a.html", "gzip").header("Range", "bytes=5-9");
    plain_but_varies(client.ask(&ranged).expect(206).body(&body[5..10]));
    for condition in [&weak, &date] {
        let response = client.ask(&ranged.clone().header("If-Range", condition));
        assert_eq!(coded(response.expect(200), "gzip"), body.as_bytes());
    }
    client
        .ask(&accepting("/a.png", "gzip"))
        .expect(200)
        .no_header("content-encoding")
        .body(&body);
}
