use super::*;
use parking_lot::Mutex;
use pingora::tls::TlsAcceptor;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with the questions of one connection, one after the other; then it closes.
type Script = Vec<Step>;

#[derive(Clone, Copy)]
enum Step {
    /// Answers so.
    Say(&'static [u8]),
    /// Begins so and goes on with zeros for ever.
    Flood(&'static [u8]),
    /// Begins so and then says nothing, for ever.
    Hang(&'static [u8]),
    /// Ends the connection with a reset.
    Reset,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server with a script for each connection; the last one serves all that follow.
struct Server {
    address: SocketAddr,
    /// The heads of all questions.
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    /// Connections whose script has ended.
    ended: Arc<Mutex<usize>>,
}

impl Server {
    async fn start(scripts: Vec<Script>) -> Self {
        Self::start_with(scripts, None).await
    }

    async fn start_with(scripts: Vec<Script>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let (heads, connections) = (Arc::clone(&server.heads), Arc::clone(&server.connections));
        let ended = Arc::clone(&server.ended);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let nth = *connections.lock();
                *connections.lock() += 1;
                let script = scripts[nth.min(scripts.len() - 1)].clone();
                let serving = serve(stream, tls.clone(), script, Arc::clone(&heads));
                let ended = Arc::clone(&ended);
                tokio::spawn(async move {
                    serving.await;
                    *ended.lock() += 1;
                });
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn connections(&self) -> usize {
        *self.connections.lock()
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, script: Script, heads: Arc<Mutex<Vec<String>>>) {
    if script.iter().any(|step| matches!(step, Step::Reset)) {
        stream.set_zero_linger().unwrap();
    }
    match tls {
        None => speak(stream, script, &heads).await,
        // A client that does not believe us hangs up.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                speak(stream, script, &heads).await;
            }
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Script, heads: &Mutex<Vec<String>>) {
    for step in script {
        let Some(head) = read_head(&mut stream).await else {
            return;
        };
        heads.lock().push(head);
        // Whether the other side still listens is its own affair.
        match step {
            Step::Say(text) => _ = stream.write_all(text).await,
            Step::Reset => return,
            Step::Hang(text) => {
                _ = stream.write_all(text).await;
                _ = stream.flush().await;
                // Until the other side hangs up.
                return while stream.read_u8().await.is_ok() {};
            }
            Step::Flood(text) => {
                _ = stream.write_all(text).await;
                while stream.write_all(&[b'0'; 4096]).await.is_ok() {}
            }
        }
        _ = stream.flush().await;
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn client() -> Client {
    Client::new(&Trust::load(None).unwrap())
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn get(client: &Client, url: &str) -> Result<Answer, OutboundFault> {
    get_within(client, url, PATIENCE).await
}

async fn get_within(client: &Client, url: &str, timeout: Duration) -> Result<Answer, OutboundFault> {
    let headers = Fields::default();
    let ask = Ask {
        url,
        headers: &headers,
        timeout,
        body_max: 1024,
    };
    client.get(ask).await
}

#[tokio::test]
async fn a_question_and_its_answer_are_whole() {
    let say = b"HTTP/1.1 200 Fine\r\nX-One: a\r\nx-one: \xfc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    let server = Server::start(vec![vec![Step::Say(say)]]).await;
    let mut headers = Fields::default();
    for (name, value) in [
        ("X-Twice", "1"),
        ("x-twice", "2"),
        ("Host", "evil"),
        ("Content-Length", "5"),
        ("Connection", "x-twice"),
        ("Transfer-Encoding", "chunked"),
    ] {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let url = server.url("/path?query#fragment");
    let ask = Ask {
        url: &url,
        headers: &headers,
        timeout: PATIENCE,
        body_max: 5,
    };
    let answer = client().get(ask).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"abcde"[..]));
    let values: Vec<_> = answer.headers.values_of("X-One").collect();
    assert_eq!(values, [&b"a"[..], b"\xfc"]);
    let head = server.heads.lock()[0].to_lowercase();
    assert!(head.starts_with("get /path?query http/1.1\r\n"), "{head}");
    assert!(
        head.contains("x-twice: 1\r\n") && head.contains("x-twice: 2\r\n"),
        "{head}"
    );
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
    assert!(head.contains("user-agent: sluice/"), "{head}");
    for absent in ["evil", "content-length", "transfer-encoding", "connection"] {
        assert!(!head.contains(absent), "{head}");
    }
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    for say in [
        &b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let server = Server::start(vec![vec![Step::Say(say)]]).await;
        let answer = get(&client(), &server.url("/")).await.unwrap();
        assert!([302, 401, 500, 204, 200].contains(&answer.status));
        assert_eq!(server.heads.lock().len(), 1);
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_closes_is_replaced() {
    let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(vec![
        vec![Step::Say(OK), Step::Say(OK), Step::Say(close)],
        vec![Step::Say(OK)],
    ])
    .await;
    let client = client();
    for connections in [1, 1, 1, 2] {
        get(&client, &server.url("/")).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_kept_connection_that_ends_under_the_question_costs_no_answer() {
    let server = Server::start(vec![vec![Step::Say(OK), Step::Reset], vec![Step::Say(OK)]]).await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(get(&client, &server.url("/")).await.unwrap().status, 200);
    }
    assert_eq!((server.connections(), server.heads.lock().len()), (2, 3));
}

#[tokio::test]
async fn one_that_always_resets_is_asked_twice_and_no_more() {
    let server = Server::start(vec![vec![Step::Reset]]).await;
    let fault = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(fault, OutboundFault::Broken(_)), "{fault:?}");
    assert_eq!(server.heads.lock().len(), 2);
}

#[tokio::test]
async fn the_deadline_is_that_of_the_whole_exchange_and_closes_the_connection() {
    for begin in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let server = Server::start(vec![vec![Step::Hang(begin)]]).await;
        let timeout = Duration::from_millis(30);
        let fault = get_within(&client(), &server.url("/"), timeout)
            .await
            .unwrap_err();
        assert_eq!(fault, OutboundFault::Deadline(timeout));
        while *server.ended.lock() == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_body_has_as_many_bytes_as_were_asked_for_and_no_more() {
    for begin in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    ] {
        let server = Server::start(vec![vec![Step::Flood(begin)]]).await;
        let fault = get(&client(), &server.url("/")).await.unwrap_err();
        assert_eq!(fault, OutboundFault::BodyTooLarge(1024));
    }
}

#[tokio::test]
async fn a_part_of_an_answer_is_no_answer() {
    for say in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let server = Server::start(vec![vec![Step::Say(say)]]).await;
        let fault = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(fault, OutboundFault::Broken(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn an_endless_head_is_given_up() {
    let server = Server::start(vec![vec![Step::Flood(b"HTTP/1.1 200 OK\r\nX: ")]]).await;
    let fault = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(fault, OutboundFault::Broken(_)), "{fault:?}");
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let fault = get(&client(), &url).await.unwrap_err();
    assert!(matches!(fault, OutboundFault::Connect(_)), "{fault:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_says_why() {
    for url in [
        "",
        "/path",
        "ftp://a/",
        "http://",
        "http://user:secret@a/",
        "http://a b/",
        "a.example:80",
    ] {
        let fault = get(&client(), url).await.unwrap_err();
        assert!(matches!(fault, OutboundFault::Url(_)), "{url}: {fault:?}");
        assert!(!fault.to_string().contains("secret"));
    }
    let mut headers = Fields::default();
    headers.push(b"a b", b"c");
    let ask = Ask {
        url: "http://127.0.0.1:1/",
        headers: &headers,
        timeout: PATIENCE,
        body_max: 0,
    };
    let fault = client().get(ask).await.unwrap_err();
    assert_eq!(fault, OutboundFault::Field("a b".to_owned()));
}

/// An authority in a file, and who it vouches for.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn trust(&self) -> Trust {
        Trust::load(Some(&self.folder.path().join("ca.pem"))).unwrap()
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test]
async fn over_tls_an_answer_is_the_same_and_the_connection_is_kept() {
    let authority = Authority::new();
    for (name, host) in [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")] {
        let acceptor = authority.acceptor(name);
        let server = Server::start_with(vec![vec![Step::Say(OK), Step::Say(OK)]], Some(acceptor)).await;
        let client = Client::new(&authority.trust());
        let url = format!("https://{host}:{}/", server.address.port());
        for _ in 0..2 {
            assert_eq!(&get(&client, &url).await.unwrap().body[..], b"ok");
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_theirs_is_not_believed() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (acceptor, trust) in [
        (authority.acceptor("127.0.0.1"), Trust::load(None).unwrap()),
        (stranger.acceptor("127.0.0.1"), authority.trust()),
        (authority.acceptor("other.test"), authority.trust()),
    ] {
        let server = Server::start_with(vec![vec![Step::Say(OK)]], Some(acceptor)).await;
        let url = format!("https://{}/", server.address);
        let fault = get(&Client::new(&trust), &url).await.unwrap_err();
        assert!(matches!(fault, OutboundFault::Tls(_)), "{fault:?}");
        assert_eq!(server.heads.lock().len(), 0, "nothing was told to a stranger");
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut rest = Vec::new();
        _ = stream.read_to_end(&mut rest).await;
    });
    let fault = get(&client(), &url).await.unwrap_err();
    assert!(matches!(fault, OutboundFault::Tls(_)), "{fault:?}");
}

#[tokio::test]
async fn a_body_cut_off_under_tls_is_no_body() {
    let authority = Authority::new();
    let say = Step::Say(b"HTTP/1.1 200 OK\r\n\r\nabc");
    let server = Server::start_with(vec![vec![say]], Some(authority.acceptor("127.0.0.1"))).await;
    let url = format!("https://{}/", server.address);
    let fault = get(&Client::new(&authority.trust()), &url).await.unwrap_err();
    assert!(matches!(fault, OutboundFault::Broken(_)), "{fault:?}");
}

#[test]
fn a_system_without_authorities_says_so() {
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    assert!(fault::tls_words(&unknown, false).contains("ca-certificates"));
    assert!(fault::tls_words(&unknown, true).contains("trusts"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_makes_it_panic(status in "[ -~]{0,12}", rest: Vec<u8>) {
        let text = [b"HTTP/1.1 2", status.as_bytes(), b"\r\n", &rest].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(vec![vec![Step::Say(Vec::leak(text))]]).await;
            if let Err(fault) = get(&client(), &server.url("/")).await {
                assert!(matches!(fault, OutboundFault::Broken(_)), "{fault:?}");
            }
        });
    }

    #[test]
    fn no_url_makes_it_panic(text in "\\PC{0,40}", host in "[a-z0-9:@.\\[\\]%-]{0,20}") {
        let _ = parse_url(&text);
        if let Ok(uri) = parse_url(&format!("https://{host}/")) {
            prop_assert!(!host.contains('@') && uri.host().is_some_and(|h| !h.is_empty()));
        }
    }
}
