//! One connection, and the task that reads and writes it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::h2::client::{Builder, Connection, SendRequest};
use ::h2::{Ping, PingPong};
use bytes::Bytes;
use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{
    HEADER_LIST_BYTES_MAX, LINK_WINDOW_BYTES, Peer, SEND_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::kit::clock::Mono;
use crate::stream::{Polled, Stream};

/// When a connection is asked whether it is there, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long it may be silent while something is asked of it.
    pub(super) silence: Duration,
    /// How long the answer to the question may take.
    pub(super) pong_timeout: Duration,
}

/// As it is kept with every server: one that stops for a few seconds loses nothing, and one that has gone is found out within
/// half a minute.
pub(super) const PACE: Pace = Pace {
    silence: Duration::from_secs(10),
    pong_timeout: Duration::from_secs(10),
};

/// Silent periods between two such questions, beyond 5 minutes: gRPC's servers cut off who asks more often than that while
/// they have nothing to say.
const SILENCES_PER_PING: u32 = 31;

/// A connection that requests share.
#[derive(Debug)]
pub(super) struct Link {
    /// Where it leads.
    peer: Rc<Peer>,
    /// None: it takes no more requests.
    send: RefCell<Option<SendRequest<Bytes>>>,
    /// Requests on it.
    active: Cell<usize>,
    /// Requests it has ever had.
    served: Cell<u64>,
    /// Whether anything of an answer has come lately.
    is_heard: Cell<bool>,
    /// Whether a request has begun lately, or was running. It says nothing of the server: on a connection that has died
    /// requests go on to begin, each until it is given up.
    was_asked: Cell<bool>,
    /// Whether the last it has said was that it will not have a request.
    is_refusing: Cell<bool>,
    /// Since when it has no request; None while it has, or while nobody has looked.
    quiet_since: Cell<Option<Mono>>,
    /// Somebody may wait for a place on it.
    changed: Rc<Notify>,
}

/// A place for one request on a connection.
#[derive(Debug)]
pub struct Room {
    link: Rc<Link>,
    /// Whether the connection has had requests before: then its end may only mean that it had grown old.
    pub is_reused: bool,
    /// Whether others are running on it. Then it has not grown old, and its end is the server's failure.
    pub is_shared: bool,
    /// Whether it had to be waited for: until the connection was open, or until another request was over.
    pub was_awaited: bool,
}

impl Link {
    /// Begins to speak HTTP/2 on a connection, and waits until the server has: only then is it known that it does, and how
    /// many requests it takes at once.
    ///
    /// Its task tells `changed` when requests have to go elsewhere.
    pub(super) async fn open(
        stream: Stream,
        peer: Rc<Peer>,
        pace: Pace,
        changed: Rc<Notify>,
    ) -> io::Result<Rc<Self>> {
        let handshake = builder().handshake(Polled(stream));
        let (send, mut connection) = handshake.await.map_err(of_start)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(of_start(error))),
            // None are allowed until the server has said how many are, or that it does not mind.
            Poll::Pending if send.current_max_send_streams() == 0 => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await?;
        let open = Open::count(&peer);
        let link = Rc::new(Self {
            peer,
            send: Some(send).into(),
            active: Cell::default(),
            served: Cell::default(),
            is_heard: Cell::default(),
            was_asked: Cell::default(),
            is_refusing: Cell::default(),
            quiet_since: Cell::default(),
            changed,
        });
        tokio::task::spawn_local(drive(Rc::clone(&link), connection, pace, open));
        Ok(link)
    }

    /// Requests it takes at once; 0 if it takes no more.
    pub(super) fn capacity(&self) -> usize {
        let mut send = self.send.borrow_mut();
        let Some(sender) = send.as_mut() else { return 0 };
        // The server has told it to go, or it has ended.
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(_)) = sender.poll_ready(&mut nobody) {
            *send = None;
            return 0;
        }
        sender.current_max_send_streams().min(STREAMS_MAX)
    }

    /// Whether it takes requests, now or later.
    pub(super) fn is_open(&self) -> bool {
        self.send.borrow().is_some()
    }

    /// Whether the last it has said was that it will not have a request.
    pub(super) fn is_refusing(&self) -> bool {
        self.is_refusing.get()
    }

    /// Takes no more requests. It ends when those it has have ended.
    pub(super) fn leave(&self) {
        drop(self.send.borrow_mut().take());
    }

    /// A place on it, if it has one.
    pub(super) fn room(self: &Rc<Self>) -> Option<Room> {
        let others = self.active.get();
        if others >= self.capacity() {
            return None;
        }
        self.active.set(others + 1);
        self.was_asked.set(true);
        self.quiet_since.set(None);
        let served = self.served.replace(self.served.get() + 1);
        Some(Room {
            link: Rc::clone(self),
            is_reused: served > 0,
            is_shared: others > 0,
            was_awaited: false,
        })
    }

    /// Closes it if it has had nothing to do for so long. Called about once a second.
    pub(super) fn grow_old(&self, idle_timeout: Duration, now: Mono) {
        if self.active.get() > 0 {
            return;
        }
        match self.quiet_since.get() {
            None => self.quiet_since.set(Some(now)),
            Some(since) if now.since(since) >= idle_timeout => self.leave(),
            Some(_) => {}
        }
    }
}

