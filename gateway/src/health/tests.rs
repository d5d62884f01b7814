//! Probes over real sockets, synchronised by what the scripted server has seen.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::config::plan::HealthQuestion;
use crate::upstream::Changes;

/// An origin that answers each request with its present status, and tells what it was asked.
struct Origin {
    address: Address,
    status: Arc<AtomicU16>,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let (tell, seen) = mpsc::unbounded_channel();
        let current = Arc::clone(&status);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = read_head(&mut stream).await;
                let status = current.load(Ordering::SeqCst);
                let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nOK");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = tell.send(head);
            }
        });
        Self {
            address,
            status,
            seen,
        }
    }

    /// Waits from probe to probe until `fact` is so.
    async fn until(&mut self, fact: impl Fn() -> bool) {
        while !fact() {
            self.seen.recv().await.unwrap();
        }
    }
}

async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn check(path: Option<&str>) -> HealthCheck {
    HealthCheck {
        question: path.map(|path| HealthQuestion::Path(path.to_owned())),
        interval: Duration::from_millis(1),
        timeout: Duration::from_secs(20),
        healthy_threshold: NonZeroU32::new(2).unwrap(),
        unhealthy_threshold: NonZeroU32::new(3).unwrap(),
        expect_status: vec![200..=299, 401..=401],
    }
}

async fn ask(address: &Address, check: &HealthCheck) -> Result<(), String> {
    let probe = Probe::new(address, check, &Via::default()).map_err(|bad| bad.to_string())?;
    probe.ask().await.map_err(|bad| bad.to_string())
}

fn wanted_of(address: &Address, check: HealthCheck) -> Wanted {
    let changes = Changes::default();
    Wanted {
        address: address.clone(),
        check,
        via: Via::default(),
        cell: Arc::new(Health::new(changes.clone())),
        server: Arc::new(Server::new(1, address.clone(), None, changes)),
    }
}

/// An address that was bound but refuses, and stays so while the socket is held.
fn refusing() -> (socket2::Socket, Address) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let bound = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, Address::parse(&bound.to_string()).unwrap())
}

#[tokio::test]
async fn a_server_is_well_if_its_status_is_expected() {
    let origin = Origin::start().await;
    for (status, verdict) in [
        (200, Ok(())),
        (204, Ok(())),
        (401, Ok(())),
        (302, Err("it answered 302, see expect_status".to_owned())),
        (503, Err("it answered 503, see expect_status".to_owned())),
    ] {
        origin.status.store(status, Ordering::SeqCst);
        assert_eq!(ask(&origin.address, &check(Some("/health"))).await, verdict);
    }
}

#[tokio::test]
async fn the_question_names_path_and_host_and_lets_the_server_close() {
    let mut origin = Origin::start().await;
    ask(&origin.address, &check(Some("/health?deep=1")))
        .await
        .unwrap();
    let head = origin.seen.recv().await.unwrap();
    assert!(head.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert_eq!(head.matches("\r\nhost:").count(), 1);
    assert!(
        head.contains(&format!("\r\nhost: {}\r\n", origin.address)),
        "{head}"
    );
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
}

#[tokio::test]
async fn without_a_path_a_connection_is_enough() {
    let origin = Origin::start().await;
    origin.status.store(500, Ordering::SeqCst);
    assert_eq!(ask(&origin.address, &check(None)).await, Ok(()));
}

#[tokio::test]
async fn a_refused_connection_is_bad_for_both_kinds() {
    let (_held, address) = refusing();
    assert!(ask(&address, &check(None)).await.unwrap_err().contains("refused"));
    assert_eq!(
        ask(&address, &check(Some("/"))).await,
        Err("ConnectRefused".to_owned())
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_or_never_ends_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let short = HealthCheck {
        timeout: Duration::from_millis(50),
        ..check(Some("/"))
    };
    let late = Err("no answer within 50ms, see timeout".to_owned());
    assert_eq!(ask(&address, &short).await, late, "nobody accepts");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        }
    });
    assert_eq!(ask(&address, &short).await, late, "a body without end");
}

