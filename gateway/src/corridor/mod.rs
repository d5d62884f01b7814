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
mod deliver;
mod guard;
pub mod h2;
mod hot;
mod intake;
mod local;
mod proxy;
mod site;
mod stored;
pub mod worker;

use std::rc::Rc;
use std::sync::Arc;

use crate::config::plan::Action;
use crate::exchange::Exchange;
use crate::kit::accept;
use crate::listen::{Incoming, client, read_head};
use crate::reply::{Refusal, Reply, page};
use crate::snapshot::{Act, Service, Site};
use crate::stream::{Buffer, Stream};
use crate::upstream::head::{hex, max_forwards};
use crate::wire::framing::{self, FramingFault};
use crate::wire::target::Form;
use crate::wire::{HeadFault, Length, Method, Name, Version};
use guard::{Checked, Stage, Wait};
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
            Ok(Verdict::Wait(site, wait)) => Ok(Box::pin(self.wait_in(&site, wait)).await),
            decided => decided,
        };
        match decided {
            Ok(Verdict::Pass(service)) => match self.hot() {
                Hot::Done(next) => next,
                Hot::Rest(rest) => self.send_rest(rest).await,
                // In a box: what a hit does not need is not carried along by it.
                Hot::Cold => Box::pin(self.pass_on(&service)).await,
            },
            Ok(Verdict::Reply(reply)) => self.reply(reply).await,
            Ok(Verdict::Refuse(refusal, fields)) => Box::pin(self.refuse(refusal, fields)).await,
            // Who waits is answered by somebody else; see `wait_in`.
            Ok(Verdict::Wait(..) | Verdict::Abandon) => Next::Abandon,
            Err(refusal) => Box::pin(self.refuse_head(refusal)).await,
        }
    }

    /// listen: who asks, by which door, under which name.
    fn introduce(&mut self) {
        let x = &mut self.x;
        x.timings.head = Some(self.worker.mono().since(x.began.mono));
        x.port = self.door.port;
        x.scheme = self.door.scheme;
        let trusted = &x.snapshot.plan.server.trusted_proxies;
        // Whoever can reach a Unix socket is on this machine, put there by the operator.
        x.is_peer_trusted = x.peer_ip.is_none_or(|ip| trusted.contains(ip));
        x.client_ip = client::address(x.peer_ip, &x.request.fields, trusted);
        let given = client::request_id(&x.request.fields).filter(|_| x.is_peer_trusted);
        match given {
            Some(given) => x.request_id.push_str(given),
            None => write_request_id(self.worker, &mut x.request_id),
        }
        let limits = &x.snapshot.plan.server.limits;
        x.keeps = x.request.wants_keep_alive()
            && self.served < limits.keepalive_requests
            && !self.door.is_closing();
    }

    /// Everything up to the action. An error is a request whose connection cannot be trusted any further.
    fn decide(&mut self) -> Result<Verdict, Refusal> {
        let x = &mut self.x;
        x.length = framing::of_request(&x.request).map_err(of_framing_fault)?;
        // A client that takes its tunnel for granted has sent bytes of another protocol already: what follows
        // must not be read as requests.
        if x.request.method == Method::Connect {
            return Err(Refusal::MethodNotImplemented);
        }
        if let Some(verdict) = answer_by_method(x) {
            return Ok(verdict);
        }
        if self.door.listener.redirect_to_https {
            // An HTTP/1.0 client may name no host; then there is nowhere to send it.
            if x.request.host.is_empty() {
                return Ok(Verdict::refuse(Refusal::BadRequest));
            }
            return Ok(Verdict::Reply(redirect_to_https(x)));
        }
        if let Some(method) = guard::asked_method(x.request.method, &x.request.fields)
            && let Some((site, verdict)) = site::for_method(x, self.door, method)
                .and_then(|site| guard::preflight(x, &site).map(|verdict| (site, verdict)))
        {
            x.site = Some(site);
            return Ok(verdict);
        }
        let site = match site::find(x, self.door, &mut ()) {
            Ok(site) => site,
            Err(verdict) => return Ok(verdict),
        };
        x.site = Some(Arc::clone(&site));
        match site::rewritten(&site.route, &x.request.path) {
            Ok(path) => x.rewritten = path,
            Err(refusal) => return Ok(Verdict::refuse(refusal)),
        }
        coded::forget_part(x, &site);
        if let Some(refusal) = expectation(x, &site) {
            return Ok(Verdict::refuse(refusal));
        }
        Ok(match self.guard(&site, Stage::Address) {
            Checked::In => self.act(&site),
            Checked::Out(verdict) => verdict,
            Checked::Wait(wait) => Verdict::Wait(site, wait),
        })
    }

    fn act(&self, site: &Site) -> Verdict {
        match (&site.act, &site.route.action) {
            (Act::Upstream(service), _) => Verdict::Pass(Arc::clone(service)),
            (Act::Split(shares), _) => Verdict::Pass(draw_share(shares, self.worker.draw())),
            (Act::Files(files), _) => local::serve_file(&self.x, site, files),
            (_, Action::Redirect { to, status }) => {
                Verdict::Reply(local::redirect(*status, local::location(&self.x, to)))
            }
            (
                _,
                Action::Respond {
                    status,
                    body,
                    content_type,
                },
            ) => Verdict::Reply(Reply::of(*status, content_type, body.clone())),
            (Act::Redirect | Act::Respond, _) => Verdict::refuse(Refusal::Internal),
        }
    }

    /// A refusal after which nothing on this connection can be believed to be where it seems to be.
    async fn refuse_head(&mut self, refusal: Refusal) -> Next {
        self.x.keeps = false;
        self.x.length = Length::UntilClose;
        if self.x.request_id.is_empty() {
            self.x.port = self.door.port;
            write_request_id(self.worker, &mut self.x.request_id);
        }
        self.refuse(refusal, Vec::new()).await
    }

    async fn refuse(&mut self, refusal: Refusal, fields: Vec<(&'static str, String)>) -> Next {
        self.x.refusal = Some(refusal);
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

/// Methods that are about the gateway itself, or that it never passes on.
fn answer_by_method(x: &Exchange) -> Option<Verdict> {
    let is_last_hop = max_forwards(&x.request) == Some(0);
    match x.request.method {
        // RFC 9110 §9.3.8 asks whoever answers TRACE to leave out what may be secret, which it cannot know:
        // it is refused here, and so never reaches an origin that is less careful.
        Method::Trace => Some(Verdict::refuse_method(
            "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH".to_owned(),
        )),
        // RFC 9110 §7.6.2: "If the received value is zero (0), the intermediary MUST NOT forward the message".
        Method::Options if is_last_hop || x.request.form == Form::Asterisk => {
            let allow = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
            Some(Verdict::Reply(Reply::empty(204).with("Allow", allow)))
        }
        _ => None,
    }
}

/// Whether what the request expects, and the body it announces, can be had here.
fn expectation(x: &Exchange, site: &Site) -> Option<Refusal> {
    // RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member other than
    // 100-continue MAY respond with a 417". An HTTP/1.0 client's is ignored.
    let expects = |value: &[u8]| !value.eq_ignore_ascii_case(b"100-continue");
    if x.request.version == Version::Http11 && x.request.fields.elements(Name::Expect).any(expects) {
        return Some(Refusal::ExpectationFailed);
    }
    match x.length {
        Length::Known(n) if n > site.route.max_body => Some(Refusal::BodyTooLarge),
        Length::None | Length::Known(_) | Length::Chunked | Length::UntilClose => None,
    }
}

fn redirect_to_https(x: &Exchange) -> Reply {
    let query = x
        .request
        .query
        .as_ref()
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    let location = format!("https://{}{}{query}", x.request.host, x.request.path_to_send());
    // 308 keeps the method, so that a form is not turned into a GET on its way.
    local::redirect(308, location)
}

fn draw_share(shares: &[(Arc<Service>, std::num::NonZeroU32)], draw: u64) -> Arc<Service> {
    let total: u64 = shares.iter().map(|(_, w)| u64::from(w.get())).sum();
    let mut at = draw % total.max(1);
    for (service, weight) in shares {
        match at.checked_sub(weight.get().into()) {
            Some(rest) => at = rest,
            None => return Arc::clone(service),
        }
    }
    Arc::clone(&shares[0].0)
}

fn write_request_id(worker: &Worker, id: &mut String) {
    for half in [hex(worker.draw()), hex(worker.draw())] {
        id.push_str(std::str::from_utf8(&half).expect("hexadecimal digits are ASCII"));
    }
}

fn of_head_fault(fault: HeadFault) -> Refusal {
    match fault {
        HeadFault::Malformed(rule) => {
            log::debug!("a request was refused: {rule}");
            Refusal::BadRequest
        }
        HeadFault::TooLarge | HeadFault::TooManyFields => Refusal::HeadTooLarge,
        HeadFault::TargetTooLong => Refusal::UriTooLong,
        HeadFault::Version => Refusal::VersionNotSupported,
    }
}

fn of_framing_fault(fault: FramingFault) -> Refusal {
    match fault {
        FramingFault::Ambiguous(rule) => {
            log::debug!("a request was refused: {rule}");
            Refusal::BadRequest
        }
        FramingFault::UnknownCoding => Refusal::UnknownCoding,
    }
}
