//! The operator's address: what is going on, and what to do about it. Never reachable by a public listener.

mod api;
mod apply;
mod dashboard;
mod events;
mod explain;
mod history;
mod purge;
mod scrape;
mod status;
mod token;

use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, watch};

use crate::config::plan::{Edits, Limits};
use crate::facts::Facts;
use crate::listen::{Bound, Incoming, Listening, read_head};
use crate::reload::Control;
use crate::reply::head::{Announced, DateLine, Delivery, write_reply};
use crate::reply::{Refusal, Reply, page};
use crate::stream::{Buffer, Shelf, Stream, within};
use crate::wire::chunk::Step;
use crate::wire::{Decoder, Length, Method, Request, Version, framing};
use events::Feed;
pub use status::{Status, status};
pub use token::{Token, TokenFault};

/// Bytes of a request's body: commands are short.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Connections at once. More than any operator has tools; a leak in one of them must not use up descriptors.
const CONNECTIONS_MAX: usize = 256;
/// For each wait for a client.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asked by those who have no token to show: probes of Kubernetes cannot take one out of a secret. What they are told is one
/// word, which a connection to a public listener tells as well.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// For answers that are under way when everything else has ended, such as the one to the order to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// When the admin address is served.
pub struct Times<O, E> {
    /// Nobody is taken in before.
    pub opens: O,
    /// Nothing is answered any more.
    pub ends: E,
}

/// Serves the admin address to the end. Nobody is taken in any more when another process has the socket.
pub async fn serve<O, E>(control: Arc<Control>, socket: Option<Bound>, token: Token, times: Times<O, E>)
where
    O: Future<Output = ()>,
    E: Future<Output = ()>,
{
    let Some(listener) = socket.and_then(|bound| bound.sockets.into_iter().next()) else {
        return times.ends.await;
    };
    times.opens.await;
    let desk = Rc::new(Desk {
        control,
        token,
        shelf: Rc::default(),
        feed: Feed::default(),
        answering: Cell::new(0),
        answered: Notify::new(),
        left: watch::Sender::new(false),
    });
    let accepting = accept(Rc::clone(&desk), listener);
    let mut left = desk.control.upgrades.handed_over.subscribe();
    let serving = async {
        tokio::select! {
            Err(error) = accepting => log::error!("the admin address is lost: {error}"),
            _ = left.wait_for(|to| to.as_ref().is_some_and(|to| to.has_admin)) => {}
        }
        desk.left.send_replace(true);
    };
    let living = async { tokio::join!(serving, desk.feed.run(&desk.control)) };
    tokio::select! {
        _ = living => {}
        () = times.ends => {}
    }
    // The end can come before it was noticed that another process has the socket: nobody is taken in either way.
    desk.left.send_replace(true);
    // Out of time is as good an end as any.
    let _ = tokio::time::timeout(LAST_ANSWERS, desk.all_answered()).await;
}

/// What the connections of the admin address share.
struct Desk {
    control: Arc<Control>,
    token: Token,
    shelf: Rc<Shelf>,
    feed: Feed,
    answering: Cell<usize>,
    answered: Notify,
    /// Whether nobody is taken in any more.
    left: watch::Sender<bool>,
}

/// A request that is being answered.
struct Answering<'a>(&'a Desk);

impl<'a> Answering<'a> {
    fn new(desk: &'a Desk) -> Self {
        desk.answering.set(desk.answering.get() + 1);
        Self(desk)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.answering.set(self.0.answering.get() - 1);
        self.0.answered.notify_one();
    }
}

