//! The small steps of a request, one by one: `cargo bench -p benches`.
#![allow(missing_docs, reason = "the macros of criterion write undocumented functions")]

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use benches::steps::{FindRoute, LookUpHit, Pick, RATE_KEYS, ReadHead, Step, WriteLine, key, limiter, state};
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::compress::{self, compress_whole};
use gateway::config::plan::Coding;
use gateway::guard::rate;
use gateway::kit::clock::{Clock, Mono};
use gateway::snapshot::Snapshot;

fn step(c: &mut Criterion, name: &str, mut step: impl Step) {
    c.bench_function(name, |b| b.iter(|| step.take()));
}

fn steps(c: &mut Criterion) {
    step(c, "head: find the end and parse, 10 fields", ReadHead::default());
    step(c, "route: a prefix of 1,000 routes", FindRoute::default());
    step(c, "least_conn: pick and give back, 10 servers", Pick::of(10));
    step(c, "least_conn: pick and give back, 1000 servers", Pick::of(1_000));
    step(c, "look-up: a fresh answer in memory", LookUpHit::default());
    step(c, "log: a line of JSON", WriteLine::default());
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

criterion_group!(micro, steps, wire, compress, admit);
criterion_main!(micro);
