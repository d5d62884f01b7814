//! `sluice run`: a gateway from its start to its end, and the signals in between.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;

use gateway::config::Document;
use gateway::config::plan::{Plan, SocketSpec};
use gateway::handover::{self, Heritage, Launch};
use gateway::kit::clock::Clock;
use gateway::kit::units::format_duration;
use gateway::observe::diagnostics;
use gateway::reload::environment;
use gateway::server::{Beginning, Gateway};
use log::LevelFilter;
use rustix::process::{self, Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Fault, notify, summary, terminal};

/// The lines of this file count as the gateway's own.
const TARGET: &str = "gateway::cli";

/// How much is told on stderr: by the flag, else by the environment.
pub fn level(flag: Option<String>) -> Result<LevelFilter, Fault> {
    let in_environment = || std::env::var("SLUICE_LOG").ok().filter(|word| !word.is_empty());
    let Some(word) = flag.or_else(in_environment) else {
        return Ok(LevelFilter::Info);
    };
    word.parse().map_err(|_| {
        let help = "it is one of off, error, warn, info, debug, trace";
        Fault::usage(format!("\"{word}\" is not a log level"), help)
    })
}

/// Runs a gateway until somebody wants it to stop and its requests have ended.
pub fn run(document: Document, level: LevelFilter) -> Result<ExitCode, Fault> {
    let no_system = |error: io::Error| Fault::failed(format!("no runtime for signals: {error}"), "");
    diagnostics::init(level).map_err(|error| Fault::failed(error.to_string(), ""))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(no_system)?;
    // Before anything serves: a signal too early must not end the process.
    let mut signals = {
        let _within = runtime.enter();
        Signals::catch(&document).map_err(no_system)?
    };
    let descriptors = raise_descriptor_limit();
    let clock = Clock::system();
    let heritage = Heritage::from_stdin(environment(handover::VARIABLE), clock.clone());
    let heritage = heritage.map_err(|fault| Fault::failed(fault.to_string(), ""))?;
    let is_heir = heritage.is_some();
    let beginning = Beginning {
        launch: Some(Launch::of(std::env::args_os())),
        heritage,
    };
    let gateway = Gateway::start_from(document.clone(), clock, beginning)?;
    announce(&gateway, &document, descriptors);
    if !is_heir {
        notify::tell("READY=1");
    }

    let cause = runtime.block_on(serve(&gateway, &mut signals));
    let patience = format_duration(gateway.snapshot().plan.server.drain_timeout);
    let farewell = match cause {
        Cause::Told(by) => {
            notify::tell("STOPPING=1");
            format!("stopping ({by})")
        }
        Cause::HandedOver(pid) => {
            // The service goes on in that process; nobody but the main one may say so.
            notify::tell(&format!("MAINPID={pid}"));
            format!("handed over to process {pid}")
        }
    };
    terminal::tell(&format!(
        "{farewell}: running requests have {patience} to end; another TERM or INT ends them at once\n"
    ));
    let stopping = runtime.spawn_blocking(move || gateway.stop());
    let end = runtime.block_on(async {
        tokio::select! {
            all_ended = stopping => if all_ended.unwrap_or(false) { End::Whole } else { End::OutOfTime },
            () = signals.impatience() => End::AtOnce,
        }
    });
    // What is still draining is not waited for.
    runtime.shutdown_background();
    Ok(end.tell(&patience))
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Every request had ended by itself.
    Whole,
    /// Some were cut off when the time was over.
    OutOfTime,
    /// Somebody would not wait.
    AtOnce,
}

impl End {
    fn tell(self, patience: &str) -> ExitCode {
        match self {
            Self::Whole => {
                terminal::tell("stopped\n");
                ExitCode::SUCCESS
            }
            // It did what it was told, so a service manager need not call it a failure.
            Self::OutOfTime => {
                terminal::tell(&format!(
                    "stopped: requests that took longer than {patience} were cut off\n"
                ));
                ExitCode::SUCCESS
            }
            Self::AtOnce => {
                terminal::tell("stopped at once: running requests were cut off\n");
                ExitCode::FAILURE
            }
        }
    }
}

/// Why a gateway serves no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// By whom.
    Told(&'static str),
    /// To which process.
    HandedOver(u32),
}

