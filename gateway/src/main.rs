//! The binary `sluice`: flags → work → exit code.
//!
//! 0 done, 1 failed, 2 wrong usage or configuration.

use std::process::ExitCode;

mod cli;

use cli::Fault;
use cli::args::{Cli, Command, Simulate};
use gateway::config::{Document, schema};
use tikv_jemallocator::Jemalloc;

/// The C library's allocator keeps what threads give back scattered over its arenas: under mixed traffic four times as much
/// memory as is in use, and growing. How this one is set is in .cargo/config.toml.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match cli::args::read(std::env::args_os()).and_then(obey) {
        Ok(code) => code,
        Err(fault) => {
            fault.tell();
            ExitCode::from(fault.code())
        }
    }
}

fn obey(cli: Cli) -> Result<ExitCode, Fault> {
    let config = cli.config;
    let level = cli::run::level(cli.log_level)?;
    match cli.command.unwrap_or_else(|| cli.habits.into_command()) {
        Command::Run => cli::run::run(Document::File(cli::configuration(config)?), level),
        Command::Check(what) => cli::check::check(&cli::configuration(config)?, &what),
        Command::Reload(desk) => cli::orders::reload(config, &desk),
        Command::Apply(what) => cli::apply::apply(config, &what),
        Command::Purge(what) => cli::purge::purge(config, &what),
        Command::Diff(what) => cli::diff::diff(&what),
        Command::Explain(what) => cli::explain::explain(config, &what),
        Command::Import(what) => cli::import::import(&what),
        Command::Log(what) => cli::log::log(config, &what),
        Command::Reopen(desk) => cli::orders::reopen(config, &desk),
        Command::Server(order) => cli::orders::server(config, &order),
        Command::Status(desk) => cli::orders::status(config, &desk),
        Command::Top(what) => cli::top::top(config, &what),
        Command::Upgrade(what) => cli::orders::upgrade(config, &what),
        Command::Stop(desk) => cli::orders::stop(config, &desk),
        Command::Simulate(Simulate::Cache(what)) => cli::simulate::cache(config, &what),
        Command::HashPassword(what) => cli::password::hash_password(&what),
        Command::Completions { shell } => cli::words::completions(shell),
        Command::Man { dir } => cli::words::man(dir.as_deref()),
        Command::Schema => cli::terminal::say(&format!("{}\n", schema())),
        Command::Version { build, json } => cli::terminal::say(&cli::version(build, json)),
        Command::FileServer(files) => cli::run::run(cli::oneliner::file_server(&files)?, level),
        Command::ReverseProxy(proxy) => cli::run::run(cli::oneliner::reverse_proxy(&proxy)?, level),
    }
}
