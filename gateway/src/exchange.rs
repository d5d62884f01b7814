//! One request's diary: what each room has found out, in the order of the walk.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::fill::Fill;
use crate::cache::policy::CacheStatus;
use crate::cache::{Key, Meta, Object};
use crate::config::plan::LimitKey;
use crate::facts::Facts;
use crate::guard::token::Claims;
use crate::guard::{adaptive, concurrency};
use crate::kit::clock::{Mono, Now};
use crate::kit::grpc;
use crate::kit::trace_context::{SpanId, TraceParent};
use crate::observe::{CacheResult, Timings};
use crate::reply::Refusal;
use crate::snapshot::{Service, Site, Snapshot};
use crate::stream::IoFault;
use crate::upstream::Failure;
use crate::upstream::head::Fetch;
use crate::wire::{Answer, Length, Method, Name, Request};

/// Who is connected.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Its address, or that a trusted balancer has named; None over a Unix socket.
    pub ip: Option<IpAddr>,
    /// The subject of its certificate; None where none was asked for or shown.
    pub subject: Option<Arc<str>>,
    /// From its first byte to the end of its TLS handshake; None without TLS.
    pub greeted: Option<Stretch>,
}

/// A piece of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When it began.
    pub began: Mono,
    /// When it ended; None while it lasts.
    pub ended: Option<Mono>,
}

/// The field by which an origin is told the subject of a client's certificate.
pub const SUBJECT_FIELD: &str = "X-Client-Cert-Subject";

/// What is known of a request by now. No logic: the corridor writes it, the log reads it.
pub struct Exchange {
    /// Pinned at the start: one request never sees two configurations.
    pub snapshot: Arc<Snapshot>,
    /// When its first byte was there.
    pub began: Now,
    /// The handshake of its connection, which it is the first request of.
    pub greeted: Option<Stretch>,
    /// Whether it is asked in a client's stead, and nobody is told of its end.
    pub is_behind: bool,
    /// Whether it is a copy of a client's request, whose answer nobody waits for.
    pub is_mirrored: bool,

    // listen
    /// The head.
    pub request: Request,
    /// Who is connected; None over a Unix socket.
    pub peer_ip: Option<IpAddr>,
    /// Who asks.
    pub client_ip: Option<IpAddr>,
    /// Whether the peer's forwarding fields are believed.
    pub is_peer_trusted: bool,
    /// How the client spoke.
    pub scheme: &'static str,
    /// Of the listener.
    pub port: u16,
    /// Its name in every log.
    pub request_id: String,
    /// How long its body is.
    pub length: Length,
    /// Whether the connection may carry another request, as far as client and listener are concerned.
    pub keeps: bool,

    // route
    /// The route it takes.
    pub site: Option<Arc<Site>>,
    /// The path after the route's rewrite; None where it has none.
    pub rewritten: Option<String>,

    // guard
    /// What was found out about who asks, and what was said of limits.
    pub guarded: Guarded,
    /// Spent in lines, and on asking others who it is; None where nothing was waited for.
    pub guard_time: Option<Stretch>,

    // cache
    /// How the origin is asked where the answer is to be kept; None = as the client asks.
    pub fetch: Option<Fetch>,
    /// What the cache did; None on routes without one.
    pub cache_result: Option<CacheResult>,
    /// What the client is told of it.
    pub cache_status: Option<CacheStatus>,
    /// The key that is known to be uncacheable, and because of which the request goes alone.
    pub pass_mark: Option<Key>,
    /// What is stored of the answer the client gets; None where it comes from elsewhere.
    pub stored: Option<Stored>,

    /// Spent by the cache, until it answers or asks an origin; None where it had nothing to do, or at once.
    pub cache_time: Option<Stretch>,

    // balance, upstream
    /// Waited for room at the upstream; None where there was room, or need be none.
    pub queue_time: Option<Stretch>,
    /// Its trace, where this gateway takes part in it and an origin was asked.
    pub trace: Option<Box<Diary>>,
    /// The upstream asked.
    pub service: Option<Arc<Service>>,
    /// The last server tried, by its place in the pool.
    pub server: Option<usize>,
    /// Servers tried.
    pub tries: u32,
    /// From the first try to the answer's head.
    pub upstream_time: Option<Duration>,
    /// The origin's answer; its fields are good once `status` is the origin's.
    pub answer: Answer,

