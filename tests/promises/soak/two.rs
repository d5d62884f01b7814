//! Clients of HTTP/2 over TLS, several streams at a time.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use gateway::kit::clock::Mono;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use harness::body::Collector;
use harness::patience::patience;
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use super::one::{lost, settle, torn};
use super::wish::{Asker, Got, Wish};
use super::world::{Cause, World};

/// Requests at once on a connection.
const STREAMS: usize = 4;
/// Requests of each of them before another connection is made.
const KEPT_REQUESTS: usize = 40;
/// What is taken before a client gives up.
const TASTE_BYTES: u64 = 20_000;

/// How an exchange ended that brought no whole answer.
enum End {
    GaveUp,
    /// The gateway says that it has not looked at it.
    Unprocessed,
    /// The stream or the connection broke; what had come, and whether an answer may have begun.
    Broken(String, Got, bool),
}

/// Asks until all is over.
pub fn visit(world: &World, config: &Arc<ClientConfig>, name: &str, seed: u64) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    let runtime = runtime.expect("the system has an event queue");
    let askers = (0..STREAMS as u64).map(|nth| Asker::new(format!("{name}.{nth}"), seed ^ nth << 32));
    let mut askers: Vec<_> = askers.collect();
    while !world.is_over() {
        world.wait_gateway();
        let began = world.now();
        let local = LocalSet::new();
        let opened = local.block_on(&runtime, open(world, config));
        let Ok(send) = opened.map_err(|how| lost(world, began, &format!("{name}: {how}"))) else {
            continue;
        };
        world.count("connections", 1);
        let [a, b, c, d] = &mut askers[..] else {
            unreachable!("there are as many as streams")
        };
        local.block_on(&runtime, async {
            let ask = |asker| converse(world, send.clone(), asker, began);
            tokio::join!(ask(a), ask(b), ask(c), ask(d));
        });
        drop(send);
    }
}

/// A connection, which is driven as long as the set it was opened in.
async fn open(world: &World, config: &Arc<ClientConfig>) -> Result<SendRequest<Bytes>, String> {
    let to = world.place().tls;
    let connector = TlsConnector::from(Arc::clone(config));
    let name = ServerName::try_from("a.test").expect("it is a name");
    let work = async {
        let socket = TcpStream::connect(to)
            .await
            .map_err(|e| format!("no connection: {e}"))?;
        let _broken = socket.set_nodelay(true);
        let session = connector.connect(name, socket).await;
        let session = session.map_err(|e| format!("no handshake: {e}"))?;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let (send, connection) = builder
            .handshake(session)
            .await
            .map_err(|e| format!("no HTTP/2: {e}"))?;
        tokio::task::spawn_local(async move {
            // What breaks it is seen by its streams.
            let _broken = connection.await;
        });
        Ok(send)
    };
    let opened = tokio::time::timeout(patience(), work).await;
    opened.unwrap_or_else(|_| Err("no connection for as long as patience lasts".to_owned()))
}

/// Asks one thing after the other on a connection.
async fn converse(world: &World, send: SendRequest<Bytes>, asker: &mut Asker, opened: Mono) {
    let mut alive = opened;
    let send = Rc::new(send);
    for _ in 0..KEPT_REQUESTS {
        if world.is_over() {
            return;
        }
        let wish = asker.next(world);
        let began = world.now();
        let asked = tokio::time::timeout(patience(), ask(&send, &wish)).await;
        let late = || {
            Err(End::Broken(
                "no answer for as long as patience lasts".to_owned(),
                Got::default(),
                false,
            ))
        };
        match asked.unwrap_or_else(|_| late()) {
            Ok(got) => {
                alive = world.now();
                settle(world, asker, &wish, &got, began);
            }
            Err(End::GaveUp) => world.explained(Cause::GaveUp),
            Err(End::Unprocessed) => return world.explained(Cause::Moved),
            Err(End::Broken(how, got, begun)) => {
                let how = format!("{}: {}: {how}", asker.name, wish.told());
                torn(world, alive, &wish, &got, begun, &how);
                if !begun {
                    return;
                }
            }
        }
    }
}

async fn ask(send: &SendRequest<Bytes>, wish: &Wish) -> Result<Got, End> {
    let mut request = Request::builder()
        .method(wish.method)
        .uri(format!("https://a.test{}", wish.path));
    for (name, value) in &wish.fields {
        request = request.header(*name, value);
    }
    let request = request.body(()).expect("a soak's own requests are some");
    let broken = |error: h2::Error| ended(&error, Got::default());
    let mut send = send.clone().ready().await.map_err(broken)?;
    let ends = wish.method != "POST";
    let (answer, mut stream) = send.send_request(request, ends).map_err(broken)?;
    if ends {
        return whole(answer, wish.gives_up).await;
    }
    if wish.gives_up {
        give(
            &mut stream,
            Bytes::copy_from_slice(&wish.body[..wish.body.len() / 2]),
            false,
        )
        .await;
        stream.send_reset(Reason::CANCEL);
        return Err(End::GaveUp);
    }
    let body = Bytes::copy_from_slice(&wish.body);
    let ((), got) = tokio::join!(give(&mut stream, body, true), whole(answer, false));
    got
}

/// Sends a stretch of a body as the window opens.
async fn give(stream: &mut SendStream<Bytes>, mut body: Bytes, ends: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let part = body.split_to(room.min(body.len()));
        if stream.send_data(part, false).is_err() {
            return;
        }
    }
    if ends {
        // Its answer says what is wrong.
        let _ended = stream.send_data(Bytes::new(), true);
    }
}

async fn whole(answer: ResponseFuture, gives_up: bool) -> Result<Got, End> {
    let answer = answer.await.map_err(|error| ended(&error, Got::default()))?;
    let (head, mut stream) = answer.into_parts();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head.headers.iter();
    let mut got = Got {
        status: head.status.as_u16(),
        fields: fields
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect(),
        ..Got::default()
    };
    let (mut seen, mut taken) = (Collector::default(), 0);
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                seen.push(&data);
                taken += data.len() as u64;
                let _ended = stream.flow_control().release_capacity(data.len());
            }
            Err(error) => {
                got.body = seen.finish();
                return Err(ended(&error, got));
            }
        }
        if gives_up && taken >= TASTE_BYTES {
            return Err(End::GaveUp);
        }
    }
    got.body = seen.finish();
    Ok(got)
}

/// RFC 9113 §8.7: what GOAWAY does not cover, and what REFUSED_STREAM ends, was not looked at and may be asked again.
fn ended(error: &h2::Error, got: Got) -> End {
    let is_unseen = match error.reason() {
        Some(Reason::REFUSED_STREAM) => error.is_remote(),
        Some(Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    };
    match is_unseen && got.status == 0 {
        true => End::Unprocessed,
        // A reset of a stream hides from us what had come of its head just before.
        false => {
            let begun = got.status != 0 || error.is_reset() && error.is_remote();
            End::Broken(error.to_string(), got, begun)
        }
    }
}
