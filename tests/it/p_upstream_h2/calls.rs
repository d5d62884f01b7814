//! The four shapes of calls, by the frames gRPC sends; and what a client of gRPC is told when the gateway itself refuses.

use bytes::Bytes;
use h2::{Reason, RecvStream};
use harness::{Gateway, wait_until};
use http::Request;

use super::all_to;
use super::origin::{Call, Framed, fields, head, push};
use crate::m_http2::client::{Client, Got, give, request, run, soon, whole};

/// A message behind its prefix.
fn message(text: &str) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes.into()
}

/// The messages of a body.
fn messages(mut body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((prefix, rest)) = body.split_at_checked(5) {
        let length =
            u32::from_be_bytes(prefix[1..].try_into().expect("four bytes are left of five")) as usize;
        found.push(String::from_utf8(rest[..length].to_vec()).expect("plays say words"));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "half a prefix");
    found
}

fn call(path: &str) -> Request<()> {
    let mut call = request("POST", path);
    let said = [("content-type", "application/grpc"), ("te", "trailers")];
    *call.headers_mut() = fields(&said);
    call
}

/// One message comes.
async fn next(body: &mut RecvStream) -> Option<String> {
    loop {
        let data = body.data().await?.ok()?;
        let _ = body.flow_control().release_capacity(data.len());
        // The end may have a frame of its own.
        if !data.is_empty() {
            return Some(messages(&data).concat());
        }
    }
}

/// A server with a method for each shape, and some that go wrong.
fn server() -> Framed {
    Framed::new(|mut call: Call| async move {
        let ok = fields(&[("grpc-status", "0")]);
        match call.path().as_str() {
            "/Unary" => {
                let (body, _) = call.read().await.expect("the call goes on");
                let mut stream = call.begin(head(200, &[("content-type", "application/grpc")]));
                let text = messages(&body).concat().to_uppercase();
                let _ = push(&mut stream, message(&text), false).await;
                let _ = stream.send_trailers(ok);
            }
            "/Failing" => {
                let said = [
                    ("content-type", "application/grpc"),
                    ("grpc-status", "5"),
                    ("grpc-message", "no"),
                ];
                call.end(head(200, &said));
            }
            "/Early" => {
                let _ = call.body.data().await;
                let said = [("content-type", "application/grpc"), ("grpc-status", "9")];
                call.end(head(200, &said));
            }
            "/Never" => call.wait_reset().await,
            "/NeverEnding" => {
                let mut stream = call.begin(head(200, &[("content-type", "application/grpc")]));
                let _ = push(&mut stream, message("first"), false).await;
                call.log.wait_reset(&mut stream).await;
            }
            // Each message is answered by one; a length is claimed that a conversation has not.
            _ => {
                let mut stream = call.begin(head(200, &[("content-type", "application/grpc+proto")]));
                while let Some(text) = next(&mut call.body).await {
                    let _ = push(&mut stream, message(&text.to_uppercase()), false).await;
                }
                let _ = stream.send_trailers(ok);
            }
        }
    })
}

/// gRPC's status, wherever it stands.
fn status(got: &Got) -> Option<&str> {
    let in_trailers = got.trailers.as_ref().and_then(|t| t.get("grpc-status"));
    in_trailers
        .or(got.fields.get("grpc-status"))
        .map(|s| s.to_str().expect("a status is ASCII"))
}

#[test]
fn a_call_with_one_message_each_way_has_its_status_in_the_trailers() {
    let origin = server();
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    let got = run(async {
        let client = Client::open(gw.address()).await;
        client.post(call("/Unary"), message("hello")).await
    });
    assert_eq!((got.status, messages(&got.body)), (200, vec!["HELLO".to_owned()]));
    assert_eq!(got.trailers, Some(fields(&[("grpc-status", "0")])));
    let (_, seen) = origin.only();
    assert_eq!(
        (&seen["te"], &seen["content-type"]),
        (&"trailers".parse().unwrap(), &"application/grpc".parse().unwrap())
    );
}

