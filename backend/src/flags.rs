//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::chaos::Chaos;

/// A workout-tracking service: exercises, workouts, weekly splits, logs and statistics over HTTP.
#[derive(Debug, Parser)]
#[command(name = "workouts", version)]
pub struct Flags {
    /// Address to serve on, such as 127.0.0.1:8001; repeat it for several, port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8001")]
    pub listen: Vec<SocketAddr>,

    /// SQLite file; made if it is missing, and shared with other processes if they name the same
    #[arg(long, value_name = "PATH", default_value = "workouts.db")]
    pub database: PathBuf,

    /// File with the key for access tokens, at least 32 bytes; without it tokens end with the process
    #[arg(long, value_name = "PATH")]
    pub secret_file: Option<PathBuf>,

    /// Add exercises, workouts, splits, and the users demo/demo-password and admin/admin-password: for experiments
    #[arg(long)]
    pub seed: bool,

    /// Make this registered user an admin, who may edit the exercises
    #[arg(long, value_name = "NAME")]
    pub admin: Option<String>,

    /// How long a stop waits for running requests
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub drain_timeout: Duration,

    /// Trouble on purpose, such as latency=20ms,error=0.01 or latency=10ms..50ms; never for /health and /ready
    #[arg(long, value_name = "WHAT")]
    pub chaos: Option<Chaos>,
}

/// Reads `250ms`, `10s`, `5m`: a bare number would leave its unit to be guessed.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(format!("{text:?} is not a time: write it as 250ms, 10s or 5m")),
    };
    let number: Option<u64> = number.parse().ok();
    let millis = number.and_then(|number| number.checked_mul(millis_per_unit));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a time that fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
