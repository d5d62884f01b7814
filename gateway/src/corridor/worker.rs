//! What one worker has for itself: nothing in here is shared with another thread but by an atomic.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::trace;
use crate::compress;
use crate::config::plan;
use crate::exchange::{Exchange, Heads, Stretch};
use crate::kit::clock::{Clock, Mono, Now};
use crate::listen::admission::Full;
use crate::observe::trace::Allowance;
use crate::observe::{
    CacheResult, Journal, Line, MethodLabel, Metrics, ReasonCounters, StatusCounters, Timings,
};
use crate::outbound::{Client, Trust};
use crate::reply::Refusal;
use crate::reply::head::DateLine;
use crate::snapshot::Snapshot;
use crate::stream::Shelf;
use crate::tls::ServerSide;
use crate::upstream::h2::Links;
use crate::upstream::{Idle, Names};
use crate::wire::Version;

/// Heads kept for the next requests, and how large one may have grown to be kept.
const SPARE_HEADS_MAX: usize = 256;
const HEAD_BYTES_KEPT_MAX: usize = 8 * 1024;

/// One worker's belongings.
pub struct Worker {
    current: Arc<ArcSwap<Snapshot>>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Read buffers.
    pub shelf: Rc<Shelf>,
    /// Idle connections to servers.
    pub idle: Idle,
    /// Connections to servers that requests share.
    pub links: Links,
    /// Names resolved.
    pub names: Names,
    /// Random numbers: for draws, not for secrets.
    pub random: RefCell<fastrand::Rng>,
    /// Content codings at work.
    pub encoders: Rc<compress::Pool>,
    /// Whether a stored answer is being compressed on this worker's behalf.
    pub is_coding: Cell<bool>,
    /// The current second's Date.
    pub date: RefCell<DateLine>,
    /// Counts that others read.
    pub load: Arc<Load>,
    journal: RefCell<Journal>,
    statuses: RefCell<StatusCounters>,
    refusals: RefCell<ReasonCounters>,
    serial_seen: Cell<u64>,
    /// Heads that no request uses now.
    heads: RefCell<Vec<Heads>>,
    /// Tasks that no connection waits for.
    errands: Rc<Errands>,
    stopping: Cell<bool>,
    stop_begun: Notify,
    scratch: RefCell<Scratch>,
    last_tick: Cell<Instant>,
    outbound: RefCell<Option<Client>>,
    complained_at: Cell<Option<Mono>>,
    turned_away: RefCell<ReasonCounters>,
    /// Copies of requests on their way.
    pub mirrors: Rc<Cell<usize>>,
    /// Requests whose spans it keeps although they were not drawn.
    pub kept_anyway: Cell<Allowance>,
}

/// Between two ticks of a worker.
pub const TICK: Duration = Duration::from_millis(100);

/// Between two complaints of a worker about what each request meets.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// Room to write in, for as long as nobody waits.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A cache key's text.
    pub key_text: Vec<u8>,
    /// The values of the fields an answer varies by.
    pub variance: Vec<u8>,
    /// A head, and perhaps a small body.
    pub head: Vec<u8>,
}

/// Tasks that go on without the connection that began them: answers being fetched into a cache.
#[derive(Debug, Default)]
struct Errands {
    running: Cell<usize>,
    one_ended: Notify,
}

/// Counts an errand for as long as it lives.
struct Errand(Rc<Errands>);

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
        self.0.one_ended.notify_one();
    }
}

/// What a worker is busy with, for a scrape to read.
#[derive(Debug, Default)]
pub struct Load {
    /// Requests between their head and their end.
    pub requests: AtomicU64,
}

/// One listener as one worker has it.
pub struct Door {
    /// As configured, with its real port.
    pub listener: plan::Listener,
    /// What handshakes are answered with; None is plain HTTP.
    pub tls: Option<Arc<ServerSide>>,
    /// "http" or "https".
    pub scheme: &'static str,
    /// 0 for a Unix socket.
    pub port: u16,
    /// Connections, for a scrape to read.
    pub counts: Arc<DoorCounts>,
    closing: Cell<bool>,
    closed: Notify,
    handed_over: Cell<bool>,
    is_cut: Cell<bool>,
    cut: Notify,
}

/// Connections of a listener, summed over all workers.
#[derive(Debug, Default)]
pub struct DoorCounts {
    /// Open.
    pub open: AtomicU64,
    /// Of these, between two requests.
    pub idle: AtomicU64,
}