#[test]
fn a_conversation_goes_message_by_message() {
    let origin = server();
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, mut stream) = client.begin(call("/Talk"), false).await;
        let mut body = answer.await.unwrap().into_body();
        for n in 0..10 {
            give(&mut stream, message(&format!("m{n}")), false).await;
            assert_eq!(next(&mut body).await.unwrap(), format!("M{n}"));
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(next(&mut body).await, None);
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn an_answer_of_trailers_alone_stays_one() {
    let origin = server();
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    run(async {
        let client = Client::open(gw.address()).await;
        let got = client.post(call("/Failing"), message("x")).await;
        assert_eq!((got.status, got.body.len(), status(&got)), (200, 0, Some("5")));
        assert_eq!(got.value("grpc-message"), Some("no"));
        // And one that comes while the client is still speaking.
        let (answer, mut stream) = client.begin(call("/Early"), false).await;
        give(&mut stream, message("one of many"), false).await;
        assert_eq!(status(&whole(answer).await.unwrap()), Some("9"));
        let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
        assert_eq!(reset, Reason::NO_ERROR);
    });
}

#[test]
fn a_call_that_is_cancelled_or_late_reaches_the_server_as_cancelled() {
    let origin = server();
    let gw = Gateway::start(&all_to(&[origin.address], ""));
    run(async {
        let client = Client::open(gw.address()).await;
        let (answer, mut stream) = client.begin(call("/NeverEnding"), false).await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(next(&mut body).await.unwrap(), "first");
        stream.send_reset(Reason::CANCEL);
        soon("it is told", async {
            while origin.running() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;

        let mut late = call("/Never");
        late.headers_mut().insert("grpc-timeout", "50m".parse().unwrap());
        let (answer, _stream) = client.begin(late, false).await;
        let got = whole(answer).await.unwrap();
        assert_eq!((got.status, status(&got)), (200, Some("4")));
        soon("it is told", async {
            while origin.running() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
    let seen = origin.log.heads.lock()[1].1.clone();
    assert_eq!(seen["grpc-timeout"], "50m");
    assert_eq!(*origin.log.resets.lock(), [Reason::CANCEL, Reason::CANCEL]);
    let lines = gw.log_lines(2);
    assert!(
        lines[1].contains("504"),
        "the log has the status of HTTP: {lines:?}"
    );
}

#[test]
fn what_the_gateway_refuses_is_said_in_grpcs_words() {
    let held = harness::origin::Reservation::new();
    let nobody = held.address();
    let respond = |name: &str, rest: &str| {
        format!("[[routes]]\nname = \"{name}\"\nmatch = {{ path_prefix = \"/{name}\" }}\n{rest}\n")
    };
    let toml = format!(
        "[rate_limits.one]\nrate = \"1/h\"\nkey = \"global\"\n{}{}{}",
        all_to(&[nobody], ""),
        respond("limited", "rate_limits = [\"one\"]\nupstream = \"origin\""),
        respond("denied", "deny = [\"0.0.0.0/0\"]\nupstream = \"origin\""),
    );
    let gw = Gateway::start(&toml);
    run(async {
        let client = Client::open(gw.address()).await;
        let ask = async |path: &str| {
            // It goes on speaking: nobody waits for the end of it.
            let (answer, mut stream) = client.begin(call(path), false).await;
            give(&mut stream, message("x"), false).await;
            let got = whole(answer).await.unwrap();
            assert_eq!((got.status, got.body.len()), (200, 0), "{path}");
            assert_eq!(got.value("content-type"), Some("application/grpc"));
            assert!(got.value("grpc-message").is_some_and(|m| !m.is_empty()));
            status(&got).unwrap().to_owned()
        };
        assert_eq!(ask("/a").await, "14");
        assert_eq!(ask("/denied").await, "7");
        ask("/limited").await;
        assert_eq!(ask("/limited").await, "14");
        // Everybody else is told as ever.
        assert_eq!(client.ask(request("GET", "/denied")).await.status, 403);
    });
    let statuses = gw.log_lines(5).join("\n");
    for status in ["502", "403", "429"] {
        assert!(statuses.contains(status), "{status} in {statuses}");
    }
    wait_until("the metrics have them too", || {
        gw.metrics().sum("sluice_requests_total", &[("status", "429")]) == 1.0
    });
}
