//! The life of an HTTP/2 connection: streams taken in, quiet, and the ways it ends.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::h2::server::{Connection, SendResponse};
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::Request;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use super::gauge::Flood;
use super::io::{Io, Wire};
use super::{WINDING_UP_FACTOR, size_of_streams, streams_max};
use crate::config::plan::Limits;
use crate::corridor::connection::LAST_REQUEST_GRACE;
use crate::corridor::worker::{Counted, Door, Worker};
use crate::exchange::Caller;
use crate::listen::admission::Full;
use crate::stream::{Memory, Stream};

/// How long a client has to take the last word of a connection that is cut.
const LAST_WORD_TIME: Duration = Duration::from_secs(2);

/// One connection and what it is about.
pub(super) struct Life {
    pub(super) worker: Rc<Worker>,
    pub(super) door: Rc<Door>,
    pub(super) caller: Caller,
    wire: Rc<Wire>,
    /// The streams that are more than a hit, each a task.
    pub(super) streams: JoinSet<()>,
    /// How many of them there may be.
    streams_max: usize,
    /// The ends of a stream that none has walked: a hit needs them to be looked for, and then does not use them.
    pub(super) spare: Option<(Stream, Memory)>,
    /// Requests so far.
    pub(super) served: u64,
    requests_max: u64,
    /// Since when there is no stream.
    quiet_since: Instant,
    /// Since when the client has been told to go; no stream is begun any more some time after it.
    leaving_since: Option<Instant>,
    grace: Duration,
    header_timeout: Duration,
    pub(super) body_timeout: Duration,
}

/// What the loop is woken by.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and a box would be an allocation for each request"
)]
enum Event {
    /// A request.
    Asked(Request<RecvStream>, SendResponse<Bytes>),
    /// The last stream that was more than a hit has ended.
    Rested,
    /// The connection has ended; whether by a flood that the `h2` crate has counted.
    Ended(bool),
    /// There was too much of something.
    Flooded(Flood),
    /// The listener closes.
    Closing,
    /// A time has come.
    Due(Due),
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Streams walk, and have their own times.
    Busy,
    /// None does, but the `h2` crate has frames of some that the client's windows have no room for. They were handed over
    /// while there was room, and no task waits with them: a client could shut its windows and have them held for ever.
    LeftOver,
    /// There is no stream.
    Quiet,
}

/// What there is a time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A head is not whole in time.
    Head,
    /// The client takes nothing.
    Blocked,
    /// Nothing has been asked for long.
    Quiet,
    /// Who was told to go has had the time for it, and nothing more is on its way.
    Gone,
}

impl Life {
    pub(super) fn new(
        worker: Rc<Worker>,
        door: Rc<Door>,
        caller: Caller,
        wire: Rc<Wire>,
        limits: &Limits,
    ) -> Self {
        let patience = worker.pin().plan.server.drain_timeout;
        Self {
            quiet_since: worker.about_now(),
            worker,
            door,
            caller,
            wire,
            streams: JoinSet::new(),
            streams_max: size_of_streams(streams_max(limits)) * WINDING_UP_FACTOR,
            spare: None,
            served: 0,
            requests_max: limits.keepalive_requests,
            leaving_since: None,
            grace: LAST_REQUEST_GRACE.min(patience / 2),
            header_timeout: limits.header_timeout,
            body_timeout: limits.body_timeout,
        }
    }

    /// Runs it to its end. Whether the client is to be heard out.
    pub(super) async fn run(mut self, mut connection: Connection<Io, Bytes>) -> bool {
        let hears_out = self.serve(&mut connection).await;
        // What still walks finds out that its client has gone.
        drop(connection);
        while self.streams.join_next().await.is_some() {}
        hears_out
    }

    async fn serve(&mut self, connection: &mut Connection<Io, Bytes>) -> bool {
        let door = Rc::clone(&self.door);
        let mut alarm = pin!(tokio::time::sleep(self.worker.keepalive_timeout()));
        let mut closed = pin!(door.closed());
        let mut idle = None;
        loop {
            // All workers count here, so it is not touched for a request that changes nothing of it.
            if self.streams.is_empty() != idle.is_some() {
                idle = idle.is_none().then(|| Counted::new(&door.counts.idle));
            }
            match self.wait(connection, alarm.as_mut(), closed.as_mut()).await {
                Event::Asked(request, respond) => self.ask(connection, request, respond),
                Event::Rested => {}
                Event::Ended(is_flood) => {
                    if is_flood {
                        self.note_flood("too many frames of a kind, or too long a head");
                    }
                    return true;
                }
                Event::Flooded(flood) => {
                    self.note_flood(flood.text());
                    return self.cut(connection, Reason::ENHANCE_YOUR_CALM).await;
                }
                Event::Closing | Event::Due(Due::Quiet) => self.leave(connection),
                Event::Due(Due::Gone) => return self.cut(connection, Reason::NO_ERROR).await,
                Event::Due(Due::Head) => {
                    self.worker.turn_away(Full::Stalled);
                    return self.cut(connection, Reason::ENHANCE_YOUR_CALM).await;
                }
                // Nobody takes a last word either.
                Event::Due(Due::Blocked) => {
                    self.worker.turn_away(Full::Stalled);
                    self.wire.stream.close_by_reset();
                    return false;
                }
            }
        }
    }

