//! The small steps of a request, one by one: `cargo bench -p benches`.
#![allow(missing_docs, reason = "the macros of criterion write undocumented functions")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::balance::{self, Ask, Pool};
use gateway::compress::{self, compress_whole};
use gateway::config::Plan;
use gateway::config::plan::{Coding, LimitKey, OnRedisError, RateLimit};
use gateway::guard::rate;
use gateway::kit::clock::{Clock, Mono};
use gateway::observe::Metrics;
use gateway::route::{Facts, Table};
use gateway::snapshot::Snapshot;
use gateway::state::State;
use gateway::wire::{HeadLimits, HeadScan, Request};

const LIMITS: HeadLimits = HeadLimits {
    bytes_max: 32 << 10,
    fields_max: 100,
    target_bytes_max: 8 << 10,
    leading_lines_max: 4,
};

/// Of a rate limit's table, as many as by default.
const RATE_KEYS: usize = 1_000_000;

fn pool(plan: &Plan, state: &State) -> Arc<Pool> {
    let upstream = &plan.upstreams[0];
    Pool::new(upstream, state.running("app"), state.changes.clone(), |server| {
        balance::Cells {
            server: state.server(&server.address, None),
            health: None,
            seat: state.seat("app", &server.address),
        }
    })
}

fn state() -> State {
    State::new(Arc::new(Metrics::new("bench")), Clock::system())
}

fn head(c: &mut Criterion) {
    let mut request = Request::default();
    c.bench_function("head: find the end and parse, 10 fields", |b| {
        b.iter(|| {
            let (start, end) = HeadScan::default()
                .advance(benches::HEAD, LIMITS)
                .ok()
                .flatten()
                .unwrap_or_default();
            request.parse(black_box(&benches::HEAD[start..end]), LIMITS)
        });
    });
}

fn route(c: &mut Criterion) {
    let plan = benches::plan(1_000, 1);
    let table = Table::new(plan.routes.iter().map(|r| (r.matches.clone(), ())));
    let mut request = Request::default();
    assert!(
        request.parse(benches::HEAD, LIMITS).is_ok(),
        "the bench's own head is well formed"
    );
    c.bench_function("route: a prefix of 1,000 routes", |b| {
        b.iter(|| {
            let facts = Facts {
                listener: None,
                host: &request.host,
                path: &request.path,
                method: &request.method_text,
                query: request.query.as_deref(),
                fields: &request.fields,
            };
            black_box(table.find(black_box(&facts)));
        });
    });
}

fn pick(c: &mut Criterion) {
    for servers in [10, 1_000] {
        let (plan, state) = (benches::plan(1, servers), state());
        let pool = pool(&plan, &state);
        let now = Clock::system().now().mono;
        c.bench_function(
            &format!("least_conn: pick and give back, {servers} servers"),
            |b| {
                b.iter(|| black_box(pool.pick(&Ask::default(), 7, now)));
            },
        );
    }
}

fn wire(c: &mut Criterion) {
    let plan = benches::plan(1_000, 1_000);
    let (state, now) = (state(), Clock::system().now());
    c.bench_function("reload: wire 1,000 routes and 1,000 servers", |b| {
        b.iter(|| {
            black_box(Snapshot::wire(
                plan.clone(),
                String::new(),
                &state,
                None,
                now,
                None,
            ))
        });
    });
}

fn compress(c: &mut Criterion) {
    let pool = Rc::new(compress::Pool::default());
    for bytes in [1 << 10, 10 << 10, 100 << 10] {
        let body = benches::json(bytes);
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let (name, kib) = (coding.name(), bytes >> 10);
            let mut out = Vec::with_capacity(bytes);
            c.bench_function(&format!("compress: {name}, {kib} KiB on its way"), |b| {
                b.iter(|| {
                    out.clear();
                    let mut encoder = pool.lend(coding, Some(bytes as u64))?;
                    for piece in black_box(&body).chunks(16 << 10) {
                        encoder.write(piece, &mut out).ok()?;
                    }
                    encoder.finish(&mut out).ok()
                });
            });
            c.bench_function(&format!("compress: {name}, {kib} KiB to be kept"), |b| {
                b.iter(|| compress_whole(black_box(&body), coding));
            });
        }
    }
}

/// A limit that admits whatever the bench asks of one key, so that every question is also a charge.
fn limiter(table: &Arc<rate::Table>) -> rate::Limiter {
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
fn key(n: u64) -> rate::KeyHash {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    rate::KeyHash((n ^ n >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ n >> 32)
}

fn admit(c: &mut Criterion) {
    let table = Arc::new(rate::Table::new(RATE_KEYS));
    let (many, one, other) = (
        limiter(&table),
        limiter(&Arc::new(rate::Table::new(1_000))),
        limiter(&Arc::new(rate::Table::new(1_000))),
    );
    let keys = RATE_KEYS as u64;
    // All of them owe a second, which the bench's own time does not pay off: there is nobody who may go for nothing.
    for n in 0..keys {
        rate::admit(&[(&many, key(n))], Mono(1 << 40));
    }
    let (mut now, mut n) = (1 << 40, 0_u64);
    let mut next = || {
        (now, n) = (now + 1, n.wrapping_add(0x9E37_79B9_7F4A_7C15));
        (Mono(now), (n >> 32) % keys)
    };
    c.bench_function("admit: one limit, the same of 1,000,000 keys", |b| {
        b.iter(|| black_box(rate::admit(&[(&many, key(7))], next().0)));
    });
    c.bench_function("admit: one limit, any of 1,000,000 keys", |b| {
        b.iter(|| {
            let (now, n) = next();
            black_box(rate::admit(&[(&many, key(n))], now))
        });
    });
    c.bench_function("admit: three limits, any of 1,000,000 keys", |b| {
        b.iter(|| {
            let (now, n) = next();
            black_box(rate::admit(
                &[(&many, key(n)), (&one, key(1)), (&other, key(n % 100))],
                now,
            ))
        });
    });
    let mut fresh = keys;
    c.bench_function("admit: one limit, a key that drives out another", |b| {
        b.iter(|| {
            fresh += 1;
            black_box(rate::admit(&[(&many, key(fresh))], next().0))
        });
    });
}

criterion_group!(micro, head, route, pick, wire, compress, admit);
criterion_main!(micro);