    // reply
    /// What the client was told; 0 while it was told nothing.
    pub status: u16,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// How the answer has broken off when the client had a part of it already: by its origin, by what is stored of it, by the
    /// route's time.
    pub broken_off: Option<Failure>,
    /// Set once the connection has gone over to another protocol; None where nobody has to know.
    pub has_switched: Option<Rc<Cell<bool>>>,
    /// Body bytes from the client.
    pub bytes_received: u64,
    /// Body bytes to the client.
    pub bytes_sent: u64,
    /// Where the time went.
    pub timings: Timings,
}

/// A stored answer, or one on its way into the store.
#[derive(Clone, Debug)]
pub enum Stored {
    /// It is there.
    Object(Arc<Object>),
    /// It is coming.
    Fill(Arc<Fill>),
}

impl Stored {
    /// All about it besides its body.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Object(object) => &object.meta,
            Self::Fill(fill) => &fill.meta,
        }
    }
}

/// A request's place in its trace, and the tries it has taken.
#[derive(Debug)]
pub struct Diary {
    /// The trace, and this request's own span.
    pub own: TraceParent,
    /// The span of whoever has sent it.
    pub parent: Option<SpanId>,
    /// In order.
    pub tries: Vec<Try>,
}

/// One try at a server.
#[derive(Debug)]
pub struct Try {
    /// Its span: what the server's own spans hang on.
    pub span: SpanId,
    /// The server, by its place in the pool.
    pub server: usize,
    /// From picking the server to the head of its answer.
    pub time: Stretch,
    /// Spent on getting a connection; None = an idle one was there.
    pub connect: Option<Duration>,
    /// What came of it; None = nothing, when the request ended.
    pub end: Option<TryEnd>,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryEnd {
    /// An answer of that status.
    Answered(u16),
    /// The server has failed.
    Failed(Failure),
    /// An idle connection had been closed; nobody's failure.
    Stale,
    /// The request came to an end by itself: its client left, or it was at fault.
    Abandoned,
}

impl Diary {
    /// Of the same request, asked once more in the client's stead.
    fn behind(&self) -> Self {
        Self {
            own: TraceParent {
                is_sampled: false,
                ..self.own
            },
            parent: self.parent,
            tries: Vec::new(),
        }
    }
}

impl Stretch {
    /// Begins.
    pub fn begin(now: Mono) -> Self {
        Self {
            began: now,
            ended: None,
        }
    }

