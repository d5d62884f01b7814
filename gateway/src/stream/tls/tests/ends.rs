//! How connections end, and what a reader is told of it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;

use super::peer::{NAME, Width, sockets, with_client};
use super::*;
use crate::stream::Shelf;

async fn pair() -> (Stream, Peer) {
    let certificate = Certificate::new();
    let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
    let (stream, _, peer) = with_client(server, client, Width::Usual).await;
    (stream, peer)
}

async fn read(stream: &Stream) -> io::Result<Vec<u8>> {
    let mut space = [0; 100];
    let n = stream.read(&mut space).await?;
    Ok(space[..n].to_vec())
}

#[test]
fn an_announced_end_is_the_end() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        peer.say(b"last").await;
        peer.session.send_close_notify();
        peer.flush().await;
        assert_eq!(read(&stream).await.unwrap(), b"last");
        assert_eq!(read(&stream).await.unwrap(), b"");
        assert_eq!(read(&stream).await.unwrap(), b"", "and it stays so");
        assert!(!stream.is_quiet());
    });
}

#[test]
fn an_end_that_was_not_announced_is_an_error_behind_what_came_before() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        peer.say(b"last").await;
        peer.socket.shutdown().await.unwrap();
        assert_eq!(read(&stream).await.unwrap(), b"last");
        for _ in 0..2 {
            let error = read(&stream).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(!stream.is_quiet());
    });
}

#[test]
fn an_end_within_a_record_is_an_error() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        io::Write::write_all(&mut peer.session.writer(), &[7; 50]).unwrap();
        let mut sealed = Vec::new();
        peer.session.write_tls(&mut sealed).unwrap();
        let (last, most) = sealed.split_last().unwrap();
        peer.socket.write_all(most).await.unwrap();
        stream.readable().await.unwrap();
        let waits = stream.try_read(&mut [0; 100]).unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
        assert!(!stream.is_quiet(), "a part of an answer is no silence");
        peer.socket.write_all(&[last ^ 1]).await.unwrap();
        peer.socket.shutdown().await.unwrap();
        let error = read(&stream).await.unwrap_err();
        assert_eq!(
            error.kind(),
            io::ErrorKind::InvalidData,
            "a forged record is not delivered"
        );
        let refused = stream.try_write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        drop(stream);
        let told = peer.rest().await.unwrap_err();
        assert!(told.to_string().contains("BadRecordMac"), "{told}");
    });
}

#[test]
fn whoever_has_finished_sending_still_gets_an_answer() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        peer.say(b"question").await;
        peer.session.send_close_notify();
        peer.flush().await;
        peer.socket.shutdown().await.unwrap();
        assert_eq!(read(&stream).await.unwrap(), b"question");
        assert_eq!(read(&stream).await.unwrap(), b"");
        let answer = bytes_of(6, 100_000);
        let write = async {
            stream
                .write_all(&mut [IoSlice::new(&answer)], LIMIT)
                .await
                .unwrap();
            stream.finish_sending();
        };
        // rustls reads no more after the end, but the other direction is read by the same session.
        let (heard, ()) = tokio::join!(peer.rest(), write);
        assert!(heard.unwrap() == answer);
    });
}

#[test]
fn after_we_have_finished_sending_the_peer_is_still_heard() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        stream
            .write_all(&mut [IoSlice::new(b"bye")], LIMIT)
            .await
            .unwrap();
        stream.finish_sending();
        stream.finish_sending();
        assert_eq!(peer.rest().await.unwrap(), b"bye");
        peer.say(b"still here").await;
        assert_eq!(read(&stream).await.unwrap(), b"still here");
        let refused = stream.try_write(&[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_dropped_stream_says_the_end_and_a_reset_one_does_not() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        stream
            .write_all(&mut [IoSlice::new(b"all")], LIMIT)
            .await
            .unwrap();
        drop(stream);
        assert_eq!(peer.rest().await.unwrap(), b"all");

        let (stream, mut peer) = pair().await;
        stream
            .write_all(&mut [IoSlice::new(b"some")], LIMIT)
            .await
            .unwrap();
        stream.close_by_reset();
        drop(stream);
        peer.rest().await.expect_err("it must not look like the end");

        let (stream, mut peer) = pair().await;
        stream.close_by_reset();
        stream
            .write_all(&mut [IoSlice::new(b"all")], LIMIT)
            .await
            .unwrap();
        stream.close_in_order();
        drop(stream);
        assert_eq!(peer.rest().await.unwrap(), b"all");
    });
}

