//! Plans drawn at random, as odd as the checks allow.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::plan::*;
use gateway::kit::host::HostPattern;
use gateway::kit::pattern::Pattern;
use gateway::kit::template::{RequestVariable, Template};
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;

use crate::caches::{cache_rule, caches, compression};
use crate::discovering::discover;
use crate::edges::{certificates, listener_tls, send_proxy_protocol, upstream_tls};
use crate::guards::{Guarding, guarding, guards, networks, overload};
use crate::tracing;

pub fn plan() -> impl Strategy<Value = Plan> {
    let upstreams = btree_map(name(), upstream(), 1..4).prop_map(|named| {
        let named = named
            .into_iter()
            .map(|(name, upstream)| Arc::new(Upstream { name, ..upstream }));
        named.collect::<Vec<_>>()
    });
    (
        server(),
        option::of(admin()),
        access_log(),
        certificates().prop_flat_map(|certificates| (listeners(certificates.len()), Just(certificates))),
        upstreams,
        (caches(), compression(), guarding(), option::of(tracing::drawn())),
    )
        .prop_flat_map(
            |(server, admin, access_log, (listeners, certificates), upstreams, kept)| {
                let names = listeners.iter().filter_map(|l| l.name.clone()).collect();
                let routes = routes(names, upstreams.len(), kept.0.len(), &kept.2);
                (
                    Just((
                        server,
                        admin,
                        access_log,
                        (listeners, certificates),
                        upstreams,
                        kept,
                    )),
                    routes,
                )
            },
        )
        .prop_map(
            |((server, admin, access_log, (listeners, certificates), upstreams, kept), routes)| Plan {
                server,
                admin,
                access_log,
                certificates,
                listeners,
                upstreams,
                caches: kept.0,
                compression: kept.1,
                redis: kept.2.redis,
                rate_limits: kept.2.rate_limits,
                concurrency_limits: kept.2.concurrency_limits,
                auths: kept.2.auths,
                tracing: kept.3,
                routes,
            },
        )
}

pub fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.-]{1,6}"
}

pub fn token() -> impl Strategy<Value = String> {
    "X[-a-z!#$%&'*+.^_`|~]{1,4}"
}

/// Text with everything that must be escaped somewhere.
pub fn text() -> impl Strategy<Value = String> {
    r#"([a-z "'\\\n\t\r#=,]|\$\$\{|\$\{HOME\}|\$\{HOME:-x\}|ü|\x01|\{|\}){0,8}"#
}

pub fn path() -> impl Strategy<Value = String> {
    r#"/([a-z "'\\=,ü]|\$\{HOME\}|/){0,6}[a-z]"#
}

pub fn duration(zero_ms: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![zero_ms..5_000u64, Just(60_000), Just(86_400_000)].prop_map(Duration::from_millis)
}

fn template() -> impl Strategy<Value = Template<RequestVariable>> {
    let texts = [
        "a",
        "https://${host}${uri}",
        "$${HOME} \"${header:X-A}\"",
        "$$${path}",
    ];
    prop::sample::select(texts.to_vec()).prop_map(|t| Template::parse(t).unwrap())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::sample::select(vec!["^/a$", r"\.php$", r"(?i)[^\\]+", "a$"])
        .prop_map(|p| Pattern::parse(p).unwrap())
}

