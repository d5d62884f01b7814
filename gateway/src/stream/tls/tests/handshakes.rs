//! How sessions begin, and how they do not.

use std::rc::Rc;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peer::{NAME, Width, sockets, with_client, with_server};
use super::*;
use crate::stream::Shelf;

/// What becomes of a client that sends these bytes and nothing more.
async fn accept_from(bytes: &[u8], limit: Duration) -> (HandshakeFault, tokio::net::TcpStream) {
    let certificate = Certificate::new();
    let server = Arc::new(certificate.server());
    let (here, mut there) = sockets(Width::Usual).await;
    there.write_all(bytes).await.unwrap();
    let shelf = Rc::new(Shelf::default());
    let accepted = accept(Stream::Tcp(here), &shelf, |_| Some(server), limit).await;
    (accepted.unwrap_err(), there)
}

/// A client's hello as it goes over the wire.
fn hello() -> Vec<u8> {
    let client = Arc::new(Certificate::new().client());
    let mut session = ClientConnection::new(client, ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn both_sides_learn_what_was_agreed_upon() {
    let certificate = Certificate::new();
    let mut server = certificate.server_by(ring::default_provider(), true);
    let mut client = certificate.client_by(ring::default_provider(), rustls::ALL_VERSIONS, true);
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (server, client) = (Arc::new(server), Arc::new(client));
    block_on(async {
        let (_, of_client, _) = with_client(Arc::clone(&server), Arc::clone(&client), Width::Usual).await;
        let (_, of_server, _) = with_server(server, client, Width::Usual).await;
        assert_eq!(of_client.server_name.as_deref(), Some(NAME));
        assert_eq!(of_server.server_name, None);
        for greeting in [of_client, of_server] {
            assert_eq!(greeting.alpn.as_deref(), Some(b"http/1.1".as_slice()));
            assert_eq!(greeting.version, ProtocolVersion::TLSv1_3);
            assert_eq!(
                greeting.cipher_suite,
                rustls::CipherSuite::TLS13_AES_256_GCM_SHA384
            );
            assert_eq!(greeting.peer_certificates, certificate.chain());
        }
    });
}

#[test]
fn sessions_are_resumed_in_both_versions_and_on_both_sides() {
    let certificate = Certificate::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for is_client in [false, true] {
            let mut server = certificate.server();
            server.ticketer = ring::Ticketer::new().unwrap();
            let client = certificate.client_by(ring::default_provider(), &[version], false);
            let (server, client) = (Arc::new(server), Arc::new(client));
            let resumed = block_on(async {
                let mut resumed = Vec::new();
                for _ in 0..3 {
                    let (stream, greeting, mut peer) = match is_client {
                        true => with_server(Arc::clone(&server), Arc::clone(&client), Width::Usual).await,
                        false => with_client(Arc::clone(&server), Arc::clone(&client), Width::Usual).await,
                    };
                    assert_eq!(greeting.version, version.version);
                    resumed.push(greeting.is_resumed);
                    // The tickets are read with the first bytes.
                    stream.write_all(&mut [IoSlice::new(b"x")], LIMIT).await.unwrap();
                    peer.exchange(b"y", 1).await.unwrap();
                    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 1);
                }
                resumed
            });
            assert_eq!(
                resumed,
                [false, true, true],
                "{version:?}, as client: {is_client}"
            );
        }
    }
}

#[test]
fn the_configuration_is_chosen_by_the_name() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let server = Arc::new(other.server());
    block_on(async {
        for (client, is_good) in [(other.client(), true), (one.client(), false)] {
            let (here, there) = sockets(Width::Usual).await;
            let name = ServerName::try_from("SLUICE.test").unwrap();
            let mut peer = Peer::new(
                there,
                ClientConnection::new(Arc::new(client), name).unwrap().into(),
            );
            let shelf = Rc::new(Shelf::default());
            let mut asked = None;
            let accepted = accept(
                Stream::Tcp(here),
                &shelf,
                |hello| {
                    asked = hello.server_name().map(str::to_owned);
                    Some(Arc::clone(&server))
                },
                LIMIT,
            );
            let shaken = async {
                while peer.session.is_handshaking() && peer.step().await.is_ok() {}
                peer.flush().await;
            };
            let (accepted, ()) = tokio::join!(accepted, shaken);
            match accepted {
                Ok((_, greeting)) => assert!(is_good && greeting.server_name.as_deref() == Some(NAME)),
                Err(HandshakeFault::Alert(text)) => assert!(!is_good && text == "DecryptError", "{text}"),
                Err(other) => panic!("{other}"),
            }
            assert_eq!(asked.map(|name| name.to_ascii_lowercase()).as_deref(), Some(NAME));
        }
    });
}

#[test]
fn a_name_nothing_is_set_up_for_is_refused_with_an_alert() {
    block_on(async {
        let (here, there) = sockets(Width::Usual).await;
        let client = Arc::new(Certificate::new().client());
        let name = ServerName::try_from("other.test").unwrap();
        let mut peer = Peer::new(there, ClientConnection::new(client, name).unwrap().into());
        let shelf = Rc::new(Shelf::default());
        let told = async {
            loop {
                if let Err(error) = peer.step().await {
                    return error;
                }
            }
        };
        let (accepted, told) = tokio::join!(accept(Stream::Tcp(here), &shelf, |_| None, LIMIT), told);
        let fault = accepted.unwrap_err();
        assert!(matches!(&fault, HandshakeFault::UnknownName(Some(name)) if &**name == "other.test"));
        assert!(fault.to_string().contains("other.test"));
        assert!(told.to_string().contains("UnrecognisedName"), "{told}");
    });
}

