//! What Sluice promises its users, each promise a test that anybody can run again on the programs themselves:
//! `sluice` and `workouts` as processes of their own.
//!
//! ```text
//! cargo build -p gateway -p backend && cargo test -p tests --test promises -- --nocapture
//! ```
//!
//! says what was measured, too. The loads are scaled to a debug build on two cores. At full size:
//!
//! ```text
//! cargo build --release -p gateway -p backend
//! TEST_CONNECTIONS=256 TEST_STEP_REQUESTS=20000 TEST_SLOW_CLIENTS=5000 TEST_IDLE_CONNECTIONS=8000 TEST_LIMITED_SECONDS=30 \
//!     TEST_CACHE_LOOKUPS=2000000 TEST_CACHE_OBJECTS=200000 TEST_CACHE_MEMORY_MIB=256 TEST_CACHE_DISK_MIB=4096 \
//!     TEST_TLS_VISITS=4000 TEST_CERTIFICATES=50 TEST_MESSAGES=100000 TEST_RELOADS=1000 TEST_UPGRADES=20 \
//!     TEST_SOAK_SECONDS=1200 TEST_PATIENCE_MS=60000 cargo test --release -p tests --test promises -- --nocapture
//! ```
//!
//! | variable                | means                                                  | default               |
//! |-------------------------|--------------------------------------------------------|-----------------------|
//! | `TEST_CONNECTIONS`      | clients at once while things change                    | 32                    |
//! | `TEST_STEP_REQUESTS`    | answers that have to come between two changes          | 300                   |
//! | `TEST_BODY_MIB`         | length of each large body                              | 256, in release 1024  |
//! | `TEST_SLOW_CLIENTS`     | clients that send a byte a second                      | 2000                  |
//! | `TEST_IDLE_CONNECTIONS` | connections that do nothing                            | 2000                  |
//! | `TEST_LIMITED_CLIENTS`  | clients that ask five times as often as they may        | 100                   |
//! | `TEST_LIMITED_SECONDS`  | for how long                                           | 3                     |
//! | `TEST_CACHE_LOOKUPS`    | what a cache is asked                                  | 20000                 |
//! | `TEST_CACHE_OBJECTS`    | objects that are asked for                             | 4000                  |
//! | `TEST_CACHE_MEMORY_MIB` | what the cache may keep in memory                      | 16                    |
//! | `TEST_CACHE_DISK_MIB`   | what it may keep on disk                               | 64                    |
//! | `TEST_TLS_VISITS`       | clients that come twice over TLS                       | 400                   |
//! | `TEST_CERTIFICATES`     | certificates that replace each other                    | 10                    |
//! | `TEST_MESSAGES`         | messages of conversations                              | 2000                  |
//! | `TEST_RELOADS`          | configurations that replace each other                 | 20                    |
//! | `TEST_UPGRADES`         | binaries that replace each other                       | 3                     |
//! | `TEST_SOAK_SECONDS`     | how long mixed traffic is sent while everything happens; from 600 on memory is held to a bound | 60 |
//! | `TEST_SOAK_SEED`        | what it is drawn from                                  | 1                     |
//! | `TEST_SOAK_TRACE`       | if set, memory and descriptors are said each second    |                       |
//! | `TEST_PATIENCE_MS`      | how long any one fact is waited for                    | 10000                 |
//!
//! Slow and idle clients take an open file each, here and in the gateway (`ulimit -Hn`).

/// Least connections, seen from outside.
mod balance;
/// Large bodies in little memory.
mod bodies;
/// Whatever changes, nobody is failed.
mod change;
/// All mistakes at once.
mod check;
/// Limits that hold to the request, with one gateway, with two, and without their Redis.
mod guards;
/// Clients that send their heads slowly.
mod heads;
/// Connections that do nothing.
mod idle;
/// What operators do to a gateway under load, a mistake included.
mod operate;
/// Sessions, certificates and conversations that last.
mod secure;
/// Everything at once, for a long time.
mod soak;
/// A stop that cuts nobody off.
mod stop;
/// Millions of look-ups, limits that hold, and a death in the middle.
mod storage;

use std::str::FromStr;

use parking_lot::{Mutex, MutexGuard};

/// Promises are kept one after the other: each is about load, and measures.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other promise is under way.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock()
}

/// A size from the environment.
#[track_caller]
fn size<N: FromStr>(variable: &str, default: N) -> N {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")),
        Err(_) => default,
    }
}
