//! Keys change while bytes go both ways.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};

use super::peer::{Width, with_client, with_server};
use super::*;

/// A suite whose keys are used up after a few records.
fn short_lived() -> CryptoProvider {
    let SupportedCipherSuite::Tls13(usual) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256 else {
        panic!("it is of TLS 1.3");
    };
    let suite: &'static Tls13CipherSuite = Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: usual.common.suite,
            hash_provider: usual.common.hash_provider,
            confidentiality_limit: 8,
        },
        hkdf_provider: usual.hkdf_provider,
        aead_alg: usual.aead_alg,
        quic: None,
    }));
    CryptoProvider {
        cipher_suites: vec![SupportedCipherSuite::Tls13(suite)],
        ..ring::default_provider()
    }
}

async fn echo(stream: &Stream, peer: &mut Peer, question: &[u8], answer: &[u8]) {
    let mut heard = vec![0; question.len()];
    let ours = async {
        let mut at = 0;
        while at < heard.len() {
            at += stream.read(&mut heard[at..]).await.unwrap();
        }
        stream
            .write_all(&mut [IoSlice::new(answer)], LIMIT)
            .await
            .unwrap();
    };
    let (theirs, ()) = tokio::join!(peer.exchange(question, answer.len()), ours);
    assert!(theirs.unwrap() == answer && heard == question);
}

#[test]
fn a_peer_that_changes_its_keys_is_understood_and_gets_new_ones() {
    let certificate = Certificate::new();
    block_on(async {
        let (server, client) = (Arc::new(certificate.server()), Arc::new(certificate.client()));
        for is_client in [false, true] {
            let (stream, _, mut peer) = match is_client {
                true => with_server(Arc::clone(&server), Arc::clone(&client), Width::Usual).await,
                false => with_client(Arc::clone(&server), Arc::clone(&client), Width::Usual).await,
            };
            for round in 0..5 {
                peer.session.refresh_traffic_keys().unwrap();
                if round == 2 {
                    // Alone on the wire it wakes a reader, and says nothing.
                    peer.flush().await;
                    stream.readable().await.unwrap();
                    let nothing = stream.try_read(&mut [0; 10]).unwrap_err();
                    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
                    assert!(stream.is_quiet() && is_bare(&stream));
                }
                echo(
                    &stream,
                    &mut peer,
                    &bytes_of(round, 30_000),
                    &bytes_of(round, 70_000),
                )
                .await;
            }
        }
    });
}

#[test]
fn keys_that_are_used_up_are_changed_in_the_middle_of_a_body() {
    let certificate = Certificate::new();
    let server = Arc::new(certificate.server_by(short_lived(), false));
    let client = certificate.client_by(short_lived(), &[&rustls::version::TLS13], false);
    let client = Arc::new(client);
    block_on(async {
        for is_client in [false, true] {
            let (stream, _, mut peer) = match is_client {
                true => with_server(Arc::clone(&server), Arc::clone(&client), Width::Narrow).await,
                false => with_client(Arc::clone(&server), Arc::clone(&client), Width::Narrow).await,
            };
            echo(&stream, &mut peer, &bytes_of(1, 500_000), &bytes_of(2, 900_000)).await;
            assert!(is_bare(&stream));
        }
    });
}