#[tokio::test]
async fn what_is_not_http_is_bad() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        }
    });
    assert!(ask(&address, &check(Some("/"))).await.is_err());
}

#[tokio::test]
async fn unix_sockets_are_asked_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let address = Address::Unix(path);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            let status = if head.to_ascii_lowercase().contains("host: localhost\r\n") {
                200
            } else {
                400
            };
            let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    assert_eq!(ask(&address, &check(None)).await, Ok(()));
    assert_eq!(ask(&address, &check(Some("/health"))).await, Ok(()));
    let nobody = Address::Unix(folder.path().join("nobody.sock"));
    assert!(ask(&nobody, &check(Some("/health"))).await.is_err());
}

#[tokio::test]
async fn a_name_is_well_if_one_of_its_addresses_is() {
    let origin = Origin::start().await;
    let Address::Tcp { port, .. } = origin.address else {
        unreachable!("it is TCP")
    };
    let by_name = Address::parse(&format!("localhost:{port}")).unwrap();
    assert_eq!(ask(&by_name, &check(Some("/"))).await, Ok(()));
    let nowhere = Address::parse("no-such-host.invalid:80").unwrap();
    assert!(ask(&nowhere, &check(Some("/"))).await.is_err());
}

#[tokio::test]
async fn a_server_goes_down_and_comes_back_and_starts_slowly_then() {
    let mut origin = Origin::start().await;
    let wanted = wanted_of(&origin.address, check(Some("/health")));
    let clock = Clock::manual(Duration::ZERO);
    clock.advance(Duration::from_secs(7));
    let prober = Prober::new(Handle::current(), clock.clone());
    prober.reconcile(vec![wanted.clone()]);

    origin.status.store(503, Ordering::SeqCst);
    origin.until(|| !wanted.cell.up()).await;
    assert_eq!(wanted.server.up_since(), None);

    origin.status.store(200, Ordering::SeqCst);
    origin.until(|| wanted.cell.up()).await;
    assert_eq!(wanted.server.up_since(), Some(clock.now().mono));
}

#[tokio::test]
async fn a_reload_keeps_probes_that_stay_and_ends_those_that_go() {
    let origin = Origin::start().await;
    let [first, second] = ["/a", "/b"].map(|path| wanted_of(&origin.address, check(Some(path))));
    let prober = Prober::new(Handle::current(), Clock::manual(Duration::ZERO));
    let tasks = || {
        let running = prober.running.lock();
        let task = |path: &str| {
            let found = running.iter().find(|((_, check, _), _)| {
                check.question.as_ref().and_then(HealthQuestion::path) == Some(path)
            });
            found.map(|(_, running)| running.task.id())
        };
        (task("/a"), task("/b"))
    };
    prober.reconcile(vec![first.clone(), second.clone(), first.clone()]);
    let (a, b) = tasks();
    assert!(a.is_some() && b.is_some() && prober.running.lock().len() == 2);

    prober.reconcile(vec![first.clone()]);
    assert_eq!(tasks(), (a, None));
    while Arc::strong_count(&second.cell) > 1 {
        tokio::task::yield_now().await;
    }

    let anew = Wanted {
        cell: Arc::new(Health::new(Changes::default())),
        ..first.clone()
    };
    prober.reconcile(vec![anew]);
    assert!(
        tasks().0.is_some_and(|id| Some(id) != a),
        "a new cell wants a new probe"
    );

    drop(prober);
    while Arc::strong_count(&first.cell) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_comes_to_a_gateway_that_serves_is_asked_at_once_and_judged_by_the_answer() {
    let origin = Origin::start().await;
    origin.status.store(500, Ordering::SeqCst);
    let prober = Prober::new(Handle::current(), Clock::system());
    prober.reconcile(Vec::new());
    let rare = HealthCheck {
        interval: Duration::from_secs(1_000_000),
        ..check(Some("/health"))
    };
    let wanted = wanted_of(&origin.address, rare);
    prober.reconcile(vec![wanted.clone()]);
    while wanted.cell.up() {
        tokio::task::yield_now().await;
    }
}