/// Until somebody wants it to stop, or another process serves instead.
async fn serve(gateway: &Gateway, signals: &mut Signals) -> Cause {
    let mut asked = pin!(gateway.stop_requested());
    let mut handed_over = pin!(gateway.handed_over());
    loop {
        let wish = tokio::select! {
            () = &mut asked => return Cause::Told("asked to at the admin address"),
            pid = &mut handed_over => return Cause::HandedOver(pid),
            wish = signals.next() => wish,
        };
        match wish {
            Wish::Stop(name) => return Cause::Told(name),
            Wish::Reload => {
                notify::tell("RELOADING=1");
                // Whichever way it goes is logged, and the gateway serves on.
                let _ = gateway.reload();
                notify::tell("READY=1");
            }
            // Likewise.
            Wish::Reopen => _ = gateway.reopen_logs(),
            Wish::Nothing => {}
            Wish::Upgrade => gateway.begin_upgrade(),
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// With the signal's name.
    Stop(&'static str),
    Reload,
    Reopen,
    Upgrade,
    /// Whoever wrote the file is told by its error.
    Nothing,
}

/// The signals a gateway obeys.
struct Signals(Vec<(Signal, Wish)>);

impl Signals {
    /// From here on they do not end the process. Within a runtime.
    fn catch(document: &Document) -> io::Result<Self> {
        let kinds = [
            (SignalKind::terminate(), Wish::Stop("SIGTERM")),
            (SignalKind::interrupt(), Wish::Stop("SIGINT")),
            // What nginx calls a graceful stop.
            (SignalKind::quit(), Wish::Stop("SIGQUIT")),
            (SignalKind::user_defined1(), Wish::Reopen),
            // Uncaught it would end the process.
            (SignalKind::user_defined2(), Wish::Upgrade),
            // So would this one, which a file beyond the process's limit brings: a cache that cannot grow is no reason.
            (
                SignalKind::from_raw(process::Signal::XFSZ.as_raw()),
                Wish::Nothing,
            ),
        ];
        // Without a file there is nothing to reload, and a terminal that is closed ends what was started in it.
        let reload = document.path().map(|_| (SignalKind::hangup(), Wish::Reload));
        let caught = kinds
            .into_iter()
            .chain(reload)
            .map(|(kind, wish)| Ok((signal(kind)?, wish)));
        caught.collect::<io::Result<_>>().map(Self)
    }

    async fn next(&mut self) -> Wish {
        poll_fn(|cx| {
            let came = |(signal, wish): &mut (Signal, Wish)| signal.poll_recv(cx).is_ready().then_some(*wish);
            self.0
                .iter_mut()
                .find_map(came)
                .map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Until somebody wants a stop who wanted one before. Other wishes come too late.
    async fn impatience(&mut self) {
        loop {
            match self.next().await {
                Wish::Stop(_) => return,
                Wish::Upgrade => {
                    log::warn!(target: TARGET, "SIGUSR2: not upgraded: this process is stopping")
                }
                Wish::Reload => log::warn!(target: TARGET, "SIGHUP: not reloaded: this process is stopping"),
                Wish::Reopen | Wish::Nothing => {}
            }
        }
    }
}

/// Every connection needs a descriptor, a proxied one two, and the usual soft limit is 1024. The soft limit is there
/// for programs that use select(2), and this one does not. The limit in force; None without any.
fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

fn announce(gateway: &Gateway, document: &Document, descriptors: Option<u64>) {
    let plan = &gateway.snapshot().plan;
    let mut text = gateway.report().problems.render(terminal::stderr_has_colour());
    // Whoever has written no configuration has asked for no number of connections.
    if document.path().is_some() {
        text.extend(too_few(descriptors, plan));
    }
    for (address, scheme) in gateway.listeners() {
        text.push_str(&format!("listening on {}\n", url(&address, scheme)));
    }
    if let Some(address) = gateway.admin_address() {
        text.push_str(&format!("admin on {}\n", url(address, "http")));
    }
    let summary = summary(plan);
    text.push_str(&format!(
        "ready: sluice {} serves {document} ({summary})\n",
        gateway::VERSION
    ));
    terminal::tell(&text);
}

fn too_few(descriptors: Option<u64>, plan: &Plan) -> Option<String> {
    let wanted = plan.server.limits.max_connections as u64;
    let allowed = descriptors.filter(|allowed| *allowed < wanted)?;
    Some(format!(
        "warning: this process may open {allowed} files, but server.limits.max_connections is {wanted}: \
         raise the hard limit (ulimit -Hn, LimitNOFILE) or lower max_connections\n"
    ))
}

fn url(address: &SocketSpec, scheme: &str) -> String {
    match address {
        SocketSpec::Tcp(address) => format!("{scheme}://{address}"),
        SocketSpec::Unix(_) => address.to_string(),
    }
}
