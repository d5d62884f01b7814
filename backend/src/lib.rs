//! `workouts`: a workout-tracking service, the origin behind the gateway's demo.
//!
//! A request's way: [`server`] (sockets) → [`http`] (paths, bodies, answers) → [`store`] (SQLite).

pub mod flags;
pub mod server;

pub mod app;
pub mod http;

pub mod chaos;
pub mod input;
pub mod password;
pub mod token;

pub mod store;

pub mod calendar;
pub mod clock;
pub mod weight;
#[macro_use]
pub mod words;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use tokio::signal::unix::{SignalKind, signal};

use flags::Flags;
use password::Cost;
use server::{Config, Server, Stopped};
use token::{KEY_BYTES_MIN, Key};

/// A session of the demo; after it, one logs in again.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Serves as the flags say until SIGTERM or SIGINT, then stops without dropping a request.
pub async fn run(flags: Flags) -> Result<Stopped, String> {
    // Before anything is open: a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let server = Server::start(config(flags)?)
        .await
        .map_err(|error| error.to_string())?;
    announce(&server).map_err(|error| format!("cannot write to stdout: {error}"))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        stopped = server.stop() => Ok(stopped),
        _ = interrupt.recv() => Ok(Stopped::CutOff), // Ctrl-C again: whoever asks twice means now.
    }
}

fn config(flags: Flags) -> Result<Config, String> {
    let key = match &flags.secret_file {
        Some(path) => read_key(path)?,
        None => {
            eprintln!(
                "note: no --secret-file, so tokens are signed with a random key and end with this process"
            );
            Key::random().ok_or("this machine has no randomness")?
        }
    };
    Ok(Config {
        listen: flags.listen,
        database: flags.database,
        key,
        token_lifetime: TOKEN_LIFETIME,
        password_cost: Cost::STANDARD,
        seed: flags.seed,
        admin: flags.admin,
        drain_timeout: flags.drain_timeout,
        chaos: flags.chaos.map(|chaos| (chaos, Rng::new())),
        clock: clock::system,
    })
}

fn read_key(path: &Path) -> Result<Key, String> {
    let secret = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    // An editor's line break at the end is not part of the secret.
    Key::from_secret(secret.trim_ascii_end()).ok_or_else(|| {
        format!(
            "{} has less than {KEY_BYTES_MIN} bytes: try openssl rand -hex 32",
            path.display()
        )
    })
}

fn announce(server: &Server) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for address in server.addresses() {
        writeln!(stdout, "listening on http://{address}")?;
    }
    stdout.flush()
}
