//! Heads, and who gets a place on which connection.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use prometheus::IntGauge;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::head::{self, Asked};
use super::link::{Link, Pace, Silences};
use super::*;
use crate::kit::clock::Mono;
use crate::stream::{IoFault, Stream};
use crate::wire::Length;

fn peer() -> Peer {
    Peer {
        name: "upstream a: 10.0.0.1:80".to_owned(),
        scheme: "http",
        authority: "10.0.0.1:80".to_owned(),
        open: IntGauge::new("open", "open").unwrap(),
    }
}

#[test]
fn a_request_of_the_relay_becomes_one_of_http_2() {
    let text = Bytes::from_static(
        b"POST /a?b=c HTTP/1.1\r\nHost: a.test:8080\r\nX-One: 1\r\nX-One: 2\r\nCookie: a=1\r\nTE: trailers\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
    );
    let (request, length) = head::request(&text, &peer()).unwrap();
    assert_eq!(length, Length::Chunked);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "http://a.test:8080/a?b=c");
    let fields = request.headers();
    assert_eq!(fields.get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(
        (&fields["te"], fields["cookie"].is_sensitive()),
        (&"trailers".parse().unwrap(), true)
    );
    assert!(!fields.contains_key("host") && !fields.contains_key("transfer-encoding"));
}

#[test]
fn a_request_without_a_host_names_the_server_and_a_body_keeps_its_length() {
    let text = Bytes::from_static(b"PUT / HTTP/1.1\r\nHost: \r\nContent-Length: 7\r\n\r\n");
    let (request, length) = head::request(&text, &peer()).unwrap();
    assert_eq!(request.uri(), "http://10.0.0.1:80/");
    assert_eq!(length, Length::Known(7));
    assert_eq!(request.headers()["content-length"], "7");
}

