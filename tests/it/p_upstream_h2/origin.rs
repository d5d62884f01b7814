//! Origins that speak HTTP/2: one by the `h2` crate, as a play's closure answers; one that writes whatever frames it wants.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use harness::patience::patience;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::m_http2::frames::frame;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Arc<dyn Fn(Call) -> Work + Send + Sync>;

/// A request that a play answers.
pub struct Call {
    pub head: http::request::Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    pub log: Arc<Log>,
}

/// What an origin has seen.
pub struct Log {
    pub connections: AtomicUsize,
    /// Those that have not ended.
    pub open: AtomicUsize,
    pub calls: AtomicUsize,
    pub running: AtomicUsize,
    pub most_at_once: AtomicUsize,
    /// Heads, in the order they came.
    pub heads: Mutex<Vec<(String, HeaderMap)>>,
    /// What streams were reset with by the gateway.
    pub resets: Mutex<Vec<Reason>>,
    /// Lets as many go on as it has permits; those that come later too.
    pub gate: Semaphore,
    /// Anything a play wants to remember.
    pub notes: Mutex<Vec<String>>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            connections: AtomicUsize::default(),
            open: AtomicUsize::default(),
            calls: AtomicUsize::default(),
            running: AtomicUsize::default(),
            most_at_once: AtomicUsize::default(),
            heads: Mutex::default(),
            resets: Mutex::default(),
            gate: Semaphore::new(0),
            notes: Mutex::default(),
        }
    }
}

impl Log {
    /// Waits for a permit of the gate.
    pub async fn pass(&self) {
        let permit = self.gate.acquire().await;
        permit.expect("the gate is never closed").forget();
    }
}

/// An origin. Dropping it ends its connections.
pub struct Framed {
    pub address: SocketAddr,
    pub log: Arc<Log>,
    orders: watch::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Serve,
    /// Says goodbye on every connection, and takes new ones.
    Leave,
    /// Cuts every connection, and takes new ones.
    Cut,
    Stop,
}

