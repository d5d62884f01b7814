//! What the gateway tells its operator on stderr: few lines, each worth reading.
//!
//! Written by the thread that has something to say: a stderr nobody reads can hold that thread up once its
//! pipe is full, which the limits below make unlikely. Requests are told of in the access log, not here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use parking_lot::Mutex;

use super::timestamp::TimeCache;
use crate::kit::clock::Clock;

/// The same message is told this often a second; then it is counted.
pub const REPEATS_PER_SECOND_MAX: u32 = 5;

/// Different messages told in a second; then they are counted. Bounds both the flood and the memory.
pub const MESSAGES_PER_SECOND_MAX: usize = 200;

/// A longer message is cut.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Makes the `log` macros write to stderr, once per process.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    let diagnostics = Diagnostics::new(level, Clock::system(), Box::new(io::stderr()));
    // The log crate keeps its logger until the process ends, so nothing is lost by leaking it.
    log::set_logger(Box::leak(Box::new(diagnostics)))?;
    log::set_max_level(level);
    Ok(())
}

/// Writes `TIME LEVEL target: message`, one write a line.
struct Diagnostics {
    level: LevelFilter,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    times: TimeCache,
    told: Told,
}

impl Diagnostics {
    fn new(level: LevelFilter, clock: Clock, out: Box<dyn Write + Send>) -> Self {
        Self {
            level,
            clock,
            state: Mutex::new(State {
                out,
                times: TimeCache::default(),
                told: Told::default(),
            }),
        }
    }

    fn tell(&self, message: Option<&str>) {
        let wall = self.clock.now().wall;
        let mut state = self.state.lock();
        let State { out, times, told } = &mut *state;
        let mut lines = match message {
            Some(_) => told.turn(wall.as_secs()),
            None => told.sum_up(),
        };
        if let Some(message) = message
            && told.admit(message)
        {
            lines.push(message.to_owned());
        }
        for line in lines {
            let mut text = Vec::with_capacity(line.len() + 26);
            times.rfc3339(&mut text, wall);
            text.push(b' ');
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
            // There is nobody left to tell that stderr is gone.
            let _ = out.write_all(&text);
        }
    }
}

impl Log for Diagnostics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries find worth an `info` is detail here.
        let level = match own(metadata.target()) {
            None if self.level < LevelFilter::Debug => self.level.min(LevelFilter::Warn),
            _ => self.level,
        };
        metadata.level() <= level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        self.tell(Some(&message(record)));
    }

    fn flush(&self) {
        self.tell(None);
    }
}

/// A target within this crate, without the crate's name.
fn own(target: &str) -> Option<&str> {
    let rest = target.strip_prefix(env!("CARGO_CRATE_NAME"))?;
    match rest.strip_prefix("::") {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(target),
    }
}

