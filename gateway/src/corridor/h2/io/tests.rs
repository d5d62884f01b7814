use std::sync::Arc;
use std::time::Duration;

use ::h2::{client, server};
use bytes::Bytes;
use http::{Request, Response};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::UnixStream;

use super::super::gauge::PREFACE_BYTES;
use super::*;
use crate::stream::{Shelf, tls};

const LONG: Duration = Duration::from_secs(60);

/// Two ends of a socket that holds little, so that writes are taken in part.
fn plain() -> (Stream, Stream) {
    let (a, b) = UnixStream::pair().unwrap();
    for end in [&a, &b] {
        socket2::SockRef::from(end)
            .set_send_buffer_size(8 * 1024)
            .unwrap();
    }
    (Stream::Unix(a), Stream::Unix(b))
}

async fn by_tls((a, b): (Stream, Stream)) -> (Stream, Stream) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let shelf = Rc::<Shelf>::default();
    let name = ServerName::try_from("a.test").unwrap();
    let (accepted, connected) = tokio::join!(
        tls::accept(a, &shelf, |_| Some(Arc::new(server)), LONG),
        tls::connect(b, &shelf, Arc::new(client), name, LONG),
    );
    (accepted.unwrap().0, connected.unwrap().0)
}

fn io(stream: Stream, is_server: bool) -> Io {
    let now = tokio::time::sleep(Duration::ZERO).deadline();
    let wire = Wire::new(stream, &Rc::default(), move || now);
    if !is_server {
        // The other side begins without a preface.
        wire.observe(&[0; PREFACE_BYTES]);
    }
    Io::new(Rc::new(wire), None)
}

/// Sends back what comes, as it comes.
async fn echo(io: Io) {
    let wire = Rc::clone(&io.wire);
    let mut connection = wire.draining(server::handshake(io)).await.unwrap();
    while let Some(asked) = wire.draining(connection.accept()).await {
        let (asked, mut respond) = asked.unwrap();
        let mut body = asked.into_body();
        tokio::task::spawn_local(async move {
            let mut back = respond.send_response(Response::new(()), false).unwrap();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                back.send_data(data, false).unwrap();
            }
            back.send_data(Bytes::new(), true).unwrap();
        });
    }
}

async fn ask(io: Io, bodies: Vec<Bytes>) {
    let wire = Rc::clone(&io.wire);
    let (send, connection) = wire.draining(client::handshake(io)).await.unwrap();
    let connection = tokio::task::spawn_local(async move { wire.draining(connection).await });
    let mut answers = Vec::new();
    for body in &bodies {
        let mut send = send.clone().ready().await.unwrap();
        let request = Request::post("https://a.test/").body(()).unwrap();
        let (answer, mut stream) = send.send_request(request, false).unwrap();
        stream.send_data(body.clone(), true).unwrap();
        answers.push(tokio::task::spawn_local(async move {
            let mut answer = answer.await.unwrap().into_body();
            let mut all = Vec::new();
            while let Some(data) = answer.data().await {
                let data = data.unwrap();
                answer.flow_control().release_capacity(data.len()).unwrap();
                all.extend_from_slice(&data);
            }
            all
        }));
    }
    for (answer, body) in answers.into_iter().zip(bodies) {
        assert!(answer.await.unwrap() == body, "each gets its own");
    }
    drop(send);
    connection.await.unwrap().unwrap();
}

#[test]
fn frames_go_over_a_narrow_socket_in_plain_and_by_tls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.unwrap(), async {
        for is_tls in [false, true] {
            let bodies = (1..12_u8)
                .map(|n| Bytes::from(vec![n; usize::from(n) * 40_000]))
                .collect();
            let mut ends = plain();
            if is_tls {
                ends = by_tls(ends).await;
            }
            let both = async { tokio::join!(echo(io(ends.0, true)), ask(io(ends.1, false), bodies)) };
            tokio::time::timeout(LONG, both).await.expect("it ends");
        }
    });
}
