//! The life of one client connection: idle, a burst of requests, idle again.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::worker::{Counted, Door, Worker};
use super::{Next, Visit, h2};
use crate::exchange::{Caller, Exchange, Heads};
use crate::listen::Slot;
use crate::listen::preface::{self, Opening};
use crate::stream::{Buffer, Stream};

/// How long, and for how many bytes, a client that is still sending is listened to after its answer. A close
/// with unread bytes would be a reset, and a reset can take the answer away from it (RFC 9112 §9.6).
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1 << 20;

/// How long a connection to a listener that closes may take to ask once more: at most the half of what a stop waits.
pub(super) const LAST_REQUEST_GRACE: Duration = Duration::from_millis(500);

/// Serves a connection to its end.
///
/// Between requests it holds the socket, a timer and nothing else: no buffer, and no future of a request. So whatever is not
/// the wait itself is in a box.
pub async fn serve(worker: Rc<Worker>, door: Rc<Door>, stream: Stream, caller: Caller, slot: Slot) {
    let _slot = slot;
    let counts = Rc::clone(&door);
    let _open = Counted::new(&counts.counts.open);
    let mut served = 0;
    let mut patience = Patience::new(&worker);
    let mut closed = std::pin::pin!(closed(&worker, &door));
    while let Some(mut buffer) = wait(&worker, &door, &stream, &mut patience, closed.as_mut()).await {
        // Only its first bytes can be the beginning of HTTP/2.
        if served == 0
            && h2::is_taken_unasked(&door.listener)
            && preface::look(buffer.unread()) != Opening::Other
        {
            match Box::pin(opening(&worker, &stream, &mut buffer)).await {
                Opening::Other => {}
                Opening::Http2 => {
                    let (worker, door) = (Rc::clone(&worker), Rc::clone(&door));
                    return Box::pin(h2::serve_from(worker, door, stream, caller, Some(buffer))).await;
                }
                Opening::Unclear => return,
            }
        }
        let burst = Burst {
            worker: &worker,
            door: &door,
            stream: &stream,
            caller: &caller,
        };
        match Box::pin(burst.run(buffer, &mut served)).await {
            Next::Keep => patience.begin_anew(&worker),
            Next::Close => return Box::pin(stream.end(LINGER_TIME)).await,
            Next::Abandon => return,
            Next::Linger => return Box::pin(linger(&worker, &stream)).await,
        }
    }
}

/// What the connection begins with; unclear if the client leaves it at that.
async fn opening(worker: &Worker, stream: &Stream, buffer: &mut Buffer) -> Opening {
    let snapshot = worker.pin();
    let limits = &snapshot.plan.server.limits;
    preface::opening(stream, buffer, limits)
        .await
        .unwrap_or(Opening::Unclear)
}

/// The first bytes of a request; None if none have come in time.
///
/// The runtime may believe that there is something to read where a former read has taken it all: only bytes
/// that are there end the wait.
async fn wait(
    worker: &Worker,
    door: &Door,
    stream: &Stream,
    patience: &mut Patience,
    mut closed: Pin<&mut impl Future<Output = ()>>,
) -> Option<Buffer> {
    let _idle = Counted::new(&door.counts.idle);
    loop {
        tokio::select! {
            biased;
            // By polling: nobody else waits for this stream, and so the wait has a waker's size.
            readable = poll_fn(|cx| stream.poll_readable(cx)) => readable.ok()?,
            () = closed.as_mut() => return None,
            () = patience.over() => return None,
        }
        let mut buffer = worker.shelf.lend();
        match buffer.try_fill(stream) {
            Ok(0) => return None,
            Ok(_) => return Some(buffer),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

/// How long a connection may be silent between two requests.
///
/// One timer for all its pauses: it is not moved with each request, but finds out when it rings that there has been one.
struct Patience {
    timer: Pin<Box<Sleep>>,
    ends: Instant,
}

impl Patience {
    fn new(worker: &Worker) -> Self {
        let timer = Box::pin(tokio::time::sleep(worker.keepalive_timeout()));
        Self {
            ends: timer.deadline(),
            timer,
        }
    }

    fn begin_anew(&mut self, worker: &Worker) {
        self.ends = worker.about_now() + worker.keepalive_timeout();
        // A reload has made the pauses shorter: the timer would ring too late.
        if self.ends < self.timer.deadline() {
            self.timer.as_mut().reset(self.ends);
        }
    }

    async fn over(&mut self) {
        loop {
            self.timer.as_mut().await;
            if self.ends <= self.timer.deadline() {
                return;
            }
            self.timer.as_mut().reset(self.ends);
        }
    }
}

/// Resolves some time after the listener has begun to close.
///
/// A client that was told a moment ago that its connection is kept may be asking already, and a close would reset its
/// request. So one more is answered, with the word that it was the last.
async fn closed(worker: &Worker, door: &Door) {
    door.closed().await;
    let patience = worker.pin().plan.server.drain_timeout;
    tokio::time::sleep(LAST_REQUEST_GRACE.min(patience / 2)).await;
}

struct Burst<'a> {
    worker: &'a Rc<Worker>,
    door: &'a Door,
    stream: &'a Stream,
    caller: &'a Caller,
}

impl Burst<'_> {
    fn begin(&self, served: u64) -> Exchange {
        let (snapshot, now) = (self.worker.pin(), self.worker.now());
        let mut x = Exchange::new(snapshot, now, self.caller, self.worker.lend_heads());
        x.greeted = self.caller.greeted.filter(|_| served == 1);
        x
    }

    /// Serves requests as long as there are bytes to serve them from.
    async fn run(&self, mut buffer: Buffer, served: &mut u64) -> Next {
        loop {
            *served += 1;
            let mut visit = Visit {
                worker: self.worker,
                door: self.door,
                stream: self.stream,
                buffer: &mut buffer,
                x: self.begin(*served),
                served: *served,
            };
            let next = visit.walk().await;
            let Exchange {
                request,
                answer,
                request_id,
                guarded,
                ..
            } = visit.x;
            self.worker.take_back(Heads {
                request,
                answer,
                request_id,
                lines: guarded.lines,
            });
            match next {
                Next::Keep if !buffer.is_empty() => {}
                // A close with unread bytes would be a reset, see LINGER_TIME.
                Next::Close if !buffer.is_empty() || !self.stream.is_quiet() => return Next::Linger,
                next => return next,
            }
        }
    }
}

/// Says that nothing more comes, and hears the client out for a while.
pub(super) async fn linger(worker: &Worker, stream: &Stream) {
    stream.finish_sending();
    let listen = async {
        let mut buffer = worker.shelf.lend();
        let mut heard = 0;
        while heard < LINGER_BYTES_MAX {
            match buffer.fill(stream).await {
                Ok(n) if n > 0 => heard += n,
                _ => return,
            }
            let unread = buffer.unread().len();
            buffer.consume(unread);
        }
    };
    // Out of time is as good an end as any.
    let _ = tokio::time::timeout(LINGER_TIME, listen).await;
}
