//! Bytes come out as they went in, whatever the sockets do to them on their way.

use std::io::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::peer::{Width, with_client, with_server};
use super::*;
use crate::stream::{Buffer, Shelf};
use std::rc::Rc;
use std::sync::Arc;

/// How our side writes.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Everything at once, in so many pieces.
    Pieces(usize),
    /// In stretches of that many bytes.
    Stretches(usize),
    /// As an answer from memory is: tried, and what is left is written with patience.
    Tried,
    /// As [`Way::Tried`], from a file, behind so many bytes from memory.
    File(usize),
}

#[derive(Clone, Debug)]
struct Play {
    out: usize,
    back: usize,
    way: Way,
    /// Bytes the peer takes from its socket at a time.
    pace: usize,
    /// Bytes our side reads at most at a time.
    space: usize,
    width: Width,
    is_client: bool,
    is_tls12: bool,
}

async fn tried(stream: &Stream, pieces: &[&[u8]]) {
    let mut waiting: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut waiting = &mut waiting[..];
    IoSlice::advance_slices(&mut waiting, 0);
    if !waiting.is_empty() {
        match stream.try_write(waiting) {
            Ok(n) => IoSlice::advance_slices(&mut waiting, n),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    stream.write_all(waiting, LIMIT).await.unwrap();
}

async fn send(stream: &Stream, bytes: &[u8], way: Way) {
    match way {
        Way::Pieces(pieces) => {
            let size = bytes.len().div_ceil(pieces).max(1);
            let mut pieces: Vec<_> = bytes.chunks(size).map(IoSlice::new).collect();
            stream.write_all(&mut pieces, LIMIT).await.unwrap();
        }
        Way::Stretches(size) => {
            for stretch in bytes.chunks(size) {
                let mut rest = stretch;
                while !rest.is_empty() {
                    let n = stream.write_some(&[IoSlice::new(rest)]).await.unwrap();
                    rest = &rest[n..];
                }
            }
        }
        Way::Tried => tried(stream, &[&bytes[..bytes.len() / 3], &bytes[bytes.len() / 3..]]).await,
        Way::File(before) => {
            let (before, behind) = bytes.split_at(before.min(bytes.len()));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"not this").unwrap();
            file.write_all(behind).unwrap();
            tried(stream, &[before]).await;
            let mut at = 0;
            while at < behind.len() {
                let n = match stream.try_send_file(&file, 8 + at as u64, behind.len() - at) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream
                        .send_file(&file, 8 + at as u64, behind.len() - at)
                        .await
                        .unwrap(),
                    sent => sent.unwrap(),
                };
                assert!(n > 0, "the file has not ended");
                at += n;
            }
        }
    }
}

async fn receive(stream: &Stream, length: usize, space: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut piece = vec![0; space];
    while heard.len() < length {
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "it has not ended");
        heard.extend_from_slice(&piece[..n]);
    }
    heard
}

fn perform(certificate: &Certificate, play: &Play) {
    let (out, back) = (bytes_of(1, play.out), bytes_of(2, play.back));
    let versions: &[&rustls::SupportedProtocolVersion] = match play.is_tls12 {
        true => &[&rustls::version::TLS12],
        false => &[&rustls::version::TLS13],
    };
    let client = certificate.client_by(rustls::crypto::ring::default_provider(), versions, false);
    let (server, client) = (Arc::new(certificate.server()), Arc::new(client));
    block_on(async {
        let (stream, _, mut peer) = match play.is_client {
            true => with_server(server, client, play.width).await,
            false => with_client(server, client, play.width).await,
        };
        peer.pace = play.pace;
        let (heard_there, heard_here, ()) = tokio::join!(
            peer.exchange(&back, out.len()),
            receive(&stream, back.len(), play.space),
            send(&stream, &out, play.way),
        );
        assert!(heard_there.unwrap() == out, "other bytes there");
        assert!(heard_here == back, "other bytes here");
        assert!(stream.is_quiet(), "nothing is left over");
        assert!(is_bare(&stream), "an idle session holds a buffer");
        let ((), behind) = tokio::join!(stream.end(LIMIT), peer.rest());
        assert_eq!(
            behind.unwrap(),
            b"",
            "the end was said, and nothing came behind it"
        );
    });
}

fn plays() -> impl Strategy<Value = Play> {
    // Around the sizes of records, and anything.
    let length = || {
        prop_oneof![
            Just(0usize),
            Just(1),
            Just(2),
            16_300usize..16_500,
            49_000usize..49_300,
            1usize..300_000,
        ]
    };
    let way = prop_oneof![
        (1usize..9).prop_map(Way::Pieces),
        (1_000usize..70_000).prop_map(Way::Stretches),
        Just(Way::Tried),
        (0usize..20_000).prop_map(Way::File),
    ];
    let pace = prop_oneof![Just(usize::MAX), 300usize..5_000];
    let width = prop_oneof![Just(Width::Usual), Just(Width::Narrow), Just(Width::Tiny)];
    (
        length(),
        length(),
        way,
        pace,
        1usize..40_000,
        width,
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(out, back, way, pace, space, width, [is_client, is_tls12])| Play {
                out,
                back,
                way,
                pace,
                // A byte at a time would only take long.
                space: if back > 20_000 { space.max(500) } else { space },
                width,
                is_client,
                is_tls12,
            },
        )
}

