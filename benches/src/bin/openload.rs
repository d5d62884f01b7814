//! Sends requests when they are due, whether those before them have been answered or not, and says how long answers took.
//!
//!     openload [OPTION]... http://HOST:PORT/PATH...
//!
//!     --rate PER_S --seconds S   the same rate all the time; or
//!     --scenario FILE            stages and thresholds, see `benches/load`
//!     --faster TIMES             each stage in so many times less time
//!     --warm-up S                what is due before is sent, and not counted
//!     --connections N            as many as may wait at once (64); what is due meanwhile goes out late, and that counts
//!     --header 'NAME: VALUE'     of each request
//!     --json                     one object instead of lines
//!
//! A latency is the time from when its request was due to the last byte of the answer: a server that stands still for
//! a second has made everybody wait who came in that second, not only those who had a connection. Paths are asked for in
//! turn; they are on one server. HTTP/1.1 in clear text. Exit code: 0, 1 if a threshold is broken, 2 if it could not be run.

#[path = "openload/crowd.rs"]
mod crowd;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use benches::load::{Histogram, Scenario};
use crowd::{Crowd, Outcome};

const CONNECTIONS: usize = 64;

/// What the command line says.
struct Order {
    crowd: Crowd,
    json: bool,
}

fn main() -> ExitCode {
    match order(std::env::args().skip(1)).and_then(|order| Ok((order.crowd.run()?, order))) {
        Ok((outcome, order)) => tell(&outcome, &order),
        Err(fault) => {
            eprintln!("openload: {fault}");
            ExitCode::from(2)
        }
    }
}

fn order(mut words: impl Iterator<Item = String>) -> io::Result<Order> {
    let (mut per_s, mut seconds, mut faster, mut warm_up) = (None, None, 1.0, 0.0);
    let (mut connections, mut json, mut file) = (CONNECTIONS, false, None);
    let (mut urls, mut fields) = (Vec::new(), String::new());
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| usage(&format!("{word} needs a value")))
        };
        match word.as_str() {
            "--json" => json = true,
            "--rate" => per_s = Some(positive(&word, &value()?)?),
            "--seconds" => seconds = Some(positive(&word, &value()?)?),
            "--faster" => faster = positive(&word, &value()?)?,
            "--warm-up" => warm_up = positive(&word, &value()?)?,
            "--connections" => connections = positive(&word, &value()?)?.ceil() as usize,
            "--scenario" => file = Some(value()?),
            "--header" => fields.push_str(&format!("{}\r\n", value()?)),
            url if url.starts_with("http://") => urls.push(word),
            _ => return Err(usage(&format!("{word} is not known"))),
        }
    }
    let scenario = match (file, per_s, seconds) {
        (Some(file), None, None) => {
            let text = std::fs::read_to_string(&file).map_err(|e| usage(&format!("{file}: {e}")))?;
            Scenario::parse(&text).map_err(|e| usage(&format!("{file}: {e}")))?
        }
        (None, Some(per_s), Some(seconds)) => Scenario::constant(per_s, Duration::from_secs_f64(seconds)),
        _ => return Err(usage("it takes --rate with --seconds, or --scenario")),
    };
    let (address, requests) = target(&urls, &fields)?;
    let crowd = Crowd {
        address,
        requests,
        scenario: scenario.faster(faster),
        warm_up: Duration::from_secs_f64(warm_up),
        connections,
    };
    Ok(Order { crowd, json })
}

fn usage(what: &str) -> io::Error {
    let how = "openload (--rate PER_S --seconds S | --scenario FILE [--faster TIMES]) [--warm-up S] [--connections N] \
               [--header 'NAME: VALUE']... [--json] http://HOST:PORT/PATH...";
    io::Error::other(format!("{what}\nusage: {how}"))
}

fn positive(option: &str, value: &str) -> io::Result<f64> {
    let figure = value.parse().ok().filter(|figure| (1e-6..1e9).contains(figure));
    figure.ok_or_else(|| usage(&format!("{option} {value}: it takes a figure above zero")))
}

/// Where all of them go, and the bytes of each request.
fn target(urls: &[String], fields: &str) -> io::Result<(SocketAddr, Vec<Vec<u8>>)> {
    let mut target = None;
    let mut requests = Vec::new();
    for url in urls {
        let rest = url.trim_start_matches("http://");
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if *target.get_or_insert(host) != host {
            return Err(usage(&format!("{url} is on another server than those before")));
        }
        requests.push(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").into_bytes());
    }
    let host = target.ok_or_else(|| usage("no URL"))?;
    let named = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = named
        .to_socket_addrs()
        .map_err(|e| usage(&format!("{host}: {e}")))?
        .next();
    Ok((
        found.ok_or_else(|| usage(&format!("{host} has no address")))?,
        requests,
    ))
}

fn tell(outcome: &Outcome, order: &Order) -> ExitCode {
    let ms = |histogram: &Histogram, share| histogram.percentile(share) as f64 / 1e6;
    let took = |share| ms(&outcome.latencies_ns, share);
    let counted = outcome.latencies_ns.total();
    let errors_percent = outcome.failed as f64 * 100.0 / (counted as f64).max(1.0);
    let per_s = counted as f64
        / (order.crowd.scenario.lasts() - order.crowd.warm_up.min(order.crowd.scenario.lasts()))
            .as_secs_f64();
    let mut broken = order.crowd.scenario.broken(took(0.95), errors_percent);
    if counted == 0 {
        broken.push(
            "no request was counted: the scenario is shorter than the time between two, or than its warm-up"
                .to_owned(),
        );
    }
    let figures = [
        ("p50_ms", took(0.5)),
        ("p90_ms", took(0.9)),
        ("p95_ms", took(0.95)),
        ("p99_ms", took(0.99)),
        ("p99_9_ms", took(0.999)),
        ("max_ms", took(1.0)),
        ("sent_late_p99_ms", ms(&outcome.late_ns, 0.99)),
    ];
    if order.json {
        let figures: String = figures
            .iter()
            .map(|(name, ms)| format!(",\"{name}\":{ms:.4}"))
            .collect();
        println!(
            "{{\"requests\":{counted},\"failed\":{},\"per_s\":{per_s:.1},\"errors_percent\":{errors_percent:.4}{figures},\
             \"holds\":{}}}",
            outcome.failed,
            broken.is_empty()
        );
    } else {
        println!("requests         {counted} ({per_s:.1}/s)");
        println!("failed           {} ({errors_percent:.2} %)", outcome.failed);
        for (name, ms) in figures {
            println!("{name:16} {ms:.3}");
        }
        for (what, count) in &outcome.statuses {
            println!("status {what}       {count}");
        }
    }
    for line in &broken {
        eprintln!("broken: {line}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}