    /// How long it was, or has been by now: a request may be given up within it.
    pub fn until(self, now: Mono) -> Duration {
        self.ended.unwrap_or(now).since(self.began)
    }
}

/// The two heads of an exchange, empty, with the memory of a former one.
#[derive(Default)]
pub struct Heads {
    /// What the client sends.
    pub request: Request,
    /// What an origin answers.
    pub answer: Answer,
    /// A request's name.
    pub request_id: String,
    /// What the guard adds to an answer.
    pub lines: Vec<u8>,
}

/// What the guard has found out, and what it holds until the request has ended.
#[derive(Default)]
pub struct Guarded {
    /// Whole lines that every answer carries.
    pub lines: Vec<u8>,
    /// Who asks, in the words of whoever vouches for it.
    pub user: Option<String>,
    /// Fields by which the origin is told who asks.
    pub told: Vec<(String, String)>,
    /// What the token says that let the request in.
    pub claims: Option<Arc<Claims>>,
    /// When the limits were charged that need not know who asks.
    pub counted_at: Mono,
    /// Whether those of them were charged here too that are counted elsewhere.
    pub is_warm_charged: bool,
    /// Places inside, by concurrency limits.
    pub permits: Vec<concurrency::Permit>,
    /// A place in flight to the upstream.
    pub room: Option<adaptive::Permit>,
    /// Name of the limit that refuses it.
    pub violated: Option<String>,
}

impl Guarded {
    /// The text of the claim that a limit counts by.
    pub fn claim_of(&self, key: &LimitKey) -> Option<&str> {
        match key {
            LimitKey::JwtClaim(claim) => self.claims.as_ref()?.text(claim),
            LimitKey::ClientIp
            | LimitKey::Cookie(_)
            | LimitKey::Global
            | LimitKey::Header(_)
            | LimitKey::Route => None,
        }
    }
}

impl Exchange {
    /// A request of which nothing has been read yet.
    pub fn new(snapshot: Arc<Snapshot>, began: Now, caller: &Caller, heads: Heads) -> Self {
        let peer_ip = caller.ip;
        let subject = caller.subject.as_ref();
        let told = subject.map(|subject| (SUBJECT_FIELD.to_owned(), subject.to_string()));
        Self {
            snapshot,
            began,
            greeted: None,
            is_behind: false,
            is_mirrored: false,
            request: heads.request,
            peer_ip,
            client_ip: peer_ip,
            is_peer_trusted: false,
            scheme: "http",
            port: 0,
            request_id: heads.request_id,
            length: Length::None,
            keeps: false,
            site: None,
            rewritten: None,
            guard_time: None,
            guarded: Guarded {
                lines: heads.lines,
                told: told.into_iter().collect(),
                ..Guarded::default()
            },
            fetch: None,
            cache_result: None,
            cache_status: None,
            pass_mark: None,
            stored: None,
            cache_time: None,
            queue_time: None,
            trace: None,
            service: None,
            server: None,
            tries: 0,
            upstream_time: None,
            answer: heads.answer,
            status: 0,
            refusal: None,
            broken_off: None,
            has_switched: None,
            bytes_received: 0,
            bytes_sent: 0,
            timings: Timings::default(),
        }
    }

    /// The same request, asked once more in the client's stead and without it.
    pub fn behind(&self, began: Now) -> Self {
        let heads = Heads {
            request: self.request.clone(),
            answer: Answer::default(),
            request_id: self.request_id.clone(),
            lines: Vec::new(),
        };
        let caller = Caller {
            ip: self.peer_ip,
            subject: None,
            greeted: None,
        };
        let mut own = Self::new(Arc::clone(&self.snapshot), began, &caller, heads);
        own.client_ip = self.client_ip;
        own.is_peer_trusted = self.is_peer_trusted;
        own.scheme = self.scheme;
        own.port = self.port;
        own.site.clone_from(&self.site);
        own.rewritten.clone_from(&self.rewritten);
        own.guarded.user.clone_from(&self.guarded.user);
        own.guarded.told.clone_from(&self.guarded.told);
        // Nobody writes its line, and so nobody its spans: in the same trace, and not kept.
        own.trace = self.trace.as_ref().map(|diary| Box::new(diary.behind()));
        own.is_behind = true;
        own
    }

    /// The cache has done its part, if it had begun one.
    pub fn cache_is_done(&mut self, now: Mono) {
        if let Some(time) = &mut self.cache_time {
            time.ended.get_or_insert(now);
        }
    }

    /// Notes why the client did not get all of its answer, if that was its own slowness.
    pub fn cut_off(&mut self, fault: &IoFault) {
        if matches!(fault, IoFault::TimedOut) {
            self.refusal = Some(Refusal::ReaderTimeout);
        }
    }

    /// Whether it is a call of gRPC, whose client reads no status but gRPC's.
    pub fn is_grpc(&self) -> bool {
        let content_type = self.request.fields.first(Name::ContentType);
        self.request.method == Method::Post && content_type.is_some_and(grpc::is_grpc)
    }

    /// The method the origin is asked with.
    pub fn method_sent(&self) -> Method {
        match self.fetch {
            Some(_) => Method::Get,
            None => self.request.method,
        }
    }

    /// What the rooms are given.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            request: &self.request,
            client_ip: self.client_ip,
            peer_ip: self.peer_ip,
            is_peer_trusted: self.is_peer_trusted,
            scheme: self.scheme,
            port: self.port,
            request_id: &self.request_id,
            route: self.site.as_ref().map_or("", |s| &s.route.name),
            began: self.began,
            told_names: self.site.as_ref().map_or(&[], |s| &s.told_names),
            told: &self.guarded.told,
            guard_lines: &self.guarded.lines,
        }
    }
}