async fn accept(desk: Rc<Desk>, listener: Listening) -> std::io::Result<()> {
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    // The sockets themselves and no copies: at the start of a crowd there may be no descriptor for one.
    let (tcp, unix) = match listener {
        Listening::Tcp(l) => (Some(TcpListener::from_std(l)?), None),
        Listening::Unix(l) => (None, Some(UnixListener::from_std(l)?)),
    };
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match (&tcp, &unix) {
            (Some(l), _) => l.accept().await.map(|(s, _)| Stream::Tcp(s)),
            (None, Some(l)) => l.accept().await.map(|(s, _)| Stream::Unix(s)),
            (None, None) => return Ok(()),
        };
        match stream {
            Ok(stream) => {
                let desk = Rc::clone(&desk);
                tokio::task::spawn_local(async move {
                    let _place = place;
                    desk.converse(&stream).await;
                });
            }
            Err(error) => {
                log::warn!("a connection to the admin address was lost: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Desk {
    async fn all_answered(&self) {
        while self.answering.get() > 0 {
            self.answered.notified().await;
        }
    }

    async fn converse(&self, stream: &Stream) {
        let mut buffer = self.shelf.lend();
        let mut request = Request::default();
        let limits = Limits {
            header_timeout: PATIENCE,
            ..Limits::default()
        };
        loop {
            let incoming = read_head(stream, &mut buffer, &mut request, &limits).await;
            // A stream of events is no answer that anybody waits for.
            let _answering = (request.path != "/events").then(|| Answering::new(self));
            let (reply, keeps) = match incoming {
                Incoming::Whole => match self.read_body(stream, &mut buffer, &request).await {
                    Ok(body) => match self.answer(stream, &request, &body).await {
                        // Where it stops, another process may answer next.
                        Some(reply) => (reply, request.wants_keep_alive() && !self.control.is_draining()),
                        None => return,
                    },
                    Err(refusal) => (page::refuse(refusal, "", false, None), false),
                },
                Incoming::Refused(_) => (page::refuse(Refusal::BadRequest, "", false, None), false),
                Incoming::Left | Incoming::Broken | Incoming::TooSlow => return,
            };
            if !self.send(stream, &request, &reply, keeps).await || !keeps {
                return stream.finish_sending();
            }
        }
    }

    /// None if the connection went to a stream of events, and with it to its end.
    async fn answer(&self, stream: &Stream, request: &Request, body: &[u8]) -> Option<Reply> {
        let path = request.path.as_str();
        let is_read = matches!(request.method, Method::Get | Method::Head);
        let file = dashboard::file(path, self.token.is_asked_for()).filter(|_| is_read);
        let is_open = file.is_some() || is_read && OPEN.contains(&path);
        let refusal = self.refuse_stranger(stream, request, is_open);
        let reply = match refusal.or(file) {
            Some(reply) => reply,
            None if path == "/history" && is_read => self.feed.history(&self.control),
            None if path == "/events" && request.method == Method::Get => {
                self.follow_events(stream, request).await?
            }
            None if path == "/upgrade" && request.method == Method::Post => self.upgrade().await,
            None if path == "/explain" && (is_read || request.method == Method::Post) => {
                explain::answer(&self.control, request, body).await
            }
            None => api::answer(&self.control, request, body),
        };
        // What is shown here may hold words of strangers: nobody is to take it for a page.
        Some(reply.with("X-Content-Type-Options", "nosniff"))
    }

    /// Answers when another process serves, or when it has turned out that none does.
    async fn upgrade(&self) -> Reply {
        let control = Arc::clone(&self.control);
        match tokio::task::spawn_blocking(move || control.upgrade()).await {
            Ok(outcome) => {
                if self.control.upgrades.has_given_admin() {
                    // Whoever asks after this answer asks the new process.
                    let _ = self.left.subscribe().wait_for(|left| *left).await;
                }
                api::upgraded(outcome)
            }
            Err(error) => api::problem(500, &error.to_string()),
        }
    }

    /// Without a token it is enough to be on this machine, but a browser on this machine may be led by a page from
    /// anywhere: what it was led to is told by names it cannot help sending.
    ///
    /// The files of the dashboard say nothing, so they need no token: a browser cannot show one before it has a page.
    fn refuse_stranger(&self, stream: &Stream, request: &Request, is_open: bool) -> Option<Reply> {
        if !is_open && !self.token.admits(&request.fields) {
            let reply = api::problem(401, "The admin token is missing or wrong.");
            return Some(reply.with("WWW-Authenticate", "Bearer"));
        }
        let is_local_name = request.host == "localhost"
            || request
                .host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok();
        let is_unix = matches!(stream, Stream::Unix(_));
        if !self.token.is_asked_for() && !is_local_name && !is_unix {
            return Some(api::problem(
                403,
                "Call this address by its IP address or as localhost.",
            ));
        }
        is_led_by_another_site(request).then(|| api::problem(403, "Another site asked for this."))
    }

    /// Gives the connection to a stream of events. A reply instead if there are too many.
    async fn follow_events(&self, stream: &Stream, request: &Request) -> Option<Reply> {
        let is_chunked = request.version == Version::Http11;
        let length = if is_chunked {
            Announced::Chunked
        } else {
            Announced::Nothing
        };
        let reply = Reply::empty(200)
            .with("Content-Type", "text/event-stream")
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff");
        let head = self.head(request, &reply, Delivery { length, closes: true });
        let followed = self.feed.follow(&self.control, stream, &head, is_chunked).await;
        followed.is_none().then(|| {
            let detail = "As many streams of events are open as may be; close a dashboard.";
            api::problem(503, detail).with("Retry-After", "5")
        })
    }

    async fn read_body(
        &self,
        stream: &Stream,
        buffer: &mut Buffer,
        request: &Request,
    ) -> Result<Vec<u8>, Refusal> {
        let length = framing::of_request(request).map_err(|_| Refusal::BadRequest)?;
        if matches!(length, Length::Known(n) if n > BODY_BYTES_MAX as u64) {
            return Err(Refusal::BodyTooLarge);
        }
        let mut decoder = Decoder::new(length);
        let mut body = Vec::new();
        loop {
            match decoder
                .step(buffer.unread(), 0)
                .map_err(|_| Refusal::BadRequest)?
            {
                Step::Data { start, end } => {
                    body.extend_from_slice(&buffer.unread()[start..end]);
                    buffer.consume(end);
                    if body.len() > BODY_BYTES_MAX {
                        return Err(Refusal::BodyTooLarge);
                    }
                }
                Step::Done { end } => {
                    buffer.consume(end);
                    return Ok(body);
                }
                Step::More => {
                    let used = buffer.unread().len();
                    buffer.consume(used);
                    match within(PATIENCE, buffer.fill(stream)).await {
                        Ok(n) if n > 0 => {}
                        _ => return Err(Refusal::BodyTimeout),
                    }
                }
            }
        }
    }

    fn head(&self, request: &Request, reply: &Reply, delivery: Delivery) -> Vec<u8> {
        let facts = Facts {
            request,
            client_ip: None,
            peer_ip: None,
            is_peer_trusted: true,
            scheme: "http",
            port: 0,
            request_id: "",
            route: "",
            began: self.control.clock.now(),
            told_names: &[],
            told: &[],
            guard_lines: b"",
        };
        let mut out = Vec::with_capacity(1024);
        write_reply(
            &mut out,
            reply,
            &facts,
            &Edits::default(),
            delivery,
            &mut DateLine::default(),
        );
        out
    }

    async fn send(&self, stream: &Stream, request: &Request, reply: &Reply, keeps: bool) -> bool {
        let delivery = Delivery {
            length: Announced::Length(reply.body.length()),
            closes: !keeps,
        };
        let mut out = self.head(request, reply, delivery);
        if request.method != Method::Head {
            for segment in &reply.body.segments {
                match segment {
                    crate::reply::Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                    crate::reply::Segment::File { .. } => return false,
                }
            }
        }
        stream
            .write_all(&mut [IoSlice::new(&out)], PATIENCE)
            .await
            .is_ok()
    }
}

/// Whether a page of another site has made a browser ask this.
///
/// Browsers send `Sec-Fetch-Site` with everything that goes to this machine, and `Origin` with what may change
/// something; neither can be set by a page. A link to the dashboard itself may stand anywhere.
fn is_led_by_another_site(request: &Request) -> bool {
    let origin = request.fields.first_of("origin").unwrap_or_default();
    let own = format!("//{}", request.authority);
    let is_foreign = !origin.is_empty() && !origin.ends_with(own.as_bytes());
    let site = request.fields.first_of("sec-fetch-site").unwrap_or_default();
    let is_led = matches!(site, b"cross-site" | b"same-site");
    is_foreign || is_led && request.path != "/"
}