fn server() -> impl Strategy<Value = Server> {
    (1usize..9, duration(0), duration(1), networks(), limits()).prop_map(
        |(threads, drain_timeout, upgrade_timeout, trusted_proxies, limits)| Server {
            threads,
            drain_timeout,
            upgrade_timeout,
            trusted_proxies,
            limits,
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let counts = (1usize..9, 0usize..9, 1u64..9, 1usize..9);
    let times = (duration(1), duration(1), duration(1));
    let sizes = (
        1_024usize..99_999,
        64usize..1_024,
        1u64..1 << 50,
        1u32..99,
        1usize..99,
    );
    (counts, times, sizes).prop_map(|(counts, times, sizes)| Limits {
        max_connections: counts.0,
        connections_per_ip: counts.1,
        keepalive_requests: counts.2,
        max_headers: counts.3,
        header_timeout: times.0,
        keepalive_timeout: times.1,
        body_timeout: times.2,
        max_header_size: sizes.0,
        max_uri: sizes.1,
        max_body: sizes.2,
        http2_streams: sizes.3,
        handshakes: sizes.4,
    })
}

fn admin() -> impl Strategy<Value = Admin> {
    let address = prop_oneof![
        Just("127.0.0.1:9900"),
        Just("[::1]:0"),
        Just("unix:/run/a\"b.sock")
    ];
    (address, option::of(path())).prop_map(|(address, file)| Admin {
        address: SocketSpec::parse(address).unwrap(),
        token_file: file.map(PathBuf::from),
    })
}

fn access_log() -> impl Strategy<Value = AccessLog> {
    let target = prop_oneof![
        Just(LogTarget::Off),
        Just(LogTarget::Stderr),
        Just(LogTarget::Stdout),
        path().prop_map(|p| LogTarget::File(p.into())),
    ];
    let line = Template::parse("${status} \"$${HOME}\"").unwrap();
    let format = prop_oneof![
        Just(LogFormat::Json),
        Just(LogFormat::Combined),
        Just(LogFormat::Template(line)),
    ];
    (target, format, duration(0)).prop_map(|(target, format, slow_threshold)| AccessLog {
        target,
        format,
        slow_threshold,
    })
}

fn listeners(certificates: usize) -> impl Strategy<Value = Vec<Listener>> {
    let drawn = (listener_tls(certificates), any::<bool>(), any::<bool>());
    let named = btree_map(name(), drawn, 1..4);
    (named, any::<bool>(), any::<bool>()).prop_map(|(names, redirects, nameless)| {
        let mut listeners: Vec<_> = names
            .into_iter()
            .enumerate()
            .map(|(at, (name, (tls, h2c, proxy_protocol)))| Listener {
                name: Some(name),
                address: SocketSpec::parse(&format!("0.0.0.0:{}", 8_000 + at)).unwrap(),
                redirect_to_https: redirects && at == 0 && tls.is_none(),
                h2c: h2c && tls.is_none(),
                proxy_protocol,
                tls,
            })
            .collect();
        listeners[0].name = listeners[0].name.take().filter(|_| !nameless);
        listeners
    })
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let hash_by = prop_oneof![
        Just(HashBy::ClientIp),
        Just(HashBy::Path),
        token().prop_map(|n| HashBy::Header(n.to_lowercase())),
        token().prop_map(HashBy::Cookie),
    ];
    let load_balancing = prop_oneof![
        Just(LoadBalancing::LeastConn),
        Just(LoadBalancing::LeastTime),
        Just(LoadBalancing::RandomTwo),
        Just(LoadBalancing::RoundRobin),
        hash_by.prop_map(LoadBalancing::Hash),
    ];
    let timeouts = (duration(1), duration(1), duration(1), duration(1));
    let probing = (option::of(health_check()), outlier_detection(), retries());
    let edge = (
        upstream_tls(),
        send_proxy_protocol(),
        any::<bool>(),
        option::of(discover()),
    );
    let rest = (0usize..9, option::of(token()), overload(), edge);
    (load_balancing, servers(), timeouts, probing, rest).prop_map(
        |(load_balancing, servers, timeouts, probing, rest)| {
            let (tls, send_proxy_protocol, is_http2, discover) = rest.3;
            let protocol = match (&tls, is_http2 && send_proxy_protocol == SendProxyProtocol::Off) {
                (_, false) => Protocol::Http1,
                (Some(_), true) => Protocol::Http2,
                (None, true) => Protocol::H2c,
            };
            let ask = |check: HealthCheck| match check.question {
                // Only over HTTP/2, and then there is no status.
                None if protocol.is_http2() && check.interval.as_millis().is_multiple_of(2) => HealthCheck {
                    question: Some(HealthQuestion::Grpc("a.B".to_owned())),
                    ..check
                },
                _ => check,
            };
            Upstream {
                name: String::new(),
                load_balancing,
                servers,
                discover,
                connect_timeout: timeouts.0,
                write_timeout: timeouts.1,
                read_timeout: timeouts.2,
                idle_timeout: timeouts.3,
                // Written only where it means something.
                max_idle: if protocol.is_http2() { 64 } else { rest.0 },
                sticky_cookie: rest.1,
                health_check: probing.0.map(ask),
                outlier_detection: probing.1,
                retries: probing.2,
                overload: rest.2,
                protocol,
                tls,
                send_proxy_protocol,
            }
        },
    )
}

fn servers() -> impl Strategy<Value = Vec<UpstreamServer>> {
    let address = prop_oneof![
        (1u16..9).prop_map(|p| Address::parse(&format!("a_b.internal:{p}")).unwrap()),
        (1u16..9).prop_map(|p| Address::parse(&format!("[::1]:{p}")).unwrap()),
        path().prop_map(|p| Address::Unix(p.into())),
    ];
    let server = (1u32..65_536, any::<bool>(), any::<bool>(), 0u32..9, duration(0));
    btree_map(address, server, 1..4).prop_map(|servers| {
        let servers = servers
            .into_iter()
            .map(
                |(address, (weight, backup, down, max_conns, slow_start))| UpstreamServer {
                    address,
                    weight: NonZeroU32::new(weight).unwrap(),
                    backup,
                    down,
                    max_conns,
                    slow_start,
                },
            );
        servers.collect()
    })
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let expected = prop::sample::select(vec![vec![200..=399], vec![204..=204, 100..=599]]);
    let path = option::of("/[a-z${}\"?]{0,5}");
    (path, duration(1), duration(1), 1u32..9, 1u32..9, expected).prop_map(
        |(path, interval, timeout, up, down, expected)| {
            // Without a path there is nothing to expect but the default.
            let expect_status = path.as_ref().map_or(vec![200..=399], |_| expected);
            HealthCheck {
                question: path.map(HealthQuestion::Path),
                interval,
                timeout,
                healthy_threshold: NonZeroU32::new(up).unwrap(),
                unhealthy_threshold: NonZeroU32::new(down).unwrap(),
                expect_status,
            }
        },
    )
}

fn outlier_detection() -> impl Strategy<Value = OutlierDetection> {
    (0u32..9, duration(1), 0u32..=100, 1u32..=1_000).prop_map(
        |(failures, ejection_time, percent, half_open)| OutlierDetection {
            consecutive_failures: failures,
            ejection_time,
            max_ejection_percent: percent,
            half_open_requests: NonZeroU32::new(half_open).unwrap(),
        },
    )
}

fn retries() -> impl Strategy<Value = Retries> {
    let statuses = btree_set(400u16..600, 0..4);
    let methods = btree_set(prop::sample::select(vec!["GET", "PUT", "X-MOVE"]), 0..3);
    let on = (any::<[bool; 4]>(), statuses).prop_map(|(words, statuses)| RetryOn {
        connect_failure: words[0],
        timeout: words[1],
        reset: words[2],
        invalid_response: words[3],
        statuses: statuses.into_iter().collect(),
    });
    (0u32..=10, on, methods, 0u32..=100, duration(1)).prop_map(
        |(attempts, retry_on, methods, budget_percent, timeout)| Retries {
            attempts,
            retry_on,
            methods: methods.into_iter().map(str::to_owned).collect(),
            budget_percent,
            timeout,
        },
    )
}

fn routes(
    listeners: Vec<String>,
    upstreams: usize,
    caches: usize,
    guarding: &Guarding,
) -> impl Strategy<Value = Vec<Arc<Route>>> + use<> {
    let route = (route(listeners, upstreams, caches), guards(guarding));
    let route = route.prop_map(|(route, guards)| Route { guards, ..route });
    btree_map(name(), route, 0..6).prop_map(|named| {
        let routes = named.into_iter().enumerate();
        routes
            .map(|(at, (name, mut route))| {
                // A host of its own keeps each match apart from the others.
                route.matches.host = match at {
                    0 => HostPattern::Any,
                    1 => HostPattern::parse("*.example.com").unwrap(),
                    _ => HostPattern::parse(&format!("h{at}.example.com")).unwrap(),
                };
                Arc::new(Route { name, ..route })
            })
            .collect()
    })
}

fn route(listeners: Vec<String>, upstreams: usize, caches: usize) -> impl Strategy<Value = Route> {
    let rest = (
        option::of(duration(1)),
        1u64..1 << 50,
        any::<bool>(),
        any::<bool>(),
        option::of((0..upstreams).prop_map(UpstreamId)),
    );
    let origin = (option::of(rewrite()), edits(), cache_rule(caches));
    (matches(listeners), action(upstreams), rest, origin, edits()).prop_map(
        |(matches, action, rest, origin, response_headers)| {
            let (rewrite, request_headers, cache) = match &action {
                Action::Split(_) | Action::Upstream(_) => origin,
                Action::StaticFiles(_) => (origin.0, Edits::default(), None),
                Action::Redirect { .. } | Action::Respond { .. } => (None, Edits::default(), None),
            };
            // What is stripped has to be there.
            let rewrite = rewrite.map(|rewrite| match (rewrite, &matches.path) {
                (Rewrite::StripPrefix(_), PathPattern::Exact(own) | PathPattern::Prefix(own))
                    if !own.is_empty() =>
                {
                    Rewrite::StripPrefix(own.clone())
                }
                (rewrite, _) => rewrite,
            });
            Route {
                name: String::new(),
                matches,
                mirror: rest
                    .4
                    .filter(|mirror| action.asks_an_origin() && !action.asks(*mirror)),
                timeout: rest.0.filter(|_| action.asks_an_origin()),
                action,
                max_body: rest.1,
                rewrite,
                request_headers,
                response_headers,
                access_log: rest.2,
                cache,
                compression: rest.3,
                guards: Guards::default(),
            }
        },
    )
}

fn matches(listeners: Vec<String>) -> impl Strategy<Value = Match> {
    let listener = match listeners.is_empty() {
        true => Just(None).boxed(),
        false => option::of(prop::sample::select(listeners)).boxed(),
    };
    let path = prop_oneof![
        Just(PathPattern::Any),
        Just(PathPattern::Prefix(String::new())),
        path().prop_map(PathPattern::Exact),
        path().prop_map(PathPattern::Prefix),
        pattern().prop_map(PathPattern::Regex),
    ];
    let test = prop_oneof![
        Just(ValueTest::Present),
        text()
            .prop_filter("means any value", |t| t != "*")
            .prop_map(ValueTest::Equals),
    ];
    let headers = btree_map(token().prop_map(|n| n.to_lowercase()), test.clone(), 0..3);
    let query = btree_map(text(), test, 0..3);
    let methods = btree_set("[A-Z]{9,12}", 0..3);
    (listener, path, methods, headers, query).prop_map(|(listener, path, methods, headers, query)| Match {
        listener,
        host: HostPattern::Any,
        path,
        methods: methods.into_iter().collect(),
        headers: headers.into_iter().collect(),
        query: query.into_iter().collect(),
    })
}

fn action(upstreams: usize) -> impl Strategy<Value = Action> {
    let weight = (1u32..65_536).prop_map(|w| NonZeroU32::new(w).unwrap());
    let split = btree_map((0..upstreams).prop_map(UpstreamId), weight, 1..4);
    let status = prop::sample::select(vec![301u16, 302, 303, 307, 308]);
    let tries = prop::sample::select(vec![
        vec![],
        vec![TryFile::Path("${path}.html".into()), TryFile::Status(404)],
    ]);
    let codings = prop::sample::select(vec![vec![], vec![Coding::Zstd, Coding::Brotli, Coding::Gzip]]);
    let files = (
        path(),
        option::of("[a-z\"\\\\]{1,4}"),
        codings,
        tries,
        any::<bool>(),
    );
    prop_oneof![
        (0..upstreams).prop_map(|id| Action::Upstream(UpstreamId(id))),
        split.prop_map(|shares| Action::Split(shares.into_iter().collect())),
        (template(), status).prop_map(|(to, status)| Action::Redirect { to, status }),
        (206u16..304, text()).prop_map(|(status, body)| Action::Respond {
            status,
            body,
            content_type: "text/plain; x=\"${HOME}\"".into(),
        }),
        files.prop_map(|(root, index, precompressed, try_files, listing)| {
            Action::StaticFiles(StaticFiles {
                root: root.into(),
                index,
                precompressed,
                try_files,
                directory_listing: listing,
            })
        }),
    ]
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    let to = prop::sample::select(vec!["", "/$1", "/${name}${HOME}", "$${HOME}"]);
    let pattern = prop::sample::select(vec!["^/(?<name>a)(?<HOME>b)?$", r"(?<HOME>(?<name>\.)php)$"])
        .prop_map(|p| Pattern::parse(p).unwrap());
    prop_oneof![
        path().prop_map(Rewrite::AddPrefix),
        path().prop_map(Rewrite::StripPrefix),
        (pattern, to).prop_map(|(pattern, to)| Rewrite::Regex {
            pattern,
            to: to.to_owned(),
        }),
    ]
}

fn edits() -> impl Strategy<Value = Edits> {
    let fields = || btree_map(token(), template(), 0..3);
    let remove = btree_set(token().prop_map(|n| n.to_lowercase()), 0..3);
    (fields(), fields(), remove).prop_map(|(set, add, remove)| Edits {
        remove: remove.into_iter().collect(),
        set: set.into_iter().collect(),
        add: add.into_iter().collect(),
    })
}