impl Framed {
    pub fn new<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(&Builder::new(), None, answer)
    }

    pub fn with<F>(
        builder: &Builder,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is to be had");
        listener.set_nonblocking(true).expect("a socket can be told so");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (orders, inbox) = watch::channel(Order::Serve);
        let log = Arc::<Log>::default();
        let life = Life {
            builder: builder.clone(),
            tls: tls.map(TlsAcceptor::from),
            log: Arc::clone(&log),
            answer: Arc::new(move |call| Box::pin(answer(call))),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime is to be had");
            runtime.block_on(life.run(listener, inbox));
        });
        Self {
            address,
            log,
            orders,
            thread: Some(thread),
        }
    }

    pub fn leave(&self) {
        self.orders.send_replace(Order::Leave);
    }

    pub fn cut(&self) {
        self.orders.send_replace(Order::Cut);
    }

    pub fn serve(&self) {
        self.orders.send_replace(Order::Serve);
    }

    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.log.open.load(Ordering::SeqCst)
    }

    pub fn calls(&self) -> usize {
        self.log.calls.load(Ordering::SeqCst)
    }

    pub fn running(&self) -> usize {
        self.log.running.load(Ordering::SeqCst)
    }

    /// The fields of the only request.
    #[track_caller]
    pub fn only(&self) -> (String, HeaderMap) {
        let heads = self.log.heads.lock();
        assert_eq!(heads.len(), 1);
        heads[0].clone()
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        self.orders.send_replace(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

#[derive(Clone)]
struct Life {
    builder: Builder,
    tls: Option<TlsAcceptor>,
    log: Arc<Log>,
    answer: Handler,
}

impl Life {
    async fn run(self, listener: TcpListener, mut inbox: watch::Receiver<Order>) {
        let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
        let orders = inbox.clone();
        let taking = async {
            while let Ok((socket, _)) = listener.accept().await {
                self.log.connections.fetch_add(1, Ordering::SeqCst);
                let (life, orders) = (self.clone(), orders.clone());
                tokio::spawn(async move {
                    let log = Arc::clone(&life.log);
                    log.open.fetch_add(1, Ordering::SeqCst);
                    match life.tls.clone() {
                        None => life.serve(socket, orders).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                life.serve(stream, orders).await;
                            }
                        }
                    }
                    log.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        };
        tokio::select! {
            () = taking => {}
            _ = inbox.wait_for(|order| *order == Order::Stop) => {}
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin, mut orders: watch::Receiver<Order>) {
        let Ok(mut connection) = self.builder.handshake::<_, Bytes>(stream).await else {
            return;
        };
        orders.mark_unchanged();
        loop {
            tokio::select! {
                call = connection.accept() => match call {
                    Some(Ok((request, respond))) => self.begin(request, respond),
                    Some(Err(_)) | None => return,
                },
                changed = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    match order {
                        _ if changed.is_err() => return,
                        Order::Serve => {}
                        Order::Leave => connection.graceful_shutdown(),
                        Order::Cut | Order::Stop => return,
                    }
                }
            }
        }
    }

    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (head, body) = request.into_parts();
        let log = Arc::clone(&self.log);
        log.calls.fetch_add(1, Ordering::SeqCst);
        let now = log.running.fetch_add(1, Ordering::SeqCst) + 1;
        log.most_at_once.fetch_max(now, Ordering::SeqCst);
        let line = format!("{} {}", head.method, head.uri);
        log.heads.lock().push((line, head.headers.clone()));
        let work = (self.answer)(Call {
            head,
            body,
            respond,
            log: Arc::clone(&log),
        });
        tokio::spawn(async move {
            work.await;
            log.running.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Call {
    pub fn path(&self) -> String {
        self.head.uri.path().to_owned()
    }

    /// The whole body, and its trailers.
    pub async fn read(&mut self) -> Option<(Vec<u8>, Option<HeaderMap>)> {
        let mut body = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data.ok()?;
            body.extend_from_slice(&data);
            let _ = self.body.flow_control().release_capacity(data.len());
        }
        Some((body, self.body.trailers().await.ok()?))
    }

    /// Sends a head; a body follows.
    pub fn begin(&mut self, head: Response<()>) -> SendStream<Bytes> {
        self.respond
            .send_response(head, false)
            .expect("the stream is open")
    }

    /// Answers with a head alone.
    pub fn end(&mut self, head: Response<()>) {
        let _ = self.respond.send_response(head, true);
    }

    /// Answers with a body.
    pub async fn reply(&mut self, body: impl Into<Bytes>) {
        let mut stream = self.begin(Response::new(()));
        let _ = push(&mut stream, body.into(), true).await;
    }

    /// Waits until the gateway resets the stream before it is answered, and writes down with what.
    pub async fn wait_reset(&mut self) {
        let reset = poll_fn(|cx| self.respond.poll_reset(cx)).await;
        if let Ok(reason) = reset {
            self.log.resets.lock().push(reason);
        }
    }
}

impl Log {
    /// Waits until the gateway resets a stream that is being answered, and writes down with what.
    pub async fn wait_reset(&self, stream: &mut SendStream<Bytes>) {
        if let Ok(reason) = poll_fn(|cx| stream.poll_reset(cx)).await {
            self.resets.lock().push(reason);
        }
    }
}

/// Sends a stretch of a body as the window opens.
pub async fn push(stream: &mut SendStream<Bytes>, mut body: Bytes, ends: bool) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(Ok(room)) => stream.send_data(body.split_to(room.min(body.len())), false)?,
            Some(Err(error)) => return Err(error),
            None => return Err(Reason::CANCEL.into()),
        }
    }
    match ends {
        true => stream.send_data(Bytes::new(), true),
        false => Ok(()),
    }
}

/// A map of fields.
pub fn fields(named: &[(&'static str, &'static str)]) -> HeaderMap {
    named
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        })
        .collect()
}

/// A head with these fields.
pub fn head(status: u16, named: &[(&'static str, &'static str)]) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).expect("plays use statuses");
    *head.headers_mut() = fields(named);
    head
}

/// What a bare origin writes when a request has come on that stream.
pub type Answer = fn(u32) -> Vec<u8>;

/// An origin that answers requests of the n-th connection by the n-th of these, the last one from then on. It reads no
/// heads: HPACK's index 8 says ":status: 200".
pub struct Bare {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
}

/// A whole answer without body.
pub fn bare_answer(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x88])
}

impl Bare {
    pub fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is to be had");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        // It ends with the process: nobody connects to it any more.
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                let n = count.fetch_add(1, Ordering::SeqCst);
                let answer = answers[n.min(answers.len() - 1)];
                std::thread::spawn(move || {
                    let _ = socket.set_read_timeout(Some(patience()));
                    let mut preface = [0; 24];
                    let _ = socket.read_exact(&mut preface);
                    let _ = socket.write_all(&[frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat());
                    while let Some((kind, stream)) = read_frame(&mut socket) {
                        if kind == 1 {
                            let _ = socket.write_all(&answer(stream));
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn read_frame(socket: &mut std::net::TcpStream) -> Option<(u8, u32)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).ok()?];
    socket.read_exact(&mut payload).ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
}
