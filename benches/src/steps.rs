//! The small steps of a request, each ready to be taken: what `micro` times, `counted` counts instructions of.
//!
//! Each is set up as a running gateway has it, and taken with [`Step::take`], as often as one likes.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::balance::{self, Ask, Pool};
use gateway::cache::policy::{self, Asked, KeyFacts, Reuse};
use gateway::cache::store::{LookUp, Store};
use gateway::cache::{Facets, Freshness, Key, Meta};
use gateway::config::plan::{self, KeyRule, LimitKey, LogFormat, OnRedisError, RateLimit};
use gateway::guard::rate;
use gateway::kit::clock::{Clock, Mono, Now};
use gateway::observe::{Format, Line, Metrics, TimeCache};
use gateway::route::{Facts, Found, Table};
use gateway::state::State;
use gateway::wire::{Fields, HeadLimits, HeadScan, Request, Version};

const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 32 << 10,
    fields_max: 100,
    target_bytes_max: 8 << 10,
    leading_lines_max: 4,
};

/// Of a rate limit's table, as many as by default.
pub const RATE_KEYS: usize = 1_000_000;

/// Something a request goes through.
pub trait Step {
    /// Takes it once.
    fn take(&mut self);
}

/// Finds the end of a request's head of ten fields and parses it.
#[derive(Default)]
pub struct ReadHead(Request);

impl Step for ReadHead {
    fn take(&mut self) {
        let (start, end) = HeadScan::default()
            .advance(black_box(crate::HEAD), LIMITS)
            .ok()
            .flatten()
            .unwrap_or_default();
        _ = black_box(self.0.parse(&crate::HEAD[start..end], LIMITS));
    }
}

/// Finds one of a thousand routes, by a prefix.
pub struct FindRoute {
    table: Table<()>,
    request: Request,
}

impl Default for FindRoute {
    fn default() -> Self {
        let plan = crate::plan(1_000, 1);
        let table = Table::new(plan.routes.iter().map(|r| (r.matches.clone(), ())));
        let request = request();
        let step = Self { table, request };
        assert!(step.find(), "the bench's own request has a route");
        step
    }
}

impl FindRoute {
    fn find(&self) -> bool {
        let request = &self.request;
        let facts = Facts {
            listener: None,
            host: &request.host,
            path: &request.path,
            method: &request.method_text,
            query: request.query.as_deref(),
            fields: &request.fields,
        };
        matches!(self.table.find(black_box(&facts)), Found::Route(..))
    }
}

impl Step for FindRoute {
    fn take(&mut self) {
        black_box(self.find());
    }
}

/// Picks the server with the fewest requests, and gives it back.
pub struct Pick {
    pool: Arc<Pool>,
    now: Mono,
}

impl Pick {
    /// Of so many servers.
    #[must_use]
    pub fn of(servers: usize) -> Self {
        let plan = crate::plan(1, servers);
        let state = state();
        let upstream = &plan.upstreams[0];
        let pool = Pool::new(upstream, state.running("app"), state.changes.clone(), |server| {
            balance::Cells {
                server: state.server(&server.address, None),
                health: None,
                seat: state.seat("app", &server.address),
            }
        });
        let now = Clock::system().now().mono;
        Self { pool, now }
    }
}

impl Step for Pick {
    fn take(&mut self) {
        black_box(self.pool.pick(&Ask::default(), 7, self.now));
    }
}

/// Asks a rate limit whose table is full, each time for another of its million keys.
pub struct Admit {
    limiter: rate::Limiter,
    now: u64,
    n: u64,
}

impl Default for Admit {
    fn default() -> Self {
        let limiter = limiter(&Arc::new(rate::Table::new(RATE_KEYS)));
        // All of them owe a second, which the bench's own time does not pay off: there is nobody who may go for nothing.
        for n in 0..RATE_KEYS as u64 {
            rate::admit(&[(&limiter, key(n))], Mono(1 << 40));
        }
        Self {
            limiter,
            now: 1 << 40,
            n: 0,
        }
    }
}

impl Step for Admit {
    fn take(&mut self) {
        self.now += 1;
        self.n = self.n.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let key = key((self.n >> 32) % RATE_KEYS as u64);
        black_box(rate::admit(&[(&self.limiter, key)], Mono(self.now)));
    }
}

/// A limit that admits whatever a bench asks of one key, so that every question is also a charge.
#[must_use]
pub fn limiter(table: &Arc<rate::Table>) -> rate::Limiter {
    let plan = RateLimit {
        name: "bench".into(),
        key: LimitKey::ClientIp,
        count: NonZeroU32::MIN,
        period: Duration::from_secs(1),
        burst: NonZeroU32::MAX,
        max_keys: RATE_KEYS,
        shared: false,
        on_redis_error: OnRedisError::Local,
    };
    rate::Limiter::new(Arc::new(plan), table.clone())
}

