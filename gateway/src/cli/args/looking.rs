//! Words of the commands that look at logs and figures and change nothing.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};

use super::Desk;

/// `sluice log`
#[derive(Debug, Args)]
#[command(
    after_help = "A query compares fields of a line: = != < <= > >= with a number or a quoted text, ~ and !~ with a regular\n\
    expression; `and`, `or`, `not` and parentheses join. A field alone asks whether the line has it. Fields: time,\n\
    request_id, client_ip, user, method, scheme, host, path, query, protocol, status, bytes_sent, bytes_received,\n\
    duration_ms, route, upstream, server, tries, upstream_ms, cache, refusal, user_agent, referer, slow, head_ms,\n\
    guard_ms, cache_ms, queue_ms, connect_ms, first_byte_ms, body_ms.\n\n  \
    sluice log -q 'status>=500 and route=\"api\" and duration_ms>100' --follow\n  \
    sluice log -f access.log.1.gz -q 'path~\"^/api/\" and not cache=\"hit\"' --json | jq .client_ip\n  \
    sluice log -q 'slow and time>=\"2026-11-20T10\"' --last 20"
)]
pub struct Log {
    /// Which lines; all without one
    #[arg(short, long)]
    pub query: Option<String>,
    /// The log, plain or gzip; - is stdin [default: stdin if something is piped in, else the configuration's]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Wait for lines to come, also when the file is rotated; those that are there are passed over, but for --last
    #[arg(long)]
    pub follow: bool,
    /// Only the last lines that match
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=100_000).map(|n| n as usize))]
    pub last: Option<usize>,
    /// Print the lines as they are
    #[arg(long)]
    pub json: bool,
}

/// `sluice diff`
#[derive(Debug, Args)]
#[command(
    after_help = "Who may come in is told first, then what is served no more, kept differently, or limited differently.\n\
    Exit codes: 0 no difference, 1 differences, 2 it could not be found out.\n\n  \
    sluice diff /etc/sluice/sluice.toml new.toml\n  \
    sluice diff /etc/sluice/sluice.toml new.toml --replay /var/log/sluice/access.log"
)]
pub struct Diff {
    /// The configuration in use
    pub old: PathBuf,
    /// The one that is to come
    pub new: PathBuf,
    /// An access log in JSON, plain or gzip: each of its requests is routed by both; it has no headers
    #[arg(long, value_name = "ACCESS_LOG")]
    pub replay: Option<PathBuf>,
    /// Print {"different": …, "changes": {…}, "replay": {…}} instead
    #[arg(long)]
    pub json: bool,
}

/// `sluice import`
#[derive(Debug, Args)]
#[command(
    after_help = "What is included is read too: relative names, as in nginx, are those of files beside the one that is named. The\n\
    translation goes to stdout, or to the file of -o; what became of each directive goes to stderr. What kept clients\n\
    out and could not be translated leaves its route closed, what else could not be answers 501.\n\
    Exit codes: 0 all of it was translated, 1 there are remarks to read, 2 it cannot be read.\n\n  \
    sluice import /etc/nginx/nginx.conf -o sluice.toml && sluice check -c sluice.toml\n  \
    sluice import nginx.conf --json | jq -r '.directives[] | select(.outcome != \"translated\") | .remarks[]'"
)]
pub struct Import {
    /// The main file: nginx.conf
    #[arg(value_name = "NGINX_CONF")]
    pub file: PathBuf,
    /// Write the translation there; a file that is there already is left alone
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Tell also what was translated without more to say
    #[arg(long)]
    pub all: bool,
    /// Print {"toml": …, "counts": {…}, "directives": […], "problems": […]} instead
    #[arg(long)]
    pub json: bool,
}

/// `sluice top`
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: q quits, space lets the figures stand still, s orders the routes, ? explains. Where stdout is no terminal\n\
    a plain report is printed after each interval.\n\n  \
    sluice top\n  \
    sluice top --admin unix:/run/sluice/admin.sock --interval 5s\n  \
    sluice top --once --json | jq .total.per_s"
)]
pub struct Top {
    /// Between two looks at the gateway
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub interval: String,
    /// Print one report, of the first interval
    #[arg(long)]
    pub once: bool,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// `sluice explain`
#[derive(Debug, Args)]
#[command(
    after_help = "The gateway reads the request by the rules of one that comes over a wire, and looks at everything as it is at this \
    moment: servers, limits, what is stored. The last line is the verdict: proxy, hit, stale, static, respond, redirect or \
    refuse.\n\n  \
    sluice explain GET https://example.com/api/orders -H 'Authorization: Bearer …' --from 203.0.113.7\n  \
    sluice explain GET http://example.com/ --json | jq -r .verdict"
)]
pub struct Explain {
    /// The method, in capitals
    pub method: String,
    /// Where: http://HOST/PATH; or /PATH, with the host in a header
    pub url: String,
    /// A header that goes with it; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address it comes from [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub from: Option<std::net::IpAddr>,
    /// The listener it comes in by, by name [default: the one that scheme and port lead to]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// `sluice simulate`
#[derive(Debug, Subcommand)]
#[command(after_help = "  sluice simulate cache access.log --memory 256MiB,1GiB")]
pub enum Simulate {
    /// Replay the requests of an access log through caches of several sizes, and print their hit ratios
    Cache(SimulateCache),
}

/// `sluice simulate cache`
#[derive(Debug, Args)]
#[command(
    after_help = "It is the cache's own memory tier that decides what stays. With -c FILE the key rules of its routes are used,\n\
    without one the whole URL is the key.\n\n  \
    sluice simulate cache access.log --memory 256MiB,1GiB,4GiB\n  \
    sluice simulate cache access.log.1.gz --memory 1GiB -q 'route=\"assets\"' -c /etc/sluice/sluice.toml"
)]
pub struct SimulateCache {
    /// An access log in JSON, plain or gzip
    #[arg(value_name = "ACCESS_LOG")]
    pub log: PathBuf,
    /// The sizes to try
    #[arg(long, required = true, value_delimiter = ',', value_name = "SIZE,…")]
    pub memory: Vec<String>,
    /// Larger answers are not kept [default: none are too large but for the cache itself]
    #[arg(long, value_name = "SIZE")]
    pub max_object: Option<String>,
    /// Only the lines that match, as in `sluice log`
    #[arg(short, long)]
    pub query: Option<String>,
    /// Print {"log": {…}, "sizes": […]} instead
    #[arg(long)]
    pub json: bool,
}

/// `sluice hash-password`
#[derive(Debug, Args)]
#[command(
    after_help = "The password is asked for twice, or taken from a line that is piped in; bcrypt hashes it.\n\n  \
    sluice hash-password --user ann >> /etc/sluice/users\n  \
    printf %s \"$PASSWORD\" | sluice hash-password --user ann"
)]
pub struct HashPassword {
    /// Whose it is [default: the hash is printed alone]
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
}