#[test]
fn the_word_of_the_end_waits_for_room_while_somebody_reads() {
    block_on(async {
        let certificate = Certificate::new();
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        let (stream, _, mut peer) = with_client(server, client, Width::Tiny).await;
        // Small records until the socket takes no more, the last one with patience.
        let mut out = 0;
        while matches!(stream.try_write(&[IoSlice::new(&[1; 20])]), Ok(20)) {
            out += 20;
        }
        let reader = async {
            assert_eq!(read(&stream).await.unwrap(), b"thanks");
        };
        let writer = async {
            // What was told of the last try is not needed: its last byte is the same as any of it.
            tokio::task::yield_now().await;
            stream.write_all(&mut [IoSlice::new(&[1])], LIMIT).await.unwrap();
            stream.finish_sending();
        };
        let listener = async {
            let heard = peer.rest().await.unwrap();
            assert!(heard.len() > out && heard.iter().all(|byte| *byte == 1));
            peer.say(b"thanks").await;
        };
        tokio::join!(reader, writer, listener);
    });
}

#[test]
fn tickets_that_come_late_are_no_noise() {
    block_on(async {
        let certificate = Certificate::new();
        let (here, there) = sockets(Width::Usual).await;
        let session = rustls::ServerConnection::new(Arc::new(certificate.server())).unwrap();
        let mut peer = Peer::new(there, session.into());
        let shelf = Rc::new(Shelf::default());
        let name = ServerName::try_from(NAME).unwrap();
        let connected = connect(
            Stream::Tcp(here),
            &shelf,
            Arc::new(certificate.client()),
            name,
            LIMIT,
        );
        // The server's tickets are held back until the client believes that nothing comes.
        let mut tickets = Vec::new();
        let shaken = async {
            while peer.session.is_handshaking() {
                peer.step().await.unwrap();
            }
        };
        let (connected, ()) = tokio::join!(connected, shaken);
        let (stream, _) = connected.unwrap();
        while peer.session.wants_write() {
            peer.session.write_tls(&mut tickets).unwrap();
        }
        assert!(!tickets.is_empty() && stream.is_quiet());
        peer.socket.write_all(&tickets).await.unwrap();
        // They have arrived when the runtime says so.
        stream.readable().await.unwrap();
        assert!(stream.is_quiet(), "tickets are not an answer");
        assert!(is_bare(&stream));
        peer.say(b"an answer nobody asked for").await;
        stream.readable().await.unwrap();
        assert!(!stream.is_quiet());
        assert_eq!(read(&stream).await.unwrap(), b"an answer nobody asked for");
        drop(stream);
        assert_eq!(peer.rest().await.unwrap(), b"");
    });
}

#[test]
fn a_broken_connection_is_noticed_and_a_finished_one_is_not_broken() {
    block_on(async {
        let (stream, mut peer) = pair().await;
        peer.session.send_close_notify();
        peer.flush().await;
        peer.socket.shutdown().await.unwrap();
        assert_eq!(read(&stream).await.unwrap(), b"");
        let mut broken = std::pin::pin!(stream.broken());
        let is_pending = std::future::poll_fn(|cx| Poll::Ready(broken.as_mut().poll(cx).is_pending()));
        assert!(is_pending.await);
        socket2::SockRef::from(&peer.socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        broken.await;
    });
}