    fn note_flood(&self, what: &str) {
        self.worker.turn_away(Full::Flooded);
        if self.worker.may_complain() {
            let from = self.caller.ip.map(|ip| format!(" of {ip}")).unwrap_or_default();
            log::warn!("an HTTP/2 connection{from} is cut: {what}");
        }
    }

    fn ask(
        &mut self,
        connection: &mut Connection<Io, Bytes>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        if self.is_refusing() || self.streams.len() >= self.streams_max {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        // Taken back before it was seen: then nobody is asked for it.
        let mut nobody = Context::from_waker(Waker::noop());
        if respond.poll_reset(&mut nobody).is_ready() {
            return;
        }
        self.quiet_since = self.worker.about_now();
        self.served += 1;
        self.take_in(request, respond);
        if self.served >= self.requests_max {
            self.leave(connection);
        }
    }

    /// Tells the client to ask nothing more here (RFC 9113 §6.8): at first without saying which request was the last, as
    /// some may be on their way.
    fn leave(&mut self, connection: &mut Connection<Io, Bytes>) {
        if self.leaving_since.is_none() {
            self.leaving_since = Some(self.worker.about_now());
            connection.graceful_shutdown();
        }
    }

    /// Whether a client that was told to go has had the time to hear it.
    fn is_refusing(&self) -> bool {
        let now = self.worker.about_now();
        self.leaving_since
            .is_some_and(|since| now.saturating_duration_since(since) > self.grace)
    }

    async fn wait(
        &mut self,
        connection: &mut Connection<Io, Bytes>,
        mut alarm: Pin<&mut Sleep>,
        mut closed: Pin<&mut impl Future<Output = ()>>,
    ) -> Event {
        poll_fn(|cx| {
            if let Poll::Ready(accepted) = pin!(connection.accept()).poll(cx) {
                return Poll::Ready(match accepted {
                    Some(Ok((request, respond))) => Event::Asked(request, respond),
                    Some(Err(error)) => Event::Ended(is_flood(&error)),
                    None => Event::Ended(false),
                });
            }
            // Answers to all that was asked at once go out together. If it fails, there is nobody to answer any more.
            if let Poll::Ready(Err(_)) = self.wire.poll_drain(cx) {
                return Poll::Ready(Event::Ended(false));
            }
            if let Some(flood) = self.wire.gauge.borrow().flood() {
                return Poll::Ready(Event::Flooded(flood));
            }
            while let Poll::Ready(Some(_)) = self.streams.poll_join_next(cx) {
                if self.streams.is_empty() {
                    self.quiet_since = self.worker.about_now();
                    return Poll::Ready(Event::Rested);
                }
            }
            if self.leaving_since.is_none() && closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Closing);
            }
            let stage = match (self.streams.is_empty(), connection.has_streams()) {
                (false, _) => Stage::Busy,
                (true, true) => Stage::LeftOver,
                (true, false) => Stage::Quiet,
            };
            self.poll_due(cx, alarm.as_mut(), stage).map(Event::Due)
        })
        .await
    }

    /// What is due by now. The alarm is moved only to ring earlier: if it rings too early, that is found out here.
    fn poll_due(&self, cx: &mut Context<'_>, mut alarm: Pin<&mut Sleep>, stage: Stage) -> Poll<Due> {
        loop {
            let Some((at, due)) = self.next_due(stage) else {
                return Poll::Pending;
            };
            if at < alarm.deadline() {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if at <= alarm.deadline() {
                return Poll::Ready(due);
            }
            alarm.as_mut().reset(at);
        }
    }

    /// What is due next, and when.
    fn next_due(&self, stage: Stage) -> Option<(Instant, Due)> {
        let quiet = match (stage, self.leaving_since) {
            (Stage::Busy, _) => None,
            (Stage::LeftOver, _) => {
                let since = self.wire.sent_at().max(self.quiet_since);
                Some((since + self.body_timeout, Due::Blocked))
            }
            (Stage::Quiet, None) => Some((self.quiet_since + self.worker.keepalive_timeout(), Due::Quiet)),
            (Stage::Quiet, Some(since)) => Some((since.max(self.quiet_since) + self.grace, Due::Gone)),
        };
        let head = self.wire.gauge.borrow().head_began();
        let head = head.map(|since| (since + self.header_timeout, Due::Head));
        let blocked = self.wire.blocked_since();
        let blocked = blocked.map(|since| (since + self.body_timeout, Due::Blocked));
        let dues = [quiet, head, blocked].into_iter().flatten();
        dues.min_by_key(|(at, _)| *at)
    }

    /// Says why, and ends. Whether the client is to be heard out: with what it has sent unread, a close would be a reset,
    /// which can take the last word away from it.
    async fn cut(&self, connection: &mut Connection<Io, Bytes>, reason: Reason) -> bool {
        connection.abrupt_shutdown(reason);
        // Nothing is begun any more: a stream that is accepted now is dropped, and only frames go out.
        let said = async { while let Some(Ok(_)) = connection.accept().await {} };
        tokio::time::timeout(LAST_WORD_TIME, self.wire.draining(said))
            .await
            .is_ok()
    }
}

/// Whether the `h2` crate has put an end to a connection because of what it has counted itself.
fn is_flood(error: &::h2::Error) -> bool {
    error.is_go_away() && error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
}