/// As even as the hashes of real keys: an odd factor and a fold.
#[must_use]
pub fn key(n: u64) -> rate::KeyHash {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    rate::KeyHash((n ^ n >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ n >> 32)
}

/// Finds a fresh answer of 1 KiB in memory: the key's text, its hash, the look-up, and whether it may be used.
pub struct LookUpHit {
    store: Arc<Store>,
    request: Request,
    rule: KeyRule,
    text: Vec<u8>,
    now: Now,
}

impl Default for LookUpHit {
    fn default() -> Self {
        let plan = plan::Cache {
            name: "bench".to_owned(),
            memory: 64 << 20,
            disk: 0,
            path: None,
            max_object: 1 << 20,
            min_uses: 1,
        };
        let clock = Clock::system();
        let now = clock.now();
        let mut step = Self {
            store: Store::open(&plan, 7, clock),
            request: request(),
            rule: KeyRule::default(),
            text: Vec::new(),
            now,
        };
        let key = step.key();
        let meta = meta(&step.text, now);
        assert!(
            step.store
                .admit(key, meta, Bytes::from(vec![b'a'; 1024]))
                .is_some()
                && step.find(),
            "an answer of 1 KiB finds room in 64 MiB"
        );
        step
    }
}

impl LookUpHit {
    fn key(&mut self) -> Key {
        let facts = KeyFacts {
            route: "static",
            scheme: "https",
            host: &self.request.host,
            authority: &self.request.authority,
            path_sent: self.request.path_to_send(),
            query: self.request.query.as_deref(),
            fields: &self.request.fields,
        };
        self.text.clear();
        policy::write_key(&mut self.text, &facts, &self.rule);
        Key {
            primary: policy::primary(&self.text, self.store.seed()),
            variance: 0,
        }
    }

    fn find(&mut self) -> bool {
        let key = self.key();
        let is_it = |meta: &Meta| *meta.key_text == *self.text;
        let LookUp::Hit(hit) = self.store.look_up(key, is_it) else {
            return false;
        };
        let asked = Asked::of(&self.request);
        let freshness = &hit.object.meta.freshness;
        let reuse = policy::reuse(freshness, &asked, hit.is_soft_purged, self.now.unix_ms());
        matches!(reuse, Reuse::Fresh { .. })
    }
}

impl Step for LookUpHit {
    fn take(&mut self) {
        black_box(self.find());
    }
}

/// Writes a request's line as JSON.
pub struct WriteLine {
    request: Request,
    out: Vec<u8>,
    times: TimeCache,
    format: Format,
    now: Now,
}

impl Default for WriteLine {
    fn default() -> Self {
        Self {
            request: request(),
            out: Vec::with_capacity(4096),
            times: TimeCache::default(),
            format: Format::new(&LogFormat::Json),
            now: Clock::system().now(),
        }
    }
}

impl Step for WriteLine {
    fn take(&mut self) {
        let request = &self.request;
        let line = Line {
            start: self.now,
            duration: Duration::from_micros(412),
            client_ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 17))),
            method: request.method_text.as_bytes(),
            host: request.host.as_bytes(),
            path: request.raw_path.as_bytes(),
            query: request.query.as_ref().map(String::as_bytes),
            scheme: "https",
            port: 443,
            protocol: "HTTP/1.1",
            status: 200,
            bytes_sent: 1024,
            bytes_received: 0,
            user: None,
            route: Some("static"),
            upstream: None,
            server: None,
            tries: 0,
            upstream_time: None,
            cache: Some("hit"),
            refusal: None,
            request_id: b"0123456789abcdef0123456789abcdef",
            request: &request.fields,
            response: &(),
            slow: None,
        };
        self.out.clear();
        self.format
            .write(&mut self.out, black_box(&line), &mut self.times);
        black_box(&self.out);
    }
}

/// What outlives a reload, with nothing in it.
#[must_use]
pub fn state() -> State {
    State::new(Arc::new(Metrics::new("bench")), Clock::system())
}

fn request() -> Request {
    let mut request = Request::default();
    let is_read = request.parse(crate::HEAD, LIMITS).is_ok();
    assert!(is_read, "the bench's own head is well formed");
    request
}

fn meta(key_text: &[u8], now: Now) -> Meta {
    let mut fields = Fields::default();
    for (name, value) in [
        ("content-type", "image/svg+xml"),
        ("cache-control", "max-age=86400"),
    ] {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    Meta {
        key_text: key_text.into(),
        variance: Box::default(),
        vary: Box::default(),
        status: 200,
        reason: b"OK"[..].into(),
        version: Version::Http11,
        fields,
        freshness: Freshness {
            received_ms: now.unix_ms(),
            lifetime: Duration::from_secs(86_400),
            ..Freshness::default()
        },
        facets: Facets::default(),
        serial: 0,
    }
}