#[test]
fn bytes_go_both_ways_at_once_and_come_out_as_they_went_in() {
    let certificate = Certificate::new();
    let mut runner = TestRunner::new(Config::with_cases(60));
    let run = runner.run(&plays(), |play| {
        perform(&certificate, &play);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn eight_mebibytes_go_both_ways_past_a_slow_reader() {
    let certificate = Certificate::new();
    for (way, is_client) in [
        (Way::Pieces(3), false),
        (Way::File(700), false),
        (Way::Tried, true),
    ] {
        perform(
            &certificate,
            &Play {
                out: 8 << 20,
                back: 8 << 20,
                way,
                pace: 8_000,
                space: 64 * 1024,
                width: Width::Narrow,
                is_client,
                is_tls12: false,
            },
        );
    }
}

#[test]
fn a_full_count_means_that_nobody_has_to_do_anything_more() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Tiny).await;
        let bytes = bytes_of(3, 5_000);
        let mut out = 0;
        // The socket is filled until it takes no more of an answer than a part.
        let short = loop {
            match stream.try_write(&[IoSlice::new(&bytes)]) {
                Ok(n) if n == bytes.len() => out += n,
                Ok(n) => break n,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break 0;
                }
            }
        };
        // Nobody touches the stream: what was counted in full arrives, and of the last answer not more than was counted
        // unless it was held back.
        let heard = peer.hear(out).await;
        assert!(heard.len() >= out, "what was counted in full is out");
        assert!(
            heard
                .chunks(bytes.len())
                .all(|chunk| chunk == &bytes[..chunk.len()])
        );
        // Going on from where it stopped sends each byte once.
        let rest = async {
            stream
                .write_all(&mut [IoSlice::new(&bytes[short..])], LIMIT)
                .await
                .unwrap()
        };
        let missing = out + bytes.len() - heard.len();
        let (behind, ()) = tokio::join!(peer.exchange(&[], missing), rest);
        let all = [heard, behind.unwrap()].concat();
        assert_eq!(all.len(), out + bytes.len());
        assert!(
            all.chunks(bytes.len()).all(|chunk| chunk == bytes),
            "each byte once"
        );
    });
}

#[test]
fn other_bytes_instead_of_the_one_held_back_are_refused() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Tiny).await;
        let bytes = [b'a'; 3_000];
        while matches!(stream.try_write(&[IoSlice::new(&bytes)]), Ok(n) if n == bytes.len()) {}
        let other = async {
            let fault = stream
                .write_all(&mut [IoSlice::new(b"b")], LIMIT)
                .await
                .unwrap_err();
            assert!(
                matches!(fault, crate::stream::IoFault::Broken(e) if e.kind() == io::ErrorKind::InvalidInput)
            );
            drop(stream);
        };
        let (heard, ()) = tokio::join!(peer.rest(), other);
        let error = heard.expect_err("the peer is not told that this was all");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_file_that_is_shorter_than_said_ends_where_it_ends() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Usual).await;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes_of(4, 20_000)).unwrap();
        assert_eq!(stream.send_file(&file, 5_000, 90_000).await.unwrap(), 15_000);
        assert_eq!(stream.send_file(&file, 20_000, 70_000).await.unwrap(), 0);
        assert!(peer.hear(15_000).await == bytes_of(4, 20_000)[5_000..]);
    });
}

#[test]
fn what_has_come_since_the_socket_was_asked_wakes_whoever_waits() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Usual).await;
        peer.say(&[b'a'; 12_000]).await;
        let mut part = [0; 8_000];
        assert_eq!(stream.read(&mut part).await.unwrap(), part.len());
        peer.say(b"more").await;
        stream.socket().readable().await.unwrap();
        let mut buffer = Rc::new(Shelf::default()).lend();
        assert_eq!(buffer.try_fill(&stream).unwrap(), 4_000, "what lay here");
        stream.readable().await.unwrap();
        buffer.consume(4_000);
        buffer.fill(&stream).await.unwrap();
        assert_eq!(buffer.unread(), b"more");
    });
}

#[test]
fn small_pieces_share_a_record() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, peer) = with_client(server, client, Width::Usual).await;
        let mut pieces = [b"HTTP/1.1 200 OK\r\n".as_slice(), b"\r\n", b"", b"body"].map(IoSlice::new);
        stream.write_all(&mut pieces, LIMIT).await.unwrap();
        // The tickets of TLS 1.3 were read by the handshake, or come before.
        let mut raw = Vec::new();
        while !raw.windows(3).any(|head| head == [23, 3, 3]) || !is_whole(&raw) {
            peer.socket.readable().await.unwrap();
            let _ = peer.socket.try_read_buf(&mut raw);
        }
        let mut lengths = Vec::new();
        let mut rest = &raw[..];
        while let [_, _, _, high, low, ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            lengths.push(length);
            rest = &rest[5 + length..];
        }
        // Its bytes, the type and the tag.
        assert_eq!(lengths.last(), Some(&(17 + 2 + 4 + 1 + 16)), "{lengths:?}");
    });
}

fn is_whole(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let [_, _, _, high, low, behind @ ..] = rest {
        match behind.get(usize::from(u16::from_be_bytes([*high, *low]))..) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn a_buffer_is_filled_from_a_session_as_from_a_socket() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Usual).await;
        let bytes = bytes_of(5, 40_000);
        let shelf = Rc::new(Shelf::default());
        let mut buffer: Buffer = shelf.lend();
        let mut heard = Vec::new();
        let read = async {
            while heard.len() < bytes.len() {
                stream.readable().await.unwrap();
                match buffer.try_fill(&stream) {
                    Ok(n) => assert!(n > 0),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
                heard.extend_from_slice(buffer.unread());
                let n = buffer.unread().len();
                buffer.consume(n);
            }
        };
        let ((), ()) = tokio::join!(read, peer.say(&bytes));
        assert!(heard == bytes);
    });
}
