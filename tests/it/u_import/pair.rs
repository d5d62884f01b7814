use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use harness::client::Connection;
use harness::wire::Head;
use harness::{Gateway, Origin, Request};
use rustls::ClientConfig;

use super::nginx::Nginx;
use super::why::Difference;
use harness::tls::TlsClient;

/// Fields that have to be the same.
const COMPARED: [&str; 19] = [
    "accept-ranges",
    "access-control-allow-origin",
    "allow",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "vary",
    "www-authenticate",
    "x-origin",
    "x-powered-by",
];

/// Fields that need not be, and why.
const NOT_COMPARED: [(&str, &str); 15] = [
    (
        "age",
        "Sluice says how old a stored answer is (RFC 9111 section 5.1), nginx does not",
    ),
    (
        "cache-status",
        "Sluice's own word for what the cache did (RFC 9211)",
    ),
    ("connection", "is each one's with the client"),
    (
        "content-length",
        "framing is each one's own; the bodies are compared",
    ),
    ("date", "is the second of the answer"),
    ("expires", "says again what Cache-Control says"),
    ("ratelimit", "Sluice tells how much is left of a limit"),
    ("ratelimit-policy", "Sluice tells which limits there are"),
    ("server", "is each one's name"),
    (
        "transfer-encoding",
        "framing is each one's own; the bodies are compared",
    ),
    ("upgrade", "is each one's with the client"),
    (
        "via",
        "Sluice says that it stands between (RFC 9110 section 7.6.3), nginx does not",
    ),
    ("x-cache-status", "nginx's word for what the cache did"),
    ("x-request-id", "Sluice names each request"),
    (
        "x-content-type-options",
        "Sluice's own refusals say that they are what they are",
    ),
];

/// nginx and Sluice, each in front of origins of its own that answer alike.
pub struct Pair {
    pub nginx: Nginx,
    pub sluice: Gateway,
    /// Behind nginx.
    pub theirs: Vec<Origin>,
    /// Behind Sluice.
    pub ours: Vec<Origin>,
    /// Fields of requests that origins have to see alike.
    pub view: Vec<&'static str>,
    /// Files have tags of each one's own: only whether there is one is compared, and how strong it is.
    pub has_files: bool,
    asked: usize,
    faults: Vec<String>,
}

/// One thing that is asked of both.
pub struct Ask {
    request: Request,
    socket: usize,
    from: Option<IpAddr>,
    tls: Option<(Arc<ClientConfig>, &'static str)>,
    differs: Vec<Difference>,
    /// The path that origins are asked for.
    origin_path: Option<String>,
}

/// What came back.
pub struct Got {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
}

/// A file of conf/nginx.
pub fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../conf/nginx")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Pair {
    /// Starts both forms of a sample. `origins` are made twice, for 127.0.0.1:8001 and so on; `change` puts paths in place.
    #[track_caller]
    pub fn start(
        name: &str,
        sockets: &[&str],
        origin: impl Fn() -> Origin,
        origins: usize,
        change: &dyn Fn(String) -> String,
    ) -> Self {
        let made = || -> Vec<Origin> { (0..origins).map(|_| origin()).collect() };
        let (theirs, ours) = (made(), made());
        let placed = |mut text: String, origins: &[Origin]| {
            for (at, origin) in origins.iter().enumerate() {
                text = text.replace(&format!("127.0.0.1:800{}", at + 1), &origin.address().to_string());
            }
            change(text)
        };
        let mut toml =
            placed(sample(&format!("{name}.toml")), &ours).replace("127.0.0.1:9900", "127.0.0.1:0");
        for socket in sockets {
            toml = toml.replace(&format!("\"{socket}\""), "\"127.0.0.1:0\"");
        }
        let conf = placed(sample(&format!("{name}.conf")), &theirs);
        Self {
            nginx: Nginx::start(&conf, sockets),
            sluice: Gateway::start(&toml),
            theirs,
            ours,
            view: vec!["host"],
            has_files: false,
            asked: 0,
            faults: Vec::new(),
        }
    }

    /// Asks both, and writes down what differs.
    pub fn ask(&mut self, ask: &Ask) -> (Got, Got) {
        self.asked += 1;
        let before = (self.seen(&self.theirs, ask), self.seen(&self.ours, ask));
        let theirs = got(self.nginx.addresses()[ask.socket], ask);
        let ours = got(self.sluice.addresses()[ask.socket], ask);
        let mut found = self.differences(&theirs, &ours, ask);
        let new = |origins: &[Origin], before: &[String]| {
            let mut all = self.seen(origins, ask);
            for known in before {
                if let Some(at) = all.iter().position(|s| s == known) {
                    all.remove(at);
                }
            }
            all
        };
        let (to_them, to_us) = (new(&self.theirs, &before.0), new(&self.ours, &before.1));
        if to_them != to_us {
            found.push(("origin", format!("{to_them:?}"), format!("{to_us:?}")));
        }
        let expected: BTreeSet<&str> = ask.differs.iter().map(|(what, _)| *what).collect();
        let told: BTreeSet<&str> = found.iter().map(|(what, _, _)| *what).collect();
        for (what, theirs, ours) in found.iter().filter(|(what, _, _)| !expected.contains(what)) {
            self.faults.push(format!(
                "{}: {what}: nginx {theirs:?}, Sluice {ours:?}",
                ask.name()
            ));
        }
        for what in expected.difference(&told) {
            self.faults
                .push(format!("{}: {what} does not differ any more", ask.name()));
        }
        (theirs, ours)
    }

