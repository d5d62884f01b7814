//! The words of the command line.

mod looking;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::cli::Fault;
pub use looking::{Diff, Explain, HashPassword, Import, Log, Simulate, SimulateCache, Top};

/// An edge gateway: balances, caches, limits, checks health, retries, serves files, and reloads without dropping a request.
#[derive(Debug, Parser)]
#[command(name = "sluice", disable_version_flag = true, max_term_width = 110)]
#[command(
    after_help = "Without a command it runs. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n\n  \
    sluice reverse-proxy --from :8080 --to :9000\n  \
    sluice check -c sluice.toml && sluice run -c sluice.toml\n  \
    sluice -t && sluice -s reload"
)]
pub struct Cli {
    /// The configuration [default: /etc/sluice/sluice.toml, else conf/sluice.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What is told on stderr: off, error, warn, info, debug, trace [default: $SLUICE_LOG, else info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// What nginx spells without a command.
    #[command(flatten)]
    pub habits: Habits,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What nginx's users type.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Habits {
    /// As nginx: the same as `check`
    #[arg(short = 't')]
    test: bool,
    /// As nginx: the same as `check -T`
    #[arg(short = 'T')]
    dump: bool,
    /// As nginx: the same as the command of that name
    #[arg(short = 's', value_name = "ORDER")]
    order: Option<Habit>,
    /// The same as `version`
    #[arg(short = 'v', long = "version")]
    version: bool,
    /// The same as `version --build`
    #[arg(short = 'V')]
    build: bool,
}

/// What `-s` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Habit {
    /// Let running requests end, then stop; nginx would cut them off
    Stop,
    /// Let running requests end, then stop
    Quit,
    /// Put the configuration in use as it now is
    Reload,
    /// Open the access log again
    Reopen,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until told to stop: HUP reloads, USR1 reopens the access log, USR2 upgrades, TERM and INT drain and stop
    #[command(after_help = "  \
        sluice run -c /etc/sluice/sluice.toml")]
    Run,
    /// Tell everything that is wrong with a configuration
    Check(Check),
    /// Put the configuration in use as it now is, without dropping a request
    #[command(after_help = "  \
        sluice check && sluice reload\n  \
        sluice reload --admin unix:/run/sluice/admin.sock")]
    Reload(Desk),
    /// Put the configuration of a file in use, watch it, and go back by itself
    Apply(Apply),
    /// Throw answers out of the caches, by what they are for or by tag
    Purge(Purge),
    /// Tell what a reload would change, and which logged requests would be served differently
    Diff(Diff),
    /// Tell what the running gateway would do with a request right now, step by step, and why; nothing is sent or counted
    Explain(Explain),
    /// Show the lines of the access log that match a query, those to come too
    Log(Log),
    /// Open the access log again, after it was renamed
    #[command(after_help = "  \
        mv access.log access.log.1 && sluice reopen")]
    Reopen(Desk),
    /// Tell a server of an upstream to drain, go down or come up, or give it another weight, until the next start
    Server(Server),
    /// Show listeners, certificates, upstream servers, caches, the last reload and the last apply
    #[command(after_help = "  \
        sluice status\n  \
        sluice status --json | jq '.upstreams.app.servers[] | select(.state != \"up\")'")]
    Status(Desk),
    /// Show requests, latencies, servers, caches and limits as they are right now
    Top(Top),
    /// Hand the sockets to the binary as it now is, without dropping a request, and let this one's requests end
    Upgrade(Upgrade),
    /// Take no more connections, let running requests end, and stop
    #[command(after_help = "  \
        sluice stop\n  \
        sluice stop --admin 127.0.0.1:9900 --token-file /etc/sluice/admin.token")]
    Stop(Desk),
    /// Translate a configuration of nginx, and tell of each directive what became of it
    Import(Import),
    /// Tell from an access log how something else would have done
    #[command(subcommand)]
    Simulate(Simulate),
    /// Print the line of a user for the users_file of basic authentication
    HashPassword(HashPassword),
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = "  \
        sluice schema > sluice.schema.json")]
    Schema,
    /// Print what makes a shell complete these words
    #[command(after_help = "  \
        sluice completions bash > /usr/share/bash-completion/completions/sluice\n  \
        sluice completions zsh > /usr/local/share/zsh/site-functions/_sluice\n  \
        sluice completions fish > ~/.config/fish/completions/sluice.fish")]
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Print the manual's first page, or write all pages to a folder
    #[command(hide = true)]
    Man {
        /// Where
        dir: Option<PathBuf>,
    },
    /// Print the version
    #[command(after_help = "  \
        sluice version --build\n  \
        sluice version --json | jq -r .version")]
    Version {
        /// And how it was built
        #[arg(long)]
        build: bool,
        /// Print the same as JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve a folder; needs no configuration
    FileServer(FileServer),
    /// Pass everything on to one or more servers; needs no configuration
    ReverseProxy(ReverseProxy),
}

