//! A client of HTTP/2 that keeps to the rules: the `h2` crate's, over TCP, with prior knowledge.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use harness::patience::patience;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// One connection.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(crate) connection: oneshot::Receiver<Result<(), h2::Error>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Got {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields
            .get(name)
            .map(|value| value.to_str().expect("a play's own client and server work"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16, body: &str) -> &Self {
        assert_eq!(
            (self.status, String::from_utf8_lossy(&self.body).as_ref()),
            (status, body)
        );
        self
    }
}

/// Runs a play's clients.
#[track_caller]
pub(crate) fn run<T>(play: impl Future<Output = T>) -> T {
    runtime().block_on(async { soon("the play ends", play).await })
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .expect("a play's own client and server work")
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(patience(), work).await;
    done.unwrap_or_else(|_| panic!("it does not come about that {what}"))
}

/// A request without body and without special fields.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://a.test{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .body(())
        .expect("a play's own client and server work")
}

pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path)
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::open_as(address, &Builder::new()).await
    }

    /// The connection has a thread of its own, so that it goes on while the play waits for facts.
    pub(crate) async fn open_as(address: SocketAddr, builder: &Builder) -> Self {
        let builder = builder.clone();
        let (opened, opens) = oneshot::channel();
        let (ended, connection) = oneshot::channel();
        std::thread::spawn(move || {
            runtime().block_on(async {
                let socket = TcpStream::connect(address)
                    .await
                    .expect("a play's own client and server work");
                let (send, connection) = builder
                    .handshake(socket)
                    .await
                    .expect("a play's own client and server work");
                let _ = opened.send(send);
                let _ = ended.send(connection.await);
            });
        });
        Self {
            send: opens.await.expect("a play's own client and server work"),
            connection,
        }
    }

    /// Begins a request; its body follows unless `ends`.
    pub(crate) async fn begin(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut send = self
            .send
            .clone()
            .ready()
            .await
            .expect("a play's own client and server work");
        send.send_request(request, ends)
            .expect("a play's own client and server work")
    }

    /// Whether the connection still takes requests.
    pub(crate) async fn is_open(&self) -> bool {
        self.send.clone().ready().await.is_ok()
    }

    pub(crate) async fn ask(&self, request: Request<()>) -> Got {
        self.try_ask(request)
            .await
            .expect("a play's own client and server work")
    }

    pub(crate) async fn try_ask(&self, request: Request<()>) -> Result<Got, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (answer, _) = send.send_request(request, true)?;
        whole(answer).await
    }

    /// Asks with a body.
    pub(crate) async fn post(&self, request: Request<()>, body: impl Into<Bytes>) -> Got {
        let (answer, mut stream) = self.begin(request, false).await;
        let ((), got) = tokio::join!(give(&mut stream, body.into(), true), whole(answer));
        got.expect("a play's own client and server work")
    }
}

/// Sends a stretch of a body as the window opens.
pub(crate) async fn give(stream: &mut SendStream<Bytes>, mut body: Bytes, ends: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let part = body.split_to(room.min(body.len()));
        stream
            .send_data(part, false)
            .expect("a play's own client and server work");
    }
    if ends {
        let _ = stream.send_data(Bytes::new(), true);
    }
}

/// The whole answer.
pub(crate) async fn whole(answer: ResponseFuture) -> Result<Got, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let (body, trailers) = rest(&mut stream).await?;
    Ok(Got {
        status: head.status.as_u16(),
        fields: head.headers,
        body,
        trailers,
    })
}

/// What is still to come of an answer.
pub(crate) async fn rest(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    Ok((body, stream.trailers().await?))
}
