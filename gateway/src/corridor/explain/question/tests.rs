//! Which bytes a question stands for, and by which listener they come.

use super::*;
use crate::config::plan::Listener;

fn question(url: &str, headers: &[(&str, &str)]) -> Question {
    Question {
        method: "GET".into(),
        url: url.into(),
        headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        ..Question::default()
    }
}

fn head(url: &str, headers: &[(&str, &str)]) -> Result<String, QuestionFault> {
    let head = question(url, headers).head()?;
    Ok(String::from_utf8(head).unwrap())
}

fn plain(name: &str, address: &str) -> Entrance {
    let listener = Listener {
        name: (!name.is_empty()).then(|| name.to_owned()),
        address: SocketSpec::Tcp(address.parse().unwrap()),
        redirect_to_https: false,
        tls: None,
        h2c: false,
        proxy_protocol: false,
    };
    (listener, None)
}

#[test]
fn a_url_becomes_the_head_that_a_client_would_send() {
    let cases = [
        ("http://a.test/b?c#d", "GET /b?c HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ("HTTPS://a.test:444", "GET / HTTP/1.1\r\nHost: a.test:444\r\n\r\n"),
        ("http://a.test?q", "GET /?q HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ("/b", "GET /b HTTP/1.1\r\n\r\n"),
    ];
    for (url, expected) in cases {
        assert_eq!(head(url, &[]).unwrap(), expected);
    }
    let named = head("http://a/", &[("hOst", "b"), ("X", "y")]).unwrap();
    assert_eq!(named, "GET / HTTP/1.1\r\nhOst: b\r\nX: y\r\n\r\n");
}

#[test]
fn what_would_smuggle_a_line_into_the_head_or_is_no_url_is_no_question() {
    for (url, headers) in [
        ("http://a/\r\nX: y", &[][..]),
        ("http://a\r\nX: y/", &[]),
        ("http://a/", &[("X", "y\r\nZ: 1")]),
        ("http://a/", &[("X\n", "y")]),
    ] {
        assert_eq!(
            head(url, headers),
            Err(QuestionFault::LineBreak),
            "{url:?} {headers:?}"
        );
    }
    for url in ["", "a.test/b", "ftp://a/b"] {
        assert_eq!(head(url, &[]), Err(QuestionFault::Url), "{url:?}");
    }
}

#[test]
fn the_listener_is_the_one_that_is_named_or_that_the_url_leads_to() {
    let doors = || {
        vec![
            plain("one", "127.0.0.1:80"),
            plain("", "127.0.0.1:8080"),
            plain("two", "127.0.0.1:81"),
        ]
    };
    let port_of = |url: &str, listener: Option<&str>| {
        let question = Question {
            listener: listener.map(str::to_owned),
            ..question(url, &[])
        };
        let ((listener, _), why) = question.entrance(doors())?;
        Ok((listener.address.to_string(), why))
    };
    let found = |address: &str, why| Ok((address.to_owned(), why));
    let first = "the first of this scheme";
    assert_eq!(
        port_of("http://a:8080/", None),
        found("127.0.0.1:8080", "by scheme and port")
    );
    assert_eq!(
        port_of("http://a/", None),
        found("127.0.0.1:80", "by scheme and port")
    );
    assert_eq!(port_of("http://a:9/", None), found("127.0.0.1:80", first));
    assert_eq!(port_of("/a", None), found("127.0.0.1:80", "the first"));
    assert_eq!(
        port_of("http://a/", Some("two")),
        found("127.0.0.1:81", "as asked")
    );
    assert_eq!(port_of("https://a/", None), Err(QuestionFault::NoListener));
    let names = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(
        port_of("http://a/", Some("three")),
        Err(QuestionFault::Listener(names))
    );
}
