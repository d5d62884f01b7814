//! `listen` and `server_name`: which server takes which requests, on which sockets.

use std::collections::BTreeMap;

use super::model::{Certificate, Listener};
use super::report::Ledger;
use super::scope::Scope;
use super::tls;
use super::tree::Directive;
use super::values;
use super::work::{Server, Work};

/// What a server is called.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// "a.test" and "*.a.test", in lower case, none twice.
    pub hosts: Vec<String>,
    /// What nginx puts into $server_name.
    pub first: String,
}

/// One address that is listened on.
#[derive(Clone, Debug, Default)]
pub(super) struct Socket {
    pub address: String,
    /// For routes, where there are several.
    pub name: String,
    pub ssl: bool,
    pub http2: bool,
    pub proxy_protocol: bool,
    /// The server that takes what no other's name is for.
    pub default: usize,
    pub servers: Vec<usize>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    pub all: Vec<Socket>,
}

/// `server_name` as patterns of Sluice.
pub(super) fn names(scope: &Scope<'_>, ledger: &mut Ledger) -> Names {
    let mut names = Names::default();
    for directive in scope.own_all("server_name") {
        ledger.done(directive);
        for name in &directive.args {
            let name = name.to_ascii_lowercase();
            if names.first.is_empty() {
                names.first = name.trim_start_matches(['*', '.']).to_owned();
            }
            let mut add = |host: String| {
                if !names.hosts.contains(&host) {
                    names.hosts.push(host);
                }
            };
            match name.as_str() {
                // Nobody's name: whoever writes it means the default server.
                "_" | "" | "-" | "--" => {}
                _ if name.starts_with('~') => {
                    let remark = format!(
                        "\"{name}\": hosts are matched by name or \"*.name\", not by expression: write those you have as routes' match.host"
                    );
                    ledger.lost(directive, &remark);
                }
                _ if is_host(&name) || name.strip_prefix("*.").is_some_and(is_host) => add(name),
                _ => match name.strip_prefix('.').filter(|rest| is_host(rest)) {
                    Some(rest) => {
                        add(rest.to_owned());
                        add(format!("*.{rest}"));
                    }
                    None => {
                        let remark = format!(
                            "\"{name}\" is no name that Sluice can match: a star stands at the front alone"
                        );
                        ledger.lost(directive, &remark);
                    }
                },
            }
        }
    }
    names
}

fn is_host(name: &str) -> bool {
    crate::kit::host::HostPattern::parse(name).is_some() && !name.contains('*')
}

impl Sockets {
    /// The sockets of all servers, each server in those it listens on.
    pub fn of(servers: &[Server<'_>], work: &mut Work<'_>) -> Self {
        let mut by_address: BTreeMap<String, Socket> = BTreeMap::new();
        let mut order = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            let listens = server.scope.own_all("listen");
            let none = ["80".to_owned()];
            let words: Vec<(Option<&Directive>, &[String])> = match listens.as_slice() {
                [] => vec![(None, &none)],
                listens => listens.iter().map(|d| (Some(*d), &d.args[..])).collect(),
            };
            for (directive, words) in words {
                let Some(address) = words.first().and_then(|a| address(a)) else {
                    if let Some(directive) = directive {
                        work.ledger.lost(
                            directive,
                            "this address is no address to listen on: write it into [[listeners]]",
                        );
                    }
                    continue;
                };
                let is_new = !by_address.contains_key(&address);
                let socket = by_address.entry(address.clone()).or_default();
                if is_new {
                    order.push(address.clone());
                    socket.address = address;
                    socket.default = index;
                }
                if !socket.servers.contains(&index) {
                    socket.servers.push(index);
                }
                options(socket, index, directive, &words[1..], &mut work.ledger);
                socket.http2 |= server.scope.word("http2") == "on";
            }
        }
        let all = order.into_iter().filter_map(|a| by_address.remove(&a)).collect();
        let mut sockets = Self { all };
        sockets.join_families();
        sockets.name();
        sockets
    }

    /// `0.0.0.0:80` and `[::]:80` with the same servers are one socket: `[::]` takes both families here.
    fn join_families(&mut self) {
        let ports: Vec<String> = self
            .all
            .iter()
            .filter_map(|s| s.address.strip_prefix("0.0.0.0:").map(str::to_owned))
            .collect();
        for port in ports {
            let find = |all: &[Socket], address: String| all.iter().position(|s| s.address == address);
            let v4 = find(&self.all, format!("0.0.0.0:{port}"));
            let v6 = find(&self.all, format!("[::]:{port}"));
            let (Some(v4), Some(v6)) = (v4, v6) else { continue };
            let (a, b) = (&self.all[v4], &self.all[v6]);
            if (a.default, &a.servers, a.ssl, a.proxy_protocol)
                == (b.default, &b.servers, b.ssl, b.proxy_protocol)
            {
                self.all[v4].http2 |= self.all[v6].http2;
                self.all[v4].address = format!("[::]:{port}");
                self.all.remove(v6);
            }
        }
    }