/// Level, target and text, so that whatever is in the text cannot pass for a line of its own.
fn message(record: &Record<'_>) -> String {
    let target = own(record.target())
        .or(record.target().split("::").next())
        .unwrap_or_default();
    let mut out = format!("{} {target}: ", level_name(record.level()));
    for c in record.args().to_string().trim_end().chars() {
        match c {
            '\n' => out.push_str("\n  "),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        if out.len() > MESSAGE_BYTES_MAX {
            out.push('…');
            break;
        }
    }
    out
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// The messages of the running second and how often each came. Pure: the second is an argument.
///
/// What was held back is summed up when the next message of a later second comes, or by [`Log::flush`].
#[derive(Default)]
struct Told {
    second: u64,
    messages: BTreeMap<String, u32>,
    others: u64,
}

impl Told {
    /// Begins another second; what is to be told of the one before.
    fn turn(&mut self, second: u64) -> Vec<String> {
        if second == self.second {
            return Vec::new();
        }
        self.second = second;
        let lines = self.sum_up();
        self.messages.clear();
        lines
    }

    /// Lines for what was held back since they were last asked for.
    fn sum_up(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (message, count) in &mut self.messages {
            let held_back = count.saturating_sub(REPEATS_PER_SECOND_MAX);
            if held_back > 0 {
                lines.push(format!("{message} (and {held_back} times more)"));
                *count = REPEATS_PER_SECOND_MAX;
            }
        }
        let others = std::mem::take(&mut self.others);
        if others > 0 {
            let mut line = format!("{} ", level_name(Level::Warn));
            let _ = write!(
                line,
                "diagnostics: {others} other messages in one second were not told"
            );
            lines.push(line);
        }
        lines
    }

    fn admit(&mut self, message: &str) -> bool {
        if let Some(count) = self.messages.get_mut(message) {
            *count = count.saturating_add(1);
            return *count <= REPEATS_PER_SECOND_MAX;
        }
        if self.messages.len() >= MESSAGES_PER_SECOND_MAX {
            self.others += 1;
            return false;
        }
        self.messages.insert(message.to_owned(), 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        /// What was written since the last look.
        fn taken(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.lock())).unwrap()
        }
    }

    fn diagnostics(level: LevelFilter) -> (Diagnostics, Sink, Clock) {
        let (sink, clock) = (Sink::default(), Clock::manual(Duration::from_secs(1_795_178_096)));
        let diagnostics = Diagnostics::new(level, clock.clone(), Box::new(sink.clone()));
        (diagnostics, sink, clock)
    }

    fn tell(diagnostics: &Diagnostics, level: Level, target: &str, text: &str) {
        let args = format_args!("{text}");
        diagnostics.log(&Record::builder().level(level).target(target).args(args).build());
    }

    #[test]
    fn a_line_says_when_how_bad_where_and_what() {
        let (d, sink, _) = diagnostics(LevelFilter::Info);
        tell(&d, Level::Error, "gateway::observe::writer", "disk full");
        tell(&d, Level::Warn, "pingora_core::connectors::l4", "refused");
        tell(&d, Level::Info, "gateway", "ready");
        assert_eq!(
            sink.taken(),
            "2026-11-20T12:34:56.000Z ERROR observe::writer: disk full\n\
             2026-11-20T12:34:56.000Z WARN  pingora_core: refused\n\
             2026-11-20T12:34:56.000Z INFO  gateway: ready\n"
        );
    }

    #[test]
    fn the_level_holds_and_libraries_are_heard_from_warn() {
        let (d, sink, _) = diagnostics(LevelFilter::Info);
        tell(&d, Level::Debug, "gateway::reload", "no");
        tell(&d, Level::Info, "pingora_core", "no");
        tell(&d, Level::Info, "gateway_of_others", "no");
        assert_eq!(sink.taken(), "");
        let (d, sink, _) = diagnostics(LevelFilter::Debug);
        tell(&d, Level::Debug, "pingora_core", "yes");
        assert!(sink.taken().ends_with(" DEBUG pingora_core: yes\n"));
    }

    #[test]
    fn a_message_cannot_pass_for_another_line() {
        let (d, sink, _) = diagnostics(LevelFilter::Info);
        tell(
            &d,
            Level::Warn,
            "gateway",
            "bad\n2026 ERROR forged\r\x1b[2J\u{9b}é\n",
        );
        assert_eq!(
            sink.taken(),
            "2026-11-20T12:34:56.000Z WARN  gateway: bad\n  2026 ERROR forged\\r\\u{1b}[2J\\u{9b}é\n"
        );
    }

    #[test]
    fn a_repeated_message_is_held_back_and_summed_up() {
        let (d, sink, clock) = diagnostics(LevelFilter::Info);
        for _ in 0..REPEATS_PER_SECOND_MAX + 7 {
            tell(&d, Level::Warn, "gateway", "again");
        }
        tell(&d, Level::Warn, "gateway", "different");
        let text = sink.taken();
        assert_eq!(text.matches("again").count(), REPEATS_PER_SECOND_MAX as usize);
        assert_eq!(text.matches("different").count(), 1);
        clock.advance(Duration::from_secs(1));
        tell(&d, Level::Warn, "gateway", "again");
        let text = sink.taken();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("WARN  gateway: again (and 7 times more)"));
        assert!(lines[1].ends_with("WARN  gateway: again"));
    }

    #[test]
    fn a_flush_tells_what_was_held_back_once() {
        let (d, sink, clock) = diagnostics(LevelFilter::Info);
        for _ in 0..REPEATS_PER_SECOND_MAX + 2 {
            tell(&d, Level::Warn, "gateway", "again");
        }
        sink.taken();
        d.flush();
        assert!(sink.taken().ends_with("again (and 2 times more)\n"));
        tell(&d, Level::Warn, "gateway", "again");
        clock.advance(Duration::from_secs(1));
        d.flush();
        assert!(sink.taken().ends_with("again (and 1 times more)\n"));
        d.flush();
        assert_eq!(sink.taken(), "");
    }

    #[test]
    fn a_flood_of_different_messages_is_bounded_and_counted() {
        let (d, sink, clock) = diagnostics(LevelFilter::Info);
        for n in 0..MESSAGES_PER_SECOND_MAX + 30 {
            tell(&d, Level::Warn, "gateway", &format!("number {n}"));
        }
        assert_eq!(sink.taken().lines().count(), MESSAGES_PER_SECOND_MAX);
        clock.advance(Duration::from_secs(1));
        tell(&d, Level::Info, "gateway", "calm");
        let text = sink.taken();
        assert!(
            text.contains("diagnostics: 30 other messages in one second were not told\n"),
            "{text}"
        );
    }

    #[test]
    fn a_message_without_end_is_cut() {
        let (d, sink, _) = diagnostics(LevelFilter::Info);
        tell(&d, Level::Warn, "gateway", &"é".repeat(MESSAGE_BYTES_MAX));
        let text = sink.taken();
        assert!(text.len() < MESSAGE_BYTES_MAX + 64 && text.ends_with("…\n"));
    }
}