impl Room {
    /// Where it leads.
    pub(super) fn peer(&self) -> &Peer {
        &self.link.peer
    }

    /// What a request is begun with; None if the connection takes none any more.
    pub(super) fn sender(&self) -> Option<SendRequest<Bytes>> {
        self.link.send.borrow().clone()
    }

    /// The connection takes no more requests.
    pub(super) fn leave(&self) {
        self.link.leave();
    }

    /// Something of an answer has come.
    pub(super) fn hear(&self) {
        self.link.is_heard.set(true);
        self.link.is_refusing.set(false);
    }

    /// The server will not have the request.
    pub(super) fn refuse(&self) {
        self.link.is_heard.set(true);
        self.link.is_refusing.set(true);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.link.active.set(self.link.active.get() - 1);
        self.link.changed.notify_waiters();
    }
}

/// A connection among those that are open, to its end.
struct Open(IntGauge);

impl Open {
    fn count(peer: &Peer) -> Self {
        peer.open.inc();
        Self(peer.open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(LINK_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(SEND_BYTES_MAX);
    builder
}

fn of_start(error: ::h2::Error) -> io::Error {
    match error.into_io() {
        Some(error) => error,
        None => io::Error::other("the server does not speak HTTP/2"),
    }
}

/// A connection's task: to its end, or until it turns out to be dead.
async fn drive(link: Rc<Link>, mut connection: Connection<Polled, Bytes>, pace: Pace, _open: Open) {
    let ping = connection.ping_pong();
    {
        let mut watch = pin!(watch(&link, ping, pace));
        let mut ended = pin!(&mut connection);
        poll_fn(|cx| match ended.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                log::debug!("{}: a connection of HTTP/2 has ended: {error}", link.peer.name);
                Poll::Ready(())
            }
            Poll::Pending => watch.as_mut().poll(cx),
        })
        .await;
    }
    // What runs on it is told by its end.
    drop(connection);
    link.leave();
    link.changed.notify_waiters();
}

/// Periods in which something was asked and nothing was heard.
#[derive(Debug, Default)]
pub(super) struct Silences(u32);

impl Silences {
    /// A period is over. Whether it is time to ask.
    pub(super) fn pass(&mut self, is_heard: bool, was_asked: bool) -> bool {
        if is_heard || !was_asked {
            self.0 = 0;
            return false;
        }
        self.0 += 1;
        self.0 % SILENCES_PER_PING == 1
    }
}

/// Returns when a connection does not answer any more.
async fn watch(link: &Link, ping: Option<PingPong>, pace: Pace) {
    let Some(mut ping) = ping else {
        return std::future::pending().await;
    };
    let mut silences = Silences::default();
    loop {
        sleep(pace.silence).await;
        let is_running = link.active.get() > 0;
        let was_asked = link.was_asked.replace(is_running) || is_running;
        if !silences.pass(link.is_heard.replace(false), was_asked) {
            continue;
        }
        match timeout(pace.pong_timeout, ping.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection's own end tells it better.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => {
                log::warn!(
                    "{}: it has not answered a PING of HTTP/2 for {:?}: the connection is given up",
                    link.peer.name,
                    pace.pong_timeout
                );
                return;
            }
        }
    }
}