    /// Fails if anything differed that was not to, and unless so much was asked.
    #[track_caller]
    pub fn end(self, asked: usize) {
        assert_eq!(self.asked, asked, "so many were asked");
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }

    fn seen(&self, origins: &[Origin], ask: &Ask) -> Vec<String> {
        let Some(path) = &ask.origin_path else {
            return Vec::new();
        };
        let mut all: Vec<String> = origins
            .iter()
            .flat_map(|o| o.requests(path))
            .map(|seen| {
                let fields: Vec<String> = self
                    .view
                    .iter()
                    .map(|name| format!("{name}: {}", seen.value(name).unwrap_or("-")))
                    .collect();
                format!(
                    "{} {} {:?} {}",
                    seen.method,
                    seen.target,
                    fields,
                    seen.body.text()
                )
            })
            .collect();
        all.sort();
        all
    }

    fn differences(&self, theirs: &Got, ours: &Got, ask: &Ask) -> Vec<(&'static str, String, String)> {
        let mut found = Vec::new();
        if theirs.status != ours.status {
            found.push(("status", theirs.status.to_string(), ours.status.to_string()));
        }
        let is_refusal = theirs.is_nginx_page();
        for name in COMPARED {
            // A page that says no is each one's own.
            if is_refusal && matches!(name, "content-type" | "vary") {
                continue;
            }
            let (a, b) = (self.field(theirs, name, ask), self.field(ours, name, ask));
            // Sluice's own refusals are not to be kept, and say so.
            if is_refusal && name == "cache-control" && b == "no-store" {
                continue;
            }
            // Sluice says the charset of files that are text; nginx has a directive for it.
            let b = match (self.has_files, name) {
                (true, "content-type") => b.strip_suffix(";charset=utf-8").unwrap_or(&b).to_owned(),
                _ => b,
            };
            if a != b {
                found.push((name, a, b));
            }
        }
        let (a, b) = (theirs.plain(), ours.plain());
        if !is_refusal && a != b {
            let short = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            found.push(("body", short(&a), short(&b)));
        }
        for got in [theirs, ours] {
            for (name, value) in &got.head.fields {
                let name = name.to_ascii_lowercase();
                if !COMPARED.contains(&name.as_str()) && !NOT_COMPARED.iter().any(|(n, _)| *n == name) {
                    found.push(("unknown field", format!("{name}: {value}"), String::new()));
                }
            }
        }
        found
    }

    fn field(&self, got: &Got, name: &str, ask: &Ask) -> String {
        let text = got.head.all(name).collect::<Vec<_>>().join(", ");
        match name {
            // Absolute or not, a Location leads to the same place.
            "location" => {
                let scheme = if ask.tls.is_some() { "https" } else { "http" };
                let rest = text.strip_prefix(&format!("{scheme}://{}", ask.host()));
                let path = rest.and_then(|rest| rest.find('/').map(|at| rest[at..].to_owned()));
                path.unwrap_or(text)
            }
            "etag" if self.has_files && !text.is_empty() => {
                if text.starts_with("W/") { "weak" } else { "strong" }.to_owned()
            }
            "content-type" => text.replace("; ", ";").to_ascii_lowercase(),
            _ => text,
        }
    }
}

impl Ask {
    pub fn new(request: Request) -> Self {
        Self {
            request,
            socket: 0,
            from: None,
            tls: None,
            differs: Vec::new(),
            origin_path: None,
        }
    }

    /// Origins have to see the same for this path.
    pub fn at_origin(mut self, path: &str) -> Self {
        self.origin_path = Some(path.to_owned());
        self
    }

    /// From another address of this machine.
    pub fn from(mut self, address: IpAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// By the second socket, over TLS.
    pub fn by_tls(mut self, config: &Arc<ClientConfig>, name: &'static str) -> Self {
        self.socket = 1;
        self.tls = Some((Arc::clone(config), name));
        self
    }

    /// This differs, for this reason.
    pub fn differs(mut self, what: &'static str, reason: &'static str) -> Self {
        self.differs.push((what, reason));
        self
    }

    fn host(&self) -> String {
        let text = String::from_utf8_lossy(&self.request.head_bytes()).into_owned();
        let line = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
        });
        line.unwrap_or_default()
    }

    fn name(&self) -> String {
        let text = String::from_utf8_lossy(&self.request.head_bytes()).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// Asks one of both, on a connection of its own.
#[track_caller]
fn got(address: SocketAddr, ask: &Ask) -> Got {
    let request = ask.request.clone().header("Connection", "close");
    if let Some((config, name)) = &ask.tls {
        let answer = TlsClient::open(address, config, name).ask(&request);
        return Got {
            status: answer.status,
            head: answer.head,
            body: answer.body.into_bytes(),
        };
    }
    let mut connection = match ask.from {
        Some(from) => Connection::open_from(from, address),
        None => Connection::open(address),
    };
    let response = connection.ask(&request);
    Got {
        status: response.status,
        body: response.message.body.kept.clone(),
        head: response.head,
    }
}

impl Got {
    /// Whether nginx has made it up itself.
    fn is_nginx_page(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        self.status >= 300 && (text.contains("<center>nginx") || self.body.is_empty() && self.status >= 400)
    }

    /// The body without its coding.
    fn plain(&self) -> Vec<u8> {
        if self.head.one("content-encoding") != Some("gzip") {
            return self.body.clone();
        }
        let mut plain = Vec::new();
        GzDecoder::new(&self.body[..])
            .read_to_end(&mut plain)
            .expect("it is gzip");
        plain
    }
}
