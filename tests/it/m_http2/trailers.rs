use harness::origin::{Script, reply};
use harness::{Gateway, Origin, Request};
use http::HeaderMap;

use super::client::{Client, get, give, request, run, whole};
use super::{all_to, with};

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::new()
        .on(
            "/down",
            reply(200).chunked().body("the page").trailer("X-Sum", "42"),
        )
        .on("/up", reply(200).echo());
    let gw = Gateway::start(&all_to(&origin));

    run(async {
        let client = Client::open(gw.address()).await;
        let got = client.ask(get("/down")).await;
        got.expect(200, "the page");
        assert_eq!(got.trailers.unwrap().get("x-sum").unwrap(), "42");

        let (answer, mut stream) = client.begin(request("POST", "/up"), false).await;
        give(&mut stream, "hello".into(), false).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "43".parse().unwrap());
        for evil in ["host", "x-forwarded-port", "traceparent", "proxy"] {
            trailers.insert(evil, "evil.test".parse().unwrap());
        }
        stream.send_trailers(trailers).unwrap();
        whole(answer).await.unwrap().expect(200, "hello");
    });
    let seen = origin.only("/up");
    assert_eq!(seen.body.text(), "hello");
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "43".to_owned())]);
}

#[test]
fn what_a_route_says_of_its_answers_holds_for_their_trailers() {
    let trailing = |script: Script| {
        script
            .trailer("X-Secret", "1")
            .trailer("X-Own", "theirs")
            .trailer("Grpc-Status", "0")
            .trailer("X-Sum", "42")
    };
    let text = "the page ".repeat(1000);
    let coded = reply(200)
        .header("Content-Type", "text/plain")
        .chunked()
        .body(&text);
    let origin = Origin::new()
        .on("/plain", trailing(reply(200).chunked().body("the page")))
        .on("/coded", trailing(coded));
    let toml = crate::all_to(&origin).replace(
        "upstream = \"origin\"",
        "upstream = \"origin\"\ncompression = true\nresponse_headers = { remove = [\"x-secret\"], set = { X-Own = \"ours\" } }",
    );
    let gw = Gateway::start(&with(&toml));

    let kept = [("Grpc-Status", "0"), ("X-Sum", "42")];
    let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for path in ["/plain", "/coded"] {
        let asked = Request::get(path)
            .header("Accept-Encoding", "gzip")
            .header("TE", "trailers")
            .header("Connection", "TE");
        let got = gw.ask(&asked);
        assert_eq!(
            got.expect(200).value("content-encoding").is_some(),
            path == "/coded"
        );
        assert_eq!(got.value("x-own"), Some("ours"));
        assert_eq!(got.message.trailers, kept, "{path}");
        run(async {
            let got = Client::open(gw.address()).await.ask(get(path)).await;
            let trailers = got.trailers.unwrap();
            assert_eq!(trailers.len(), 2, "{path}: {trailers:?}");
            assert_eq!(
                (&trailers["grpc-status"], &trailers["x-sum"]),
                (&"0".parse().unwrap(), &"42".parse().unwrap())
            );
        });
    }
}
