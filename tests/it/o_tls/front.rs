use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use harness::Origin;
use parking_lot::Mutex;
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::client::{Authority, Leaf, provider};

/// TLS in front of a scripted origin: it ends what is sealed and passes on what is inside.
pub struct Front {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Seen {
    accepted: AtomicUsize,
    whole: AtomicUsize,
    resumed: AtomicUsize,
    is_abrupt: AtomicBool,
    config: Mutex<Arc<ServerConfig>>,
    names: Mutex<Vec<Option<String>>>,
}

/// Shows this certificate; clients have to show one of this authority, if there is one.
pub fn showing(leaf: &Leaf, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has suites for both");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(authority.roots(), provider())
                .build()
                .expect("the authority is one"),
        ),
    };
    let (chain, key) = leaf.parts();
    Arc::new(
        builder
            .with_single_cert(chain, key)
            .expect("the key is the certificate's"),
    )
}

impl Front {
    pub fn new(origin: &Origin, config: Arc<ServerConfig>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is to be had");
        listener.set_nonblocking(true).expect("a socket can be told so");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Seen {
            accepted: AtomicUsize::new(0),
            whole: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            is_abrupt: AtomicBool::new(false),
            config: Mutex::new(config),
            names: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (inner, to) = (Arc::clone(&seen), origin.address());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime is to be had");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("it does not block");
                tokio::select! {
                    () = accept(listener, inner, to) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections begun, whether TLS came of them or not.
    pub fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// Handshakes that came to a good end.
    pub fn handshakes(&self) -> usize {
        self.seen.whole.load(Ordering::SeqCst)
    }

    /// Those of them that resumed a session.
    pub fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    /// The names asked for in handshakes of a good end.
    pub fn names(&self) -> Vec<Option<String>> {
        self.seen.names.lock().clone()
    }

    /// From now on connections end below TLS alone, without a close_notify.
    pub fn end_abruptly(&self) {
        self.seen.is_abrupt.store(true, Ordering::SeqCst);
    }

    /// Handshakes from now on are answered so.
    pub fn set(&self, config: Arc<ServerConfig>) {
        *self.seen.config.lock() = config;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>, to: SocketAddr) {
    while let Ok((socket, _)) = listener.accept().await {
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        let acceptor = TlsAcceptor::from(Arc::clone(&seen.config.lock()));
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(socket).await else {
                return;
            };
            let tls = stream.get_ref().1;
            seen.names.lock().push(tls.server_name().map(str::to_owned));
            if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
                seen.resumed.fetch_add(1, Ordering::SeqCst);
            }
            seen.whole.fetch_add(1, Ordering::SeqCst);
            let Ok(mut behind) = TcpStream::connect(to).await else {
                return;
            };
            if seen.is_abrupt.load(Ordering::SeqCst) {
                let (mut from, mut into) = tokio::io::split(stream);
                let (mut answers, mut requests) = behind.split();
                tokio::select! {
                    _ = tokio::io::copy(&mut from, &mut requests) => {}
                    _ = tokio::io::copy(&mut answers, &mut into) => {}
                }
            } else {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
            }
        });
    }
}