impl Worker {
    /// A worker that serves by whatever `current` holds.
    pub fn new(current: Arc<ArcSwap<Snapshot>>, clock: Clock, journal: Journal, metrics: &Metrics) -> Self {
        let words: Vec<_> = Refusal::ALL.iter().map(|r| r.facts().word).collect();
        Self {
            current,
            clock,
            shelf: Rc::default(),
            idle: Idle::default(),
            links: Links::default(),
            names: Names::default(),
            random: RefCell::new(fastrand::Rng::new()),
            encoders: Rc::default(),
            is_coding: Cell::new(false),
            date: RefCell::default(),
            load: Arc::default(),
            journal: RefCell::new(journal),
            statuses: RefCell::new(metrics.status_counters()),
            refusals: RefCell::new(metrics.refusals(&words)),
            serial_seen: Cell::new(0),
            heads: RefCell::default(),
            errands: Rc::default(),
            stopping: Cell::new(false),
            stop_begun: Notify::new(),
            scratch: RefCell::default(),
            // The runtime's time is told by its timers: nobody but `kit::clock` asks the system.
            last_tick: Cell::new(tokio::time::sleep(Duration::ZERO).deadline()),
            outbound: RefCell::default(),
            complained_at: Cell::default(),
            mirrors: Rc::default(),
            kept_anyway: Cell::default(),
            turned_away: metrics.connections_refused(&Full::ALL.map(Full::word)).into(),
        }
    }

    /// The configuration of this moment, for one request to keep.
    pub fn pin(&self) -> Arc<Snapshot> {
        let snapshot = self.current.load_full();
        if self.serial_seen.replace(snapshot.serial) != snapshot.serial {
            // Series of routes that have gone must not be held on to.
            self.statuses.borrow_mut().forget();
        }
        snapshot
    }

    /// How long a connection may be silent between two requests.
    pub fn keepalive_timeout(&self) -> Duration {
        self.current.load().plan.server.limits.keepalive_timeout
    }

    /// Random bits.
    pub fn draw(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The time on the monotonic clock.
    pub fn mono(&self) -> Mono {
        self.clock.mono()
    }

    /// Room to write in; None while somebody else writes there.
    pub fn scratch(&self) -> Option<RefMut<'_, Scratch>> {
        self.scratch.try_borrow_mut().ok()
    }

    /// Empty heads for the next request.
    pub fn lend_heads(&self) -> Heads {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes the heads of a finished request back, emptied.
    pub fn take_back(&self, mut heads: Heads) {
        let mut spare = self.heads.borrow_mut();
        let held = heads
            .request
            .fields
            .bytes_held()
            .max(heads.answer.fields.bytes_held());
        if spare.len() < SPARE_HEADS_MAX && held <= HEAD_BYTES_KEPT_MAX {
            heads.request.clear();
            heads.answer.clear();
            heads.request_id.clear();
            heads.lines.clear();
            spare.push(heads);
        }
    }

    /// Counts a connection that was closed before a request was read, or is cut for what its client does.
    pub fn turn_away(&self, why: Full) {
        self.turned_away.borrow_mut().count(why.word());
    }

    /// Asks others on the gateway's own behalf, over connections of this worker.
    pub fn outbound(&self, trust: &Trust) -> Client {
        let mut client = self.outbound.borrow_mut();
        client.get_or_insert_with(|| Client::new(trust)).clone()
    }

    /// Whether it is time to log a fault that each request meets: a line now and then says as much as one for each.
    pub fn may_complain(&self) -> bool {
        let now = self.mono();
        let last = self.complained_at.get();
        let is_due = last.is_none_or(|at| now.since(at) >= COMPLAINT_PAUSE);
        if is_due {
            self.complained_at.set(Some(now));
        }
        is_due
    }

    /// Begins a task on this worker that a stop waits for, as it waits for connections.
    pub fn run_errand(&self, work: impl Future<Output = ()> + 'static) {
        self.errands.running.set(self.errands.running.get() + 1);
        let errand = Errand(Rc::clone(&self.errands));
        tokio::task::spawn_local(async move {
            let _errand = errand;
            work.await;
        });
    }

    /// Resolves when no errand runs.
    pub async fn errands_done(&self) {
        while self.errands.running.get() > 0 {
            self.errands.one_ended.notified().await;
        }
    }

    /// Lets errands that nobody needs end.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.stop_begun.notify_waiters();
    }

    /// Resolves when the gateway stops.
    pub async fn stopping(&self) {
        let begun = self.stop_begun.notified();
        if !self.stopping.get() {
            begun.await;
        }
    }

    /// The runtime's time, at most two ticks late and never early: enough for whoever waits for seconds.
    pub fn about_now(&self) -> Instant {
        self.last_tick.get() + 2 * TICK
    }

    /// What is due ten times a second.
    pub fn tick(&self, at: Instant) {
        self.last_tick.set(at);
        self.flush();
    }

    /// Hands over the lines written so far.
    pub fn flush(&self) {
        self.journal.borrow_mut().flush();
    }

