//! `[upstreams.NAME]`

use schemars::JsonSchema;
use serde::Deserialize;

use super::discover::Discover;
use super::guard::REQUESTS_MAX;
use super::leaf::{Duration, Flag, Int, List, Maybe};
use super::tls::{SendProxyProtocol, UpstreamTls};

/// Largest weight of one server, as in nginx: sums of them stay far from overflow.
const WEIGHT_MAX: u64 = 65_535;

/// Largest `max_conns` of one server.
pub const CONNS_MAX: u64 = 1_000_000;

/// A group of servers that requests are sent to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// How a server is chosen. Default `"least_conn"`.
    pub load_balancing: Maybe<LoadBalancing>,
    /// What "hash" looks at: "client_ip", "path", "header:NAME" or "cookie:NAME".
    pub hash_by: Maybe<String>,
    /// The servers, one line each.
    pub servers: List<UpstreamServer>,
    /// Where more servers are found, which come and go without a reload.
    pub discover: Maybe<Discover>,
    /// What is spoken to the servers. Default `"http1"`.
    pub protocol: Maybe<Protocol>,
    /// Until a connection stands. Default `"5s"`.
    pub connect_timeout: Maybe<Duration>,
    /// Between two writes. Default `"10s"`.
    pub write_timeout: Maybe<Duration>,
    /// Until the head of the answer, then between two reads. Default `"10s"`.
    pub read_timeout: Maybe<Duration>,
    /// How long an idle connection is kept. Default `"60s"`.
    pub idle_timeout: Maybe<Duration>,
    /// Idle connections kept per worker and server; 0 keeps none. Not with HTTP/2, where idle_timeout is enough. Default `64`.
    pub max_idle: Maybe<Int<0, 100_000>>,
    /// Name of a cookie that keeps a client on its server while that is healthy; "" sets none. Default `""`.
    pub sticky_cookie: Maybe<String>,
    /// Active checks: every server is asked from time to time. Left out, none is.
    pub health_check: Maybe<HealthCheck>,
    /// Passive checks: what real requests tell about a server.
    pub outlier_detection: Maybe<OutlierDetection>,
    /// Further tries of a request that failed.
    pub retries: Maybe<Retries>,
    /// What protects it from more requests than it can serve.
    pub overload: Maybe<Overload>,
    /// TLS to the servers; left out, they are spoken to in plain.
    pub tls: Maybe<UpstreamTls>,
    /// Whether a connection begins with a PROXY line that tells the client's address. Default `"off"`.
    pub send_proxy_protocol: Maybe<SendProxyProtocol>,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancing {
    /// By a part of the request, the same server for the same part.
    Hash,
    /// The fewest requests in flight, by weight.
    LeastConn,
    /// The shortest recent answers, by weight.
    LeastTime,
    /// The less loaded of two drawn by weight.
    RandomTwo,
    /// In turn, by weight.
    RoundRobin,
}

/// What is spoken to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/2 without TLS, from the first byte on.
    H2c,
    /// HTTP/1.1
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

/// One server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamServer {
    /// "HOST:PORT" or "unix:/path".
    pub address: Maybe<String>,
    /// Its share of the requests. Default `1`.
    pub weight: Maybe<Int<1, WEIGHT_MAX>>,
    /// Serves only when no other can. Default `false`.
    pub backup: Maybe<Flag>,
    /// Gets no requests. Default `false`.
    pub down: Maybe<Flag>,
    /// Requests in flight; 0 sets no limit. Default `0`.
    pub max_conns: Maybe<Int<0, CONNS_MAX>>,
    /// After it has come up its share grows for this long. Default `"0s"`.
    pub slow_start: Maybe<Duration>,
}

/// Active checks: we ask.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Asked by GET; left out, a TCP connection that comes about is enough.
    pub path: Maybe<String>,
    /// Asked by gRPC's health protocol instead, of the service of that name; "" stands for the whole server.
    pub grpc_service: Maybe<String>,
    /// Between two checks of a server. Default `"5s"`.
    pub interval: Maybe<Duration>,
    /// A check that takes longer has failed. Default `"2s"`.
    pub timeout: Maybe<Duration>,
    /// Good checks in a row until a server is up. Default `2`.
    pub healthy_threshold: Maybe<Int<1, 1_000>>,
    /// Bad checks in a row until a server is down. Default `3`.
    pub unhealthy_threshold: Maybe<Int<1, 1_000>>,
    /// Statuses that are good: "204" or "200-399". Default `["200-399"]`.
    pub expect_status: List<String>,
}

/// Passive checks: we watch real traffic.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutlierDetection {
    /// Failures in a row until a server gets no requests for a while; 0 never. Default `3`.
    pub consecutive_failures: Maybe<Int<0, 1_000>>,
    /// For how long; doubles for a repeat offender up to 5m. Default `"30s"`.
    pub ejection_time: Maybe<Duration>,
    /// Most of the upstream's servers that may be out at once. Default `50`.
    pub max_ejection_percent: Maybe<Int<0, 100>>,
    /// Requests a server gets at once after that, until one of them has succeeded. Default `1`.
    pub half_open_requests: Maybe<Int<1, 1_000>>,
}

/// Further tries of a request that failed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Further tries, each on another server; 0 turns them off. Default `2`.
    pub attempts: Maybe<Int<0, 10>>,
    /// What is tried again: "connect_failure", "timeout", "reset", "invalid_response" or a status from 400 on.
    /// Default `["connect_failure", "timeout", "reset", "invalid_response", "500", "502", "503", "504"]`.
    pub retry_on: List<String>,
    /// Methods that may be sent twice; "connect_failure" may retry any. Default `["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]`.
    pub methods: List<String>,
    /// Most of the upstream's running requests that may be further tries, at least 3 at once; attempts = 0 turns them off.
    /// Default `20`.
    pub budget_percent: Maybe<Int<0, 100>>,
    /// No further try begins after this. Default `"15s"`.
    pub timeout: Maybe<Duration>,
}

/// What protects an upstream from more requests than it can serve.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overload {
    /// Requests in flight to all its servers; 0 sets no limit. With adaptive, the highest it may learn. Default `0`.
    pub max_requests: Maybe<Int<0, REQUESTS_MAX>>,
    /// Requests that wait for a place. Default `0`.
    pub queue: Maybe<Int<0, REQUESTS_MAX>>,
    /// How long one waits; only with a queue. Default `"1s"`.
    pub queue_timeout: Maybe<Duration>,
    /// Whether the limit is learnt from the latency. Default `false`.
    pub adaptive: Maybe<Flag>,
}
