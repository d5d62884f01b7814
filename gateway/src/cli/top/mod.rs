//! `sluice top`: what a gateway does right now.
//!
//! Three threads bring what happens: one asks the gateway, one reads keys, one hears signals. The main thread alone draws.

mod figures;
mod page;
mod screen;
mod tty;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use gateway::kit::clock::Clock;
use gateway::kit::units::{format_duration, parse_duration};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::desk::Desk;
use crate::cli::{Fault, args, terminal};
use figures::{Figures, Reading, between};
use screen::{Order, View, report, screen};
use tty::Tty;

/// Shorter would show noise, and ask a gateway more than it is worth.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// Longer is no view of right now.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// What Ctrl-C sends where the terminal does not take it for a signal.
const INTERRUPT: u8 = 0x03;

/// Shows the figures until told to stop; once, if that was asked for.
pub fn top(config: Option<PathBuf>, words: &args::Top) -> Result<ExitCode, Fault> {
    let interval = interval(&words.interval)?;
    let desk = Desk::find(config, &words.desk)?;
    let clock = Clock::system();
    // Who cannot be asked is told now, as every command does it.
    let first = read(&desk, &clock)?;
    let is_screen = !words.once && !words.desk.json && terminal::is_full_screen();
    if !is_screen {
        return print(&desk, &clock, first, interval, words);
    }
    let (tell, events) = channel();
    let (_pace, paces) = channel::<()>();
    let asker = tell.clone();
    thread::spawn(move || {
        let _end = Farewell(asker.clone());
        while paces.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let answer = read(&desk, &clock).map_err(|fault| fault.to_string());
            if asker.send(Event::Answer(Box::new(answer))).is_err() {
                return;
            }
        }
    });
    let keys = tell.clone();
    thread::spawn(move || read_keys(&keys));
    let (ready, is_ready) = channel();
    thread::spawn(move || hear(&tell, &ready));
    // A signal before that would end the process and leave the terminal as ours.
    let _ = is_ready.recv();
    let failed = |error| Fault::failed(format!("the terminal cannot be used: {error}"), "");
    let tty = Tty::begin().map_err(failed)?;
    let ended = draw(&tty, &events, first);
    drop(tty);
    ended.map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn interval(text: &str) -> Result<Duration, Fault> {
    let help = "write \"1s\", \"500ms\" or \"1m\"";
    let interval = parse_duration(text)
        .map_err(|_| Fault::usage(format!("--interval {text} is no time with a unit"), help))?;
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        let [min, max] = [INTERVAL_MIN, INTERVAL_MAX].map(format_duration);
        let message = format!("--interval {text} is not between {min} and {max}");
        return Err(Fault::usage(message, help));
    }
    Ok(interval)
}

fn read(desk: &Desk, clock: &Clock) -> Result<Reading, Fault> {
    let [metrics, status] = ["/metrics", "/status"].map(|path| {
        let answer = desk.ask("GET", path, "")?;
        match answer.status {
            200 => Ok(answer),
            _ => Err(desk.unexpected(&answer)),
        }
    });
    let (metrics, status) = (metrics?, status?);
    let at = Duration::from_nanos(clock.mono().0);
    Reading::of(&metrics.body, &status.body, at).ok_or_else(|| desk.unexpected(&status))
}

/// A report after each interval, for whoever is no terminal.
fn print(
    desk: &Desk,
    clock: &Clock,
    mut before: Reading,
    interval: Duration,
    words: &args::Top,
) -> Result<ExitCode, Fault> {
    let (_pace, paces) = channel::<()>();
    let mut gap = "";
    loop {
        let _ = paces.recv_timeout(interval);
        let now = read(desk, clock)?;
        let figures = between(&before, &now);
        before = now;
        let text = match words.desk.json {
            true => {
                let text = serde_json::to_string(&figures).expect("figures and names are plain JSON");
                format!("{text}\n")
            }
            false => format!("{gap}{}", report(&figures)),
        };
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) if words.once => return Ok(ExitCode::SUCCESS),
            Ok(()) => gap = "\n",
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            Err(error) => {
                let message = format!("the report cannot be written: {error}");
                return Err(Fault::failed(message, "make room where stdout goes"));
            }
        }
    }
}

/// What happens.
enum Event {
    /// The gateway has answered, or has not.
    Answer(Box<Result<Reading, String>>),
    /// A key.
    Key(u8),
    /// The terminal has another size.
    Resized,
    /// It is over.
    End,
}

/// Says that it is over when a thread ends, however it ends.
struct Farewell(Sender<Event>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody to be told is what it would bring about.
        let _ = self.0.send(Event::End);
    }
}

fn read_keys(tell: &Sender<Event>) {
    let _end = Farewell(tell.clone());
    let mut key = [0];
    while let Ok(1) = io::stdin().lock().read(&mut key) {
        if tell.send(Event::Key(key[0])).is_err() {
            return;
        }
    }
}

fn hear(tell: &Sender<Event>, ready: &Sender<()>) {
    let _end = Farewell(tell.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return };
    // Without its signals there is no view that could be ended well.
    let _ = runtime.block_on(async {
        let [mut hangup, mut interrupt, mut quit, mut end, mut resized] = [
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::window_change())?,
        ];
        // Who waits for it is there until it comes.
        let _ = ready.send(());
        loop {
            tokio::select! {
                _ = hangup.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = quit.recv() => return Ok(()),
                _ = end.recv() => return Ok(()),
                _ = resized.recv() => if tell.send(Event::Resized).is_err() { return io::Result::Ok(()) },
            }
        }
    });
}

/// Draws until it is over.
fn draw(tty: &Tty, events: &Receiver<Event>, first: Reading) -> io::Result<()> {
    let mut view = View {
        order: Order::default(),
        is_paused: false,
        has_help: false,
        colour: terminal::stdout_has_colour(),
    };
    let mut figures: Figures = between(&first, &first);
    let (mut before, mut fault) = (first, None);
    loop {
        tty.show(&screen(&figures, view, tty.size(), fault.as_deref()))?;
        match events.recv() {
            Err(_) | Ok(Event::End | Event::Key(b'q' | b'Q' | INTERRUPT)) => return Ok(()),
            Ok(Event::Answer(answer)) => match *answer {
                Ok(now) => {
                    if !view.is_paused {
                        figures = between(&before, &now);
                    }
                    (before, fault) = (now, None);
                }
                Err(why) => fault = Some(why),
            },
            Ok(Event::Key(b' ')) => view.is_paused = !view.is_paused,
            Ok(Event::Key(b's')) => view.order = view.order.next(),
            Ok(Event::Key(b'?' | b'h')) => view.has_help = !view.has_help,
            Ok(Event::Key(_) | Event::Resized) => {}
        }
    }
}