proptest! {
    /// Clients send them as they are, whatever RFC 3986 says: everything visible is taken, and means the same.
    #[test]
    fn every_target_that_is_taken_from_a_client_can_be_said_in_http_2(target in r#"/[!-"$-~]{0,20}"#) {
        let text = Bytes::from(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let (request, _) = head::request(&text, &peer()).expect("it can be said");
        let said = request.uri().path_and_query().expect("it has a target").as_str();
        if !target.contains(['"', '<', '>', '`']) {
            prop_assert_eq!(said, target.as_str());
        }
        let meant = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<_>>();
        prop_assert_eq!(meant(said), meant(&target));
        prop_assert_eq!(said.find('?').is_some(), target.find('?').is_some());
    }
}

fn written(
    status: u16,
    named: &[(&'static str, &str)],
    is_head: bool,
    is_end: bool,
) -> (String, Option<Length>) {
    let mut answer = Response::builder().status(status);
    for (name, value) in named {
        answer = answer.header(*name, *value);
    }
    let mut out = Vec::new();
    let length = head::write_answer(&mut out, &answer.body(()).unwrap(), Asked { is_head }, is_end);
    (String::from_utf8(out).unwrap(), length)
}

#[test]
fn an_answer_is_framed_by_what_it_says_and_by_what_may_follow_it() {
    let length = ("content-length", "8");
    let grpc = ("content-type", "application/grpc");
    for (status, named, is_head, is_end, expected) in [
        (200, &[length][..], false, false, Length::Known(8)),
        (200, &[], false, false, Length::Chunked),
        (200, &[], false, true, Length::Known(0)),
        (200, &[length], true, true, Length::None),
        (304, &[length], false, true, Length::None),
        (204, &[], false, true, Length::None),
        (103, &[], false, false, Length::None),
        (200, &[length, grpc], false, false, Length::Chunked),
        (
            200,
            &[length, ("trailer", "x-sum")],
            false,
            false,
            Length::Chunked,
        ),
    ] {
        let (text, length) = written(status, named, is_head, is_end);
        assert_eq!(length, Some(expected), "{text}");
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")) && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        assert_eq!(
            text.contains("transfer-encoding: chunked"),
            expected == Length::Chunked,
            "{text}"
        );
        let is_announced = !named.is_empty() && expected != Length::Chunked || expected == Length::Known(0);
        assert_eq!(text.contains("content-length"), is_announced, "{text}");
    }
    assert_eq!(written(200, &[("connection", "close")], false, false).1, None);
}

/// Runs a play of one worker.
fn on_a_worker(play: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.unwrap(), play);
}

/// A server that allows so many streams at once, and goes on until its client goes.
fn opened(streams: u32, opened: &Rc<Cell<usize>>) -> impl Future<Output = Result<Stream, IoFault>> + use<> {
    let opened = Rc::clone(opened);
    async move {
        opened.set(opened.get() + 1);
        let (ours, theirs) = UnixStream::pair()?;
        tokio::task::spawn_local(async move {
            let mut builder = ::h2::server::Builder::new();
            builder.max_concurrent_streams(streams);
            if let Ok(mut connection) = builder.handshake::<_, Bytes>(theirs).await {
                while let Some(Ok(_)) = connection.accept().await {}
            }
        });
        Ok(Stream::Unix(ours))
    }
}

const IDLE: Duration = Duration::from_secs(60);
/// Of a request that has met nothing bad yet.
const CALM: (Duration, bool) = (IDLE, false);
const KEY: Key = (1, 0);

#[test]
fn requests_share_a_connection_up_to_what_its_server_allows() {
    on_a_worker(async {
        let (links, count) = (Links::default(), Rc::default());
        let mut rooms = Vec::new();
        for n in 0..7_usize {
            let room = links.room(KEY, peer, CALM, opened(3, &count)).await.unwrap();
            assert_eq!((room.is_reused, room.is_shared), (n % 3 != 0, n % 3 != 0));
            assert_eq!(room.was_awaited, n % 3 == 0);
            rooms.push(room);
        }
        assert_eq!((count.get(), links.len()), (3, 3));
        drop(rooms);
        let other = links.room((2, 0), peer, CALM, opened(3, &count)).await.unwrap();
        assert!(!other.is_reused, "another server has other connections");
        let again = links.room(KEY, peer, CALM, opened(3, &count)).await.unwrap();
        assert!(again.is_reused && !again.is_shared && count.get() == 4);
    });
}

#[test]
fn who_was_refused_gets_another_connection_and_who_is_refused_everywhere_opens_no_more() {
    on_a_worker(async {
        let (links, count) = (Links::default(), Rc::default());
        let wary = (IDLE, true);
        let first = links.room(KEY, peer, CALM, opened(100, &count)).await.unwrap();
        first.refuse();
        links.room(KEY, peer, CALM, opened(100, &count)).await.unwrap();
        assert_eq!(count.get(), 1, "another request may be luckier");
        let second = links.room(KEY, peer, wary, opened(100, &count)).await.unwrap();
        assert_eq!((second.is_reused, count.get()), (false, 2));
        second.refuse();
        first.hear();
        let room = links.room(KEY, peer, wary, opened(100, &count)).await.unwrap();
        assert!(
            room.is_shared && count.get() == 2,
            "the first one takes requests again"
        );
        first.refuse();
        links.room(KEY, peer, wary, opened(100, &count)).await.unwrap();
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn no_request_has_more_than_its_share_of_a_server_that_sets_no_limit() {
    on_a_worker(async {
        let (links, count) = (Links::default(), Rc::default());
        let mut rooms = Vec::new();
        for _ in 0..=STREAMS_MAX {
            rooms.push(links.room(KEY, peer, CALM, opened(1000, &count)).await.unwrap());
        }
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn who_comes_together_waits_for_one_connection() {
    on_a_worker(async {
        let (links, count) = (Rc::<Links>::default(), Rc::default());
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (links, open) = (Rc::clone(&links), opened(100, &count));
                tokio::task::spawn_local(async move { links.room(KEY, peer, CALM, open).await.unwrap() })
            })
            .collect();
        let mut rooms = Vec::new();
        for task in tasks {
            rooms.push(task.await.unwrap());
        }
        assert_eq!((count.get(), rooms.len()), (1, 20));
    });
}

#[test]
fn a_connection_that_cannot_be_had_is_missed_by_all_who_wait_for_it() {
    on_a_worker(async {
        let (links, asked) = (Rc::<Links>::default(), Rc::<Cell<usize>>::default());
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (links, asked) = (Rc::clone(&links), Rc::clone(&asked));
                tokio::task::spawn_local(async move {
                    let open = async {
                        asked.set(asked.get() + 1);
                        tokio::task::yield_now().await;
                        Err(IoFault::from(std::io::Error::from_raw_os_error(111)))
                    };
                    links.room(KEY, peer, CALM, open).await.err()
                })
            })
            .collect();
        for task in tasks {
            let fault = task.await.unwrap();
            let Some(IoFault::Broken(error)) = fault else {
                panic!("no place")
            };
            assert_eq!(error.raw_os_error(), Some(111));
        }
        assert_eq!(asked.get(), 1);
        // Whoever comes later tries anew.
        let room = links.room(KEY, peer, CALM, opened(1, &asked)).await;
        assert!(room.is_ok() && asked.get() == 2);
    });
}

#[test]
fn where_there_are_as_many_connections_as_may_be_a_place_is_waited_for() {
    on_a_worker(async {
        let (links, count) = (Links::default(), Rc::default());
        let mut rooms = Vec::new();
        for _ in 0..LINKS_MAX {
            rooms.push(links.room(KEY, peer, CALM, opened(1, &count)).await.unwrap());
        }
        let one_more = links.room(KEY, peer, CALM, opened(1, &count));
        let leaving = async {
            tokio::task::yield_now().await;
            rooms.pop();
        };
        let (room, ()) = tokio::join!(one_more, leaving);
        let room = room.unwrap();
        assert!(room.is_reused && room.was_awaited);
        assert_eq!(count.get(), LINKS_MAX);
    });
}

#[test]
fn a_connection_grows_old_while_it_has_no_request_and_not_before() {
    on_a_worker(async {
        let (links, count) = (Links::default(), Rc::default());
        let at = |seconds| Mono::default().plus(Duration::from_secs(seconds));
        let room = links.room(KEY, peer, CALM, opened(1, &count)).await.unwrap();
        links.sweep(at(1000));
        assert_eq!(links.len(), 1, "it is in use");
        drop(room);
        links.sweep(at(1001));
        links.sweep(at(1060));
        assert_eq!(links.len(), 1);
        links.sweep(at(1061));
        assert!(links.is_empty());
    });
}

proptest! {
    /// Against a look at the whole past: asked at the first silence since something was heard or nothing was wanted, and at
    /// every 31st from there.
    #[test]
    fn a_server_is_asked_when_it_begins_to_be_silent_and_seldom_from_then_on(
        past in proptest::collection::vec((prop::bool::weighted(0.02), prop::bool::weighted(0.98)), 0..200),
    ) {
        let mut silences = Silences::default();
        for (at, (is_heard, was_asked)) in past.iter().enumerate() {
            let is_silent = |(is_heard, was_asked): &&(bool, bool)| !is_heard && *was_asked;
            let run = past[..=at].iter().rev().take_while(is_silent).count();
            prop_assert_eq!(silences.pass(*is_heard, *was_asked), run % 31 == 1);
        }
    }
}

/// A server that takes everything, says nothing after its settings, and counts the questions whether it is there.
async fn say_nothing(mut stream: UnixStream, pings: Rc<Cell<usize>>) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        if head[3] == 6 {
            pings.set(pings.get() + 1);
        }
    }
}

#[test]
fn a_connection_that_has_died_is_found_out_though_requests_go_on_to_come() {
    on_a_worker(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let pings = Rc::<Cell<usize>>::default();
        tokio::task::spawn_local(say_nothing(theirs, Rc::clone(&pings)));
        let pace = Pace {
            silence: Duration::from_millis(5),
            pong_timeout: Duration::from_millis(5),
        };
        let link = Link::open(Stream::Unix(ours), Rc::new(peer()), pace, Rc::default())
            .await
            .unwrap();
        let traffic = async {
            while link.is_open() {
                // Begun, and given up.
                drop(link.room());
                tokio::task::yield_now().await;
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(60), traffic);
        patience.await.expect("it is given up");
        assert_eq!(pings.get(), 1);
    });
}