/// `sluice check`
#[derive(Debug, Args)]
#[command(after_help = "  \
    sluice check -c sluice.toml\n  \
    sluice check -T > effective.toml\n  \
    sluice check --json | jq -r '.problems[].message'")]
pub struct Check {
    /// Print the configuration as it was understood, with every default
    #[arg(short = 'T', conflicts_with = "json")]
    pub effective: bool,
    /// Print {"ok": …, "problems": […]} instead
    #[arg(long)]
    pub json: bool,
}

/// Where the running gateway is asked, and by whom.
#[derive(Debug, Default, Args)]
pub struct Desk {
    /// The admin address: HOST:PORT, http://HOST:PORT or unix:/PATH [default: as in the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// Holds the admin token [default: $SLUICE_ADMIN_TOKEN, else the configuration's token_file]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the gateway's JSON instead
    #[arg(long)]
    pub json: bool,
}

/// `sluice apply`
#[derive(Debug, Args)]
#[command(
    after_help = "The file's text takes the place of the running gateway's configuration, so what it names is looked for beside that\n\
    one; the text from before is kept as .before-apply. With --guard it does so at the end of that time only. Until then the\n\
    gateway compares each route, and all of them together, with the minutes before, and goes back as soon as a condition\n\
    holds, whether or not this command still runs; the text is kept as .rejected. Conditions: 4xx or 5xx, the share of such\n\
    answers, or p50, p95 or p99, a latency; then > and a multiple of before (2x), a share (5%) or a time (500ms).\n\
    Exit codes: 0 in use, 1 rolled back, 2 refused.\n\n  \
    sluice apply new.toml --guard 60s\n  \
    sluice apply new.toml --guard 5m --rollback-if '5xx>2x,5xx>5%,p99>500ms' -c /etc/sluice/sluice.toml"
)]
pub struct Apply {
    /// The configuration
    pub file: PathBuf,
    /// Watch it for so long, and go back if a condition holds
    #[arg(long, value_name = "TIME")]
    pub guard: Option<String>,
    /// What makes it go back, separated by commas [default: 5xx>2x,p95>3x]
    #[arg(long, value_name = "CONDITIONS", requires = "guard")]
    pub rollback_if: Option<String>,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// `sluice upgrade`
#[derive(Debug, Args)]
#[command(after_help = "  \
    install -m 755 sluice /usr/local/bin/sluice && sluice upgrade\n  \
    sluice upgrade --if-changed --admin unix:/run/sluice/admin.sock")]
pub struct Upgrade {
    /// Reload instead if the binary is the one that runs
    #[arg(long)]
    pub if_changed: bool,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// `sluice purge`
#[derive(Debug, Args)]
#[group(id = "targets", required = true, multiple = true, args = ["urls", "tags", "prefixes", "hosts", "all"])]
#[command(
    after_help = "Each may be given several times, and all of them together.\n\n  \
    sluice purge --url 'https://example.com/news?page=2' --tag front-page\n  \
    sluice purge --prefix https://example.com/news/ --soft"
)]
pub struct Purge {
    /// All answers kept for this URL, whatever else they were chosen by
    #[arg(long = "url", value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub urls: Vec<String>,
    /// All answers an origin has given this tag, in Cache-Tag, Surrogate-Key or Cache-Groups
    #[arg(long = "tag", value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    pub tags: Vec<String>,
    /// All answers kept for this URL and those below it
    #[arg(long = "prefix", value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub prefixes: Vec<String>,
    /// All answers kept for this host
    #[arg(long = "host", value_name = "HOST", value_parser = NonEmptyStringValueParser::new())]
    pub hosts: Vec<String>,
    /// All answers of all caches
    #[arg(long)]
    pub all: bool,
    /// Mark them stale instead: still of use while a newer one is fetched, or when the origin fails
    #[arg(long)]
    pub soft: bool,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// `sluice server`
#[derive(Debug, Args)]
#[command(after_help = "  \
    sluice server app 10.0.0.1:8000 --state drain\n  \
    sluice server app 10.0.0.1:8000 --state up --weight 2")]
#[group(id = "order", required = true, multiple = true, args = ["state", "weight"])]
pub struct Server {
    /// The upstream's name
    pub upstream: String,
    /// The server's address, as in the configuration
    pub address: String,
    /// What is wanted of it
    #[arg(long)]
    pub state: Option<State>,
    /// What replaces the configured weight
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub weight: Option<u32>,
    /// Where to ask.
    #[command(flatten)]
    pub desk: Desk,
}

/// What an operator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Serve, if its health allows
    Up,
    /// No new clients; those bound to it by a cookie stay
    Drain,
    /// No requests; running ones end by themselves
    Down,
}

