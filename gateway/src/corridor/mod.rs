//! The walk of one request through the rooms, and all of its branching.
//!
//! ```text
//! client ─► listen ─► route ─► guard ──┬─► cache ─┬─► balance ─► upstream ─► origin   (cached.rs; proxy.rs, once per try)
//!                                      ├─► files, respond, redirect                   (here)
//! client ◄─ reply ◄────────────────────┴──────────┴───◄─ relay ◄──────────┘
//!              └► observe: one line, a few counters; leases and permits fall out of scope
//! ```

mod afterwards;
pub mod arrival;
mod attempt;
mod bring;
mod cached;
mod coded;
pub mod connection;
mod decide;
mod deliver;
pub mod explain;
mod guard;
pub mod h2;
mod hand;
mod hot;
mod intake;
mod local;
mod mirror;
mod proxy;
mod site;
mod stored;
mod trace;
pub mod worker;

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::{Exchange, Stretch};
use crate::kit::accept;
use crate::listen::{Incoming, read_head};
use crate::reply::{Refusal, Reply, page};
use crate::snapshot::{Service, Site};
use crate::stream::{Buffer, Stream};
use crate::wire::{Length, Name};
use decide::{Deciding, of_head_fault};
use guard::Wait;
use hand::Live;
use hot::Hot;
use worker::{Counted, Door, Worker};

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It carries another one.
    Keep,
    /// It is closed: its last answer was whole.
    Close,
    /// It is closed once the client has stopped sending.
    Linger,
    /// It is given up at once: nobody is there, or what was sent must not look whole.
    Abandon,
}

/// What is done with a request.
enum Verdict {
    /// Answered here.
    Reply(Reply),
    /// Passed on.
    Pass(Arc<Service>),
    /// Refused, with fields that belong to the refusal.
    Refuse(Refusal, Vec<(&'static str, String)>),
    /// Not decided yet: something has to be waited for.
    Wait(Arc<Site>, Wait),
    /// Nobody is there any more to be answered.
    Abandon,
}

/// One request being served.
struct Visit<'a> {
    worker: &'a Rc<Worker>,
    door: &'a Door,
    stream: &'a Stream,
    buffer: &'a mut Buffer,
    x: Exchange,
    /// Which request of its connection this is, from 1.
    served: u64,
}

impl Visit<'_> {
    async fn walk(&mut self) -> Next {
        let incoming = {
            let limits = &self.x.snapshot.plan.server.limits;
            read_head(self.stream, self.buffer, &mut self.x.request, limits).await
        };
        let _running = Counted::new(&self.worker.load.requests);
        let next = match incoming {
            Incoming::Left | Incoming::Broken => return Next::Abandon,
            Incoming::TooSlow => Box::pin(self.refuse_head(Refusal::HeaderTimeout)).await,
            Incoming::Refused(fault) => Box::pin(self.refuse_head(of_head_fault(fault))).await,
            Incoming::Whole => {
                self.introduce();
                let decided = self.decide();
                self.conclude(decided).await
            }
        };
        self.worker.tell(&self.x);
        next
    }

    /// Does what was decided.
    async fn conclude(&mut self, decided: Result<Verdict, Refusal>) -> Next {
        let decided = match decided {
            Ok(Verdict::Wait(site, wait)) => {
                self.x.guard_time = Some(Stretch::begin(self.worker.mono()));
                let verdict = Box::pin(self.wait_in(&site, wait)).await;
                if let Some(time) = &mut self.x.guard_time {
                    time.ended = Some(self.worker.mono());
                }
                Ok(verdict)
            }
            decided => decided,
        };
        match decided {
            Ok(Verdict::Pass(service)) => match self.hot() {
                Hot::Done(next) => next,
                Hot::Rest(rest) => Box::pin(self.send_rest(rest)).await,
                // In a box: what a hit does not need is not carried along by it.
                Hot::Cold => Box::pin(self.pass_on(&service)).await,
            },
            Ok(Verdict::Reply(reply)) => Box::pin(self.reply(reply)).await,
            Ok(Verdict::Refuse(refusal, fields)) => Box::pin(self.refuse(refusal, fields)).await,
            // Who waits is answered by somebody else; see `wait_in`.
            Ok(Verdict::Wait(..) | Verdict::Abandon) => Next::Abandon,
            Err(refusal) => Box::pin(self.refuse_head(refusal)).await,
        }
    }

    /// listen: who asks, by which door, under which name.
    fn introduce(&mut self) {
        self.x.timings.head = Some(self.worker.mono().since(self.x.began.mono));
        self.deciding().introduce();
        let x = &mut self.x;
        let limits = &x.snapshot.plan.server.limits;
        x.keeps = x.request.wants_keep_alive()
            && self.served < limits.keepalive_requests
            && !self.door.is_closing();
    }

    /// Everything up to the action. An error is a request whose connection cannot be trusted any further.
    fn decide(&mut self) -> Result<Verdict, Refusal> {
        self.deciding().decide()
    }

    /// The request, to be decided upon for good.
    fn deciding(&mut self) -> Deciding<'_, Live<'_>> {
        Deciding {
            x: &mut self.x,
            door: self.door,
            hand: Live(self.worker),
        }
    }

    /// A refusal after which nothing on this connection can be believed to be where it seems to be.
    async fn refuse_head(&mut self, refusal: Refusal) -> Next {
        self.x.keeps = false;
        self.x.length = Length::UntilClose;
        if self.x.request_id.is_empty() {
            self.x.port = self.door.port;
            self.deciding().name();
        }
        self.refuse(refusal, Vec::new()).await
    }

    async fn refuse(&mut self, refusal: Refusal, fields: Vec<(&'static str, String)>) -> Next {
        self.x.refusal = Some(refusal);
        if self.x.is_grpc() {
            let mut reply = page::refuse_call(refusal);
            reply.fields.extend(fields);
            return self.reply(reply).await;
        }
        let prefers_html = accept::prefers_html(self.x.request.fields.elements(Name::Accept));
        let mut reply = page::refuse(
            refusal,
            &self.x.request_id,
            prefers_html,
            self.x.guarded.violated.as_deref(),
        );
        reply.fields.extend(fields);
        self.reply(reply).await
    }
}

impl Verdict {
    fn refuse(refusal: Refusal) -> Self {
        Self::Refuse(refusal, Vec::new())
    }

    /// RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field".
    fn refuse_method(allowed: String) -> Self {
        Self::Refuse(Refusal::MethodNotAllowed, vec![("Allow", allowed)])
    }
}
