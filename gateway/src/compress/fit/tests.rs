use super::*;

fn rule() -> Compression {
    Compression {
        algorithms: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        min_size: 1024,
        types: ["text/*", "application/json", "image/svg+xml"]
            .map(str::to_owned)
            .to_vec(),
    }
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// A GET's answer of 4 KiB with these fields, by that rule.
fn is_fit_by(lines: &[(&str, &str)], rule: &Compression) -> bool {
    let fields = fields(lines);
    let candidate = Candidate {
        method: Method::Get,
        status: 200,
        fields: &fields,
        length: Some(4096),
    };
    candidate.is_compressible(rule)
}

fn is_fit(lines: &[(&str, &str)]) -> bool {
    is_fit_by(lines, &rule())
}

fn judged(method: Method, status: u16, length: Option<u64>, accept: &[(&str, &str)]) -> Fit {
    let fields = fields(&[("Content-Type", "text/html; charset=utf-8")]);
    let candidate = Candidate {
        method,
        status,
        fields: &fields,
        length,
    };
    fits(&candidate, &self::fields(accept), &rule())
}

const GZIP: &[(&str, &str)] = &[("Accept-Encoding", "gzip")];

#[test]
fn a_client_that_takes_a_coding_gets_it_and_for_others_the_answer_varies() {
    assert_eq!(judged(Method::Get, 200, None, GZIP), Fit::Yes(Coding::Gzip));
    assert_eq!(judged(Method::Get, 200, None, &[]), Fit::Varies);
    let refuses = [("Accept-Encoding", "gzip;q=0")];
    assert_eq!(judged(Method::Get, 200, None, &refuses), Fit::Varies);
    let untouched = [GZIP[0], ("Cache-Control", "max-age=0, No-Transform")];
    assert_eq!(judged(Method::Get, 200, None, &untouched), Fit::Varies);
}

#[test]
fn any_final_status_with_a_whole_body_will_do() {
    for status in [200, 201, 203, 207, 301, 403, 404, 410, 416, 500, 502, 599] {
        assert_eq!(
            judged(Method::Get, status, None, GZIP),
            Fit::Yes(Coding::Gzip),
            "{status}"
        );
    }
    for status in [100, 101, 103, 204, 205, 206, 226, 304, 600, 999] {
        assert_eq!(judged(Method::Get, status, None, GZIP), Fit::No, "{status}");
    }
}

#[test]
fn every_method_but_a_tunnel_has_answers_that_fit() {
    for method in [Method::Get, Method::Head, Method::Post, Method::Other] {
        assert_eq!(judged(method, 200, None, GZIP), Fit::Yes(Coding::Gzip));
    }
    assert_eq!(judged(Method::Connect, 200, None, GZIP), Fit::No);
    assert_eq!(judged(Method::Connect, 403, None, GZIP), Fit::Yes(Coding::Gzip));
}

#[test]
fn what_is_known_to_be_short_is_left_alone() {
    assert_eq!(judged(Method::Get, 200, Some(1023), GZIP), Fit::No);
    assert_eq!(judged(Method::Get, 200, Some(1024), GZIP), Fit::Yes(Coding::Gzip));
    let any_size = Compression {
        min_size: 0,
        ..rule()
    };
    let fields = fields(&[("Content-Type", "text/html")]);
    let candidate = |length| Candidate {
        method: Method::Get,
        status: 200,
        fields: &fields,
        length: Some(length),
    };
    assert!(candidate(1).is_compressible(&any_size) && !candidate(0).is_compressible(&any_size));
}

#[test]
fn the_media_type_is_compared_without_case_and_parameters() {
    for media in [
        "text/html",
        "TEXT/HTML;charset=utf-8",
        "text/css ; x=\"a;b\"",
        "application/json",
        "image/svg+xml",
    ] {
        assert!(is_fit(&[("Content-Type", media)]), "{media}");
    }
    for media in [
        "",
        "text",
        "text/*x/",
        "image/png",
        "application/jsonl",
        "xtext/html",
    ] {
        assert_eq!(
            is_fit(&[("Content-Type", media)]),
            media.starts_with("text/"),
            "{media}"
        );
    }
    assert!(!is_fit(&[]));
    assert!(!is_fit(&[
        ("Content-Type", "text/html"),
        ("Content-Type", "text/html")
    ]));
}

#[test]
fn event_streams_are_compressed_only_where_they_are_written_out() {
    let events = [("Content-Type", "text/event-stream;charset=utf-8")];
    assert!(!is_fit(&events));
    let all = Compression {
        types: vec!["*/*".to_owned()],
        ..rule()
    };
    assert!(!is_fit_by(&events, &all) && is_fit_by(&[("Content-Type", "image/png")], &all));
    assert!(!is_fit_by(
        &[("Content-Type", "multipart/x-mixed-replace; boundary=a")],
        &all
    ));
    let written_out = Compression {
        types: vec!["text/event-stream".to_owned()],
        ..rule()
    };
    assert!(is_fit_by(&events, &written_out));
}

#[test]
fn remote_calls_and_ranges_are_never_compressed() {
    for media in [
        "application/grpc",
        "application/grpc+proto",
        "application/gRPC-web-text",
        "multipart/byteranges; boundary=x",
    ] {
        let name = media.split(';').next().unwrap().to_lowercase();
        let rule = Compression {
            types: vec!["*/*".to_owned(), name],
            ..rule()
        };
        assert!(!is_fit_by(&[("Content-Type", media)], &rule), "{media}");
    }
}

#[test]
fn an_answer_whose_bytes_are_spoken_for_is_left_alone() {
    for (name, value) in [
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "identity"),
        ("Content-Range", "bytes 0-1/2"),
        ("Cache-Control", "public, NO-TRANSFORM"),
        ("Content-Digest", "sha-256=:AA==:"),
        ("Repr-Digest", "sha-256=:AA==:"),
        ("Digest", "sha-256=AA=="),
        ("content-md5", "AA=="),
        ("Signature-Input", "sig=(\"etag\")"),
        ("IM", "feed"),
        ("Trailer", "Server-Timing, Content-Digest"),
        ("Connection", "close, Content-Encoding"),
        ("Connection", "vary"),
    ] {
        assert!(
            !is_fit(&[("Content-Type", "text/html"), (name, value)]),
            "{name}: {value}"
        );
    }
    for (name, value) in [
        ("Cache-Control", "private=\"x, no-transform\", max-age=1"),
        ("ETag", "\"a\""),
        ("Want-Repr-Digest", "sha-256=1"),
        ("Trailer", "Server-Timing"),
    ] {
        assert!(
            is_fit(&[("Content-Type", "text/html"), (name, value)]),
            "{name}: {value}"
        );
    }
}