/// `sluice file-server`
#[derive(Debug, Args)]
#[command(after_help = "  \
    sluice file-server ./public\n  \
    sluice file-server . --listen 127.0.0.1:9000 --browse")]
pub struct FileServer {
    /// The folder
    pub dir: PathBuf,
    /// Where to listen
    #[arg(long, default_value = ":8080", value_name = "ADDRESS")]
    pub listen: String,
    /// List folders that have no index.html
    #[arg(long)]
    pub browse: bool,
}

/// `sluice reverse-proxy`
#[derive(Debug, Args)]
#[command(after_help = "  \
    sluice reverse-proxy --from :8080 --to :9000\n  \
    sluice reverse-proxy --to 10.0.0.1:8000 --to 10.0.0.2:8000")]
pub struct ReverseProxy {
    /// Where to listen
    #[arg(long, default_value = ":8080", value_name = "ADDRESS")]
    pub from: String,
    /// Where requests go; more than one share them by least connections
    #[arg(long, required = true, value_name = "ADDRESS")]
    pub to: Vec<String>,
}

/// Reads the words.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Fault> {
    let cli = Cli::try_parse_from(words).map_err(|error| Fault::Words(Box::new(error)))?;
    if cli.command.is_some() && cli.habits.any() {
        let message = "-t, -T, -s, -v and -V stand for a command, and there is one already";
        let error = Cli::command().error(ErrorKind::ArgumentConflict, message);
        return Err(Fault::Words(Box::new(error)));
    }
    Ok(cli)
}

impl Habits {
    fn any(&self) -> bool {
        self.test || self.dump || self.order.is_some() || self.version || self.build
    }

    /// The command that is meant; without any habit it is to run.
    pub fn into_command(self) -> Command {
        let check = |effective| {
            Command::Check(Check {
                effective,
                json: false,
            })
        };
        match self {
            Self { test: true, .. } => check(false),
            Self { dump: true, .. } => check(true),
            Self { version: true, .. } => Command::Version {
                build: false,
                json: false,
            },
            Self { build: true, .. } => Command::Version {
                build: true,
                json: false,
            },
            Self {
                order: Some(order), ..
            } => match order {
                Habit::Stop | Habit::Quit => Command::Stop(Desk::default()),
                Habit::Reload => Command::Reload(Desk::default()),
                Habit::Reopen => Command::Reopen(Desk::default()),
            },
            Self { order: None, .. } => Command::Run,
        }
    }
}

impl State {
    /// The admin API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests;
