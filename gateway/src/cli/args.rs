//! The words of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::cli::Fault;

/// An edge gateway: balances, caches, limits, checks health, retries, serves files, and reloads without dropping a request.
#[derive(Debug, Parser)]
#[command(name = "sluice", disable_version_flag = true, max_term_width = 110)]
#[command(
    after_help = "Without a command it runs. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
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
    /// Serve until told to stop: HUP reloads, USR1 reopens the access log, TERM and INT drain and stop
    Run,
    /// Tell everything that is wrong with a configuration
    Check(Check),
    /// Put the configuration in use as it now is, without dropping a request
    Reload(Desk),
    /// Throw answers out of the caches, by what they are for or by tag
    Purge(Purge),
    /// Tell what a reload would change, and which logged requests would be served differently
    Diff(Diff),
    /// Show the lines of the access log that match a query, those to come too
    Log(Log),
    /// Open the access log again, after it was renamed
    Reopen(Desk),
    /// Tell a server of an upstream to drain, go down or come up, or give it another weight, until the next start
    Server(Server),
    /// Show listeners, upstream servers, caches and the last reload
    Status(Desk),
    /// Show requests, latencies, servers, caches and limits as they are right now
    Top(Top),
    /// Take no more connections, let running requests end, and stop
    Stop(Desk),
    /// Tell from an access log how something else would have done
    #[command(subcommand)]
    Simulate(Simulate),
    /// Print the line of a user for the users_file of basic authentication
    HashPassword(HashPassword),
    /// Print the JSON Schema of the configuration, for editors
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
    Version {
        /// And how it was built
        #[arg(long)]
        build: bool,
    },
    /// Serve a folder; needs no configuration
    FileServer(FileServer),
    /// Pass everything on to one or more servers; needs no configuration
    ReverseProxy(ReverseProxy),
}

/// `sluice check`
#[derive(Debug, Args)]
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

/// `sluice log`
#[derive(Debug, Args)]
#[command(
    after_help = "A query compares fields of a line: = != < <= > >= with a number or a quoted text, ~ and !~ with a regular\n\
    expression; `and`, `or`, `not` and parentheses join. A field alone asks whether the line has it. Fields: time,\n\
    request_id, client_ip, user, method, scheme, host, path, query, protocol, status, bytes_sent, bytes_received,\n\
    duration_ms, route, upstream, server, tries, upstream_ms, cache, refusal, user_agent, referer, slow, head_ms,\n\
    connect_ms, first_byte_ms.\n\n  \
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

/// `sluice simulate`
#[derive(Debug, Subcommand)]
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

/// `sluice file-server`
#[derive(Debug, Args)]
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
pub struct ReverseProxy {
    /// Where to listen
    #[arg(long, default_value = ":8080", value_name = "ADDRESS")]
    pub from: String,
    /// Where requests go; more than one share them by least connections
    #[arg(long, required = true, value_name = "ADDRESS")]
    pub to: Vec<String>,
}

/// Commands that are promised and not built: whoever tries one is not told that it does not exist.
const NOT_YET: [&str; 3] = ["apply", "explain", "import"];

/// Reads the words.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Fault> {
    let cli = Cli::try_parse_from(words).map_err(not_yet)?;
    if cli.command.is_some() && cli.habits.any() {
        let message = "-t, -T, -s, -v and -V stand for a command, and there is one already";
        let error = Cli::command().error(ErrorKind::ArgumentConflict, message);
        return Err(Fault::Words(Box::new(error)));
    }
    Ok(cli)
}

fn not_yet(error: clap::Error) -> Fault {
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if NOT_YET.contains(&word.as_str()) => {
            Fault::usage(format!("`sluice {word}` is not in this build yet"), "")
        }
        _ => Fault::Words(Box::new(error)),
    }
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
            Self { version: true, .. } => Command::Version { build: false },
            Self { build: true, .. } => Command::Version { build: true },
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
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, Fault> {
        read(
            std::iter::once("sluice")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    fn command(line: &str) -> Command {
        let cli = parsed(line).unwrap();
        cli.command.unwrap_or_else(|| cli.habits.into_command())
    }

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn habits_of_nginx_stand_for_commands() {
        assert!(matches!(command("-c a.toml"), Command::Run));
        assert!(matches!(command(""), Command::Run));
        assert!(matches!(
            command("-t -c a.toml"),
            Command::Check(Check { effective: false, .. })
        ));
        assert!(matches!(
            command("-T"),
            Command::Check(Check { effective: true, .. })
        ));
        assert!(matches!(command("-s reload"), Command::Reload(_)));
        assert!(matches!(command("-s quit"), Command::Stop(_)));
        assert!(matches!(command("-s stop"), Command::Stop(_)));
        assert!(matches!(command("-s reopen"), Command::Reopen(_)));
        assert!(matches!(command("-v"), Command::Version { build: false }));
        assert!(matches!(command("-V"), Command::Version { build: true }));
    }

    #[test]
    fn a_habit_and_a_command_are_one_too_many() {
        for line in ["-t reload", "-s stop -t", "check -t", "-v run"] {
            assert_eq!(parsed(line).unwrap_err().code(), 2, "{line}");
        }
    }

    #[test]
    fn the_configuration_may_stand_before_and_behind_the_command() {
        for line in ["-c a.toml check", "check -c a.toml", "--config=a.toml check"] {
            assert_eq!(
                parsed(line).unwrap().config.unwrap(),
                PathBuf::from("a.toml"),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_promised_is_told_apart_from_what_is_unknown() {
        for word in NOT_YET {
            let fault = parsed(&format!("{word} --flag x")).unwrap_err();
            assert!(matches!(fault, Fault::Usage(_)), "{word}");
        }
        assert!(matches!(parsed("chek").unwrap_err(), Fault::Words(_)));
    }

    #[test]
    fn a_purge_says_of_what_as_often_as_it_likes() {
        for line in [
            "purge",
            "purge --soft",
            "purge --url=",
            "purge --tag",
            "purge all",
        ] {
            assert_eq!(parsed(line).unwrap_err().code(), 2, "{line}");
        }
        let Command::Purge(purge) = command("purge --url a --tag b --url c --prefix d --host e --soft")
        else {
            panic!("a purge")
        };
        assert_eq!(
            (purge.urls, purge.tags),
            (vec!["a".into(), "c".into()], vec!["b".into()])
        );
        assert_eq!(
            (purge.prefixes, purge.hosts),
            (vec!["d".into()], vec!["e".into()])
        );
        assert!(purge.soft && !purge.all);
        assert!(matches!(
            command("purge --all --host x --json"),
            Command::Purge(_)
        ));
    }

    #[test]
    fn an_order_to_a_server_says_what_it_wants() {
        assert_eq!(parsed("server app 10.0.0.1:80").unwrap_err().code(), 2);
        assert_eq!(parsed("server app 10.0.0.1:80 --weight 0").unwrap_err().code(), 2);
        assert!(parsed("server app 10.0.0.1:80 --weight 2 --state drain").is_ok());
    }
}