#[test]
fn plain_http_can_be_answered_plainly() {
    block_on(async {
        let (fault, mut there) = accept_from(b"GET / HTTP/1.1\r\n\r\n", LIMIT).await;
        let HandshakeFault::NotTls { stream, heard } = fault else {
            panic!("{fault}");
        };
        assert_eq!(heard.unread(), b"GET / HTTP/1.1\r\n\r\n");
        let mut answer = [IoSlice::new(b"HTTP/1.1 400 Bad Request\r\n\r\n")];
        stream.write_all(&mut answer, LIMIT).await.unwrap();
        drop(stream);
        let mut told = String::new();
        there.read_to_string(&mut told).await.unwrap();
        assert_eq!(told, "HTTP/1.1 400 Bad Request\r\n\r\n");
    });
}

#[test]
fn a_server_that_speaks_plainly_is_found_out() {
    block_on(async {
        let (here, mut there) = sockets(Width::Usual).await;
        there
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let shelf = Rc::new(Shelf::default());
        let client = Arc::new(Certificate::new().client());
        let name = ServerName::try_from(NAME).unwrap();
        let fault = connect(Stream::Tcp(here), &shelf, client, name, LIMIT)
            .await
            .unwrap_err();
        assert!(
            matches!(fault, HandshakeFault::NotTls { heard, .. } if heard.unread().starts_with(b"HTTP/1.1 4"))
        );
    });
}

#[test]
fn garbage_is_refused_and_nothing_waits_for_ever() {
    block_on(async {
        let no_hello = [&[22, 3, 1, 0, 5][..], &[9; 5]].concat();
        let too_long = [&[22, 3, 1, 0xff, 0xff][..], &[0; 100]].concat();
        let wrong = {
            let mut hello = hello();
            // The length of the session's number, which is 32 at most.
            hello[43] = 0xff;
            hello
        };
        for bytes in [no_hello, too_long, wrong] {
            let (fault, mut there) = accept_from(&bytes, LIMIT).await;
            assert!(
                matches!(&fault, HandshakeFault::Refused(text) if !text.is_empty()),
                "{fault}"
            );
            let mut told = Vec::new();
            let _ = there.read_to_end(&mut told).await;
            assert!(told.is_empty() || told[0] == 21, "an alert or nothing: {told:?}");
        }
        // A hello in so many records that it never is whole.
        let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        endless.resize(5 + 0x4000, 0);
        endless.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        endless.resize(2 * (5 + 0x4000), 0);
        let (fault, _) = accept_from(&endless, LIMIT).await;
        assert!(
            matches!(&fault, HandshakeFault::Refused(text) if text.contains("too large")),
            "{fault}"
        );
    });
}

#[test]
fn a_hello_that_does_not_become_whole_in_time_is_given_up() {
    let hello = hello();
    block_on(async {
        for part in [0, 1, 5, hello.len() - 1, hello.len()] {
            let (fault, _there) = accept_from(&hello[..part], Duration::from_millis(20)).await;
            assert!(matches!(fault, HandshakeFault::TimedOut), "{part}: {fault}");
        }
    });
}

#[test]
fn a_hello_byte_by_byte_is_as_good_as_any() {
    let certificate = Certificate::new();
    let server = Arc::new(certificate.server());
    let client = Arc::new(certificate.client());
    block_on(async {
        let (here, mut there) = sockets(Width::Usual).await;
        let mut session = ClientConnection::new(client, ServerName::try_from(NAME).unwrap()).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let shelf = Rc::new(Shelf::default());
        let accepted = accept(Stream::Tcp(here), &shelf, |_| Some(server), LIMIT);
        let shaken = async {
            for byte in hello {
                there.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut peer = Peer::new(there, session.into());
            peer.shake().await;
            peer.say(b"x").await;
            peer
        };
        let (accepted, mut peer) = tokio::join!(accepted, shaken);
        let (stream, _) = accepted.unwrap();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 1);
        drop(stream);
        assert_eq!(peer.rest().await.unwrap(), b"");
    });
}

#[test]
fn a_connection_that_ends_in_the_handshake_is_broken() {
    block_on(async {
        let certificate = Certificate::new();
        let (here, mut there) = sockets(Width::Usual).await;
        there.write_all(&hello()[..40]).await.unwrap();
        there.shutdown().await.unwrap();
        let shelf = Rc::new(Shelf::default());
        let server = Arc::new(certificate.server());
        let fault = accept(Stream::Tcp(here), &shelf, |_| Some(server), LIMIT)
            .await
            .unwrap_err();
        assert!(matches!(fault, HandshakeFault::Broken(e) if e.kind() == io::ErrorKind::UnexpectedEof));
    });
}

#[test]
fn there_is_no_tls_within_tls() {
    let certificate = Certificate::new();
    let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
    block_on(async {
        let (stream, _, _peer) = with_client(Arc::clone(&server), client, Width::Usual).await;
        let shelf = Rc::new(Shelf::default());
        let fault = accept(stream, &shelf, |_| Some(server), LIMIT).await.unwrap_err();
        assert!(matches!(fault, HandshakeFault::Broken(e) if e.kind() == io::ErrorKind::InvalidInput));
    });
}