    fn name(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        for socket in &mut self.all {
            let scheme = if socket.ssl { "https" } else { "http" };
            let mut name = scheme.to_owned();
            if seen.contains(&name) {
                name = format!("{scheme}-{}", values::name(&socket.address));
            }
            let base = name.clone();
            let mut count = 1;
            while !seen.insert(name.clone()) {
                count += 1;
                name = format!("{base}-{count}");
            }
            socket.name = name;
        }
    }

    /// Writes the listeners and their certificates.
    pub fn listen(&self, servers: &[Server<'_>], work: &mut Work<'_>) {
        let mut certificates: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for socket in &self.all {
            let names_it = work
                .document
                .routes
                .iter()
                .any(|r| r.listener.as_ref() == Some(&socket.name));
            let mut listener = Listener {
                name: names_it.then(|| socket.name.clone()),
                address: socket.address.clone(),
                proxy_protocol: socket.proxy_protocol,
                h2c: socket.http2 && !socket.ssl,
                http2: (socket.ssl && !socket.http2).then_some(false),
                ..Listener::default()
            };
            if socket.ssl {
                for index in &socket.servers {
                    let own = certificates
                        .entry(*index)
                        .or_insert_with(|| tls::certificates(&servers[*index], work))
                        .clone();
                    if *index == socket.default {
                        listener.default_certificate = own.first().cloned();
                    }
                    own.into_iter().for_each(|name| {
                        if !listener.certificates.contains(&name) {
                            listener.certificates.push(name);
                        }
                    });
                }
                if listener.certificates.first() == listener.default_certificate.as_ref() {
                    listener.default_certificate = None;
                }
                tls::listener(socket, servers, &mut listener, work);
            }
            work.document.listeners.push(listener);
        }
    }
}

/// The words behind an address.
fn options(
    socket: &mut Socket,
    index: usize,
    directive: Option<&Directive>,
    words: &[String],
    ledger: &mut Ledger,
) {
    let Some(directive) = directive else { return };
    ledger.done(directive);
    for word in words {
        let key = word.split('=').next().unwrap_or_default();
        match key {
            "default_server" | "default" => socket.default = index,
            "ssl" => socket.ssl = true,
            "http2" | "spdy" => socket.http2 = true,
            "proxy_protocol" => socket.proxy_protocol = true,
            "reuseport" => {}
            "ipv6only" if word.ends_with("=off") => {}
            "ipv6only" => ledger.differs(directive, "an address of IPv6 for all takes IPv4 too"),
            "backlog" | "deferred" | "fastopen" | "rcvbuf" | "sndbuf" | "so_keepalive" | "bind"
            | "accept_filter" => {
                let remark = format!("`{key}` is Sluice's own choice for each socket");
                ledger.done_as(directive, &remark);
            }
            "quic" | "http3" => ledger.lost(directive, "HTTP/3 is not spoken: clients go on with HTTP/2"),
            _ => ledger.lost(directive, &format!("`{key}` has no counterpart")),
        }
    }
}

/// nginx's address as Sluice writes it.
fn address(text: &str) -> Option<String> {
    if text.starts_with("unix:") {
        return text.starts_with("unix:/").then(|| text.to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let port: u16 = text.parse().ok()?;
        return Some(format!("0.0.0.0:{port}"));
    }
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (format!("[{host}]"), rest.strip_prefix(':').unwrap_or("80"))
    } else {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, "80"));
        let host = match host {
            "*" => "0.0.0.0",
            "localhost" => "127.0.0.1",
            host => host,
        };
        host.parse::<std::net::Ipv4Addr>().ok()?;
        (host.to_owned(), port)
    };
    let port: u16 = port.parse().ok()?;
    Some(format!("{host}:{port}"))
}

/// The port, or "" for a Unix socket.
pub(super) fn port_of(address: &str) -> &str {
    if address.starts_with("unix:") {
        return "";
    }
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

/// A certificate's names where a server has none of its own.
pub(super) fn domains(server: &Server<'_>) -> Vec<String> {
    let mut domains = server.names.hosts.clone();
    if domains.is_empty() {
        domains.push("default.invalid".to_owned());
    }
    domains
}

/// A certificate that is in the document already, by its files.
pub(super) fn same_files<'d>(
    all: &'d BTreeMap<String, Certificate>,
    cert_file: &str,
    key_file: &str,
) -> Option<&'d String> {
    all.iter()
        .find(|(_, c)| c.cert_file == cert_file && c.key_file == key_file)
        .map(|(name, _)| name)
}