    /// What is due about once a second.
    pub fn sweep(&self) {
        let now = self.mono();
        self.idle.sweep(now);
        self.links.sweep(now);
    }

    /// Counts a finished request and writes its line.
    pub fn tell(&self, x: &Exchange) {
        let duration = self.mono().since(x.began.mono);
        let is_slow = duration >= x.snapshot.plan.access_log.slow_threshold;
        let route = x.site.as_ref().map_or(&x.snapshot.no_route, |s| &s.metrics);
        route.record(duration, x.bytes_sent, is_slow);
        let method = MethodLabel::of(x.request.method_text.as_bytes());
        self.statuses.borrow_mut().count(route, method, x.status);
        if let Some((site, result)) = x.site.as_ref().zip(x.cache_result)
            && let Some(zone) = &site.zone
        {
            zone.metrics.count(result);
        }
        if let Some(refusal) = x.refusal {
            self.refusals.borrow_mut().count(refusal.facts().word);
        }
        if let Some(tracer) = &x.snapshot.tracer {
            trace::keep(self, tracer, x, is_slow);
        }
        let is_logged = x.site.as_ref().is_none_or(|s| s.route.access_log);
        let mut journal = self.journal.borrow_mut();
        if is_logged && !journal.is_off() {
            journal.write(&x.snapshot.log_format, &line(x, duration, is_slow));
        }
    }
}

fn line(x: &Exchange, duration: Duration, is_slow: bool) -> Line<'_> {
    let now = x.began.mono.plus(duration);
    let length = |time: Option<Stretch>| time.map(|time| time.until(now));
    Line {
        start: x.began,
        duration,
        client_ip: x.client_ip,
        method: x.request.method_text.as_bytes(),
        host: x.request.host.as_bytes(),
        path: x.request.raw_path.as_bytes(),
        query: x.request.query.as_ref().map(String::as_bytes),
        scheme: x.scheme,
        port: x.port,
        protocol: match x.request.version {
            _ if x.request.method_text.is_empty() => "",
            _ if x.request.is_http2 => "HTTP/2.0",
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        },
        status: x.status,
        bytes_sent: x.bytes_sent,
        bytes_received: x.bytes_received,
        user: x.guarded.user.as_ref().map(String::as_bytes),
        route: x.site.as_ref().map(|s| s.route.name.as_str()),
        upstream: x.service.as_ref().map(|s| s.plan.name.as_str()),
        server: x
            .service
            .as_ref()
            .zip(x.server)
            .map(|(s, at)| s.servers[at].address.as_str()),
        tries: x.tries,
        upstream_time: x.upstream_time,
        cache: x.cache_result.map(CacheResult::text),
        refusal: x.refusal.map(|r| r.facts().word),
        request_id: x.request_id.as_bytes(),
        request: &x.request.fields,
        response: x
            .stored
            .as_ref()
            .map_or(&x.answer.fields, |stored| &stored.meta().fields),
        slow: is_slow.then(|| Timings {
            guard: length(x.guard_time),
            cache: length(x.cache_time),
            queue: length(x.queue_time),
            body: x.timings.first_byte.map(|first| duration.saturating_sub(first)),
            ..x.timings
        }),
    }
}

impl Door {
    /// A listener that takes connections.
    pub fn new(listener: plan::Listener, counts: Arc<DoorCounts>, tls: Option<Arc<ServerSide>>) -> Self {
        let port = match &listener.address {
            plan::SocketSpec::Tcp(address) => address.port(),
            plan::SocketSpec::Unix(_) => 0,
        };
        Self {
            listener,
            scheme: if tls.is_some() { "https" } else { "http" },
            tls,
            port,
            counts,
            closing: Cell::new(false),
            closed: Notify::new(),
            handed_over: Cell::new(false),
            is_cut: Cell::new(false),
            cut: Notify::new(),
        }
    }

    /// Closes, and leaves what waits in its sockets to another process that has them too.
    pub fn hand_over(&self) {
        self.handed_over.set(true);
        self.close();
    }

    /// Whether another process has its sockets.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.get()
    }

    /// Ends what is still open behind it.
    pub fn cut(&self) {
        self.is_cut.set(true);
        self.cut.notify_waiters();
    }

    /// Resolves when what is open is to end at once.
    pub async fn has_been_cut(&self) {
        let cut = self.cut.notified();
        if !self.is_cut.get() {
            cut.await;
        }
    }

    /// Lets running requests end and no further one begin.
    pub fn close(&self) {
        self.closing.set(true);
        self.closed.notify_waiters();
    }

    /// Whether it closes.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Resolves when it closes.
    pub async fn closed(&self) {
        let closed = self.closed.notified();
        if !self.is_closing() {
            closed.await;
        }
    }
}

/// Adds one for as long as it lives.
pub struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    /// Counts.
    pub fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