#[test]
fn a_proof_may_not_trail_what_it_does_not_prove() {
    assert!(!may_trail(b"Content-Digest") && !may_trail(b"repr-digest"));
    assert!(may_trail(b"Server-Timing"));
}

#[test]
fn without_algorithms_nothing_is_compressed_and_nothing_varies() {
    let none = Compression {
        algorithms: Vec::new(),
        ..rule()
    };
    let fields = fields(&[("Content-Type", "text/html")]);
    let candidate = Candidate {
        method: Method::Get,
        status: 200,
        fields: &fields,
        length: None,
    };
    assert_eq!(fits(&candidate, &self::fields(GZIP), &none), Fit::No);
}

#[test]
fn a_part_says_that_the_whole_varies_and_is_never_compressed_itself() {
    let part = |lines: &[(&str, &str)]| {
        let fields = fields(&[&[("Content-Type", "text/html")], lines].concat());
        let candidate = Candidate {
            method: Method::Get,
            status: 206,
            fields: &fields,
            length: Some(10),
        };
        fits(&candidate, &self::fields(GZIP), &rule())
    };
    assert_eq!(part(&[("Content-Range", "bytes 0-9/4096")]), Fit::Varies);
    assert_eq!(part(&[("Content-Range", "bytes 0-9/*")]), Fit::Varies);
    assert_eq!(
        part(&[("Content-Range", "bytes 0-9/1023")]),
        Fit::No,
        "the whole is too short"
    );
    let coded = [("Content-Range", "bytes 0-9/4096"), ("Content-Encoding", "br")];
    assert_eq!(part(&coded), Fit::No);
    assert_eq!(part(&[]), Fit::No, "a part of nobody knows what");
}
