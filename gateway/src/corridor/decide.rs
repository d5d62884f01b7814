//! What becomes of a request, up to its action: by one code, for those that are served and for those that are explained.

use std::sync::Arc;

use super::guard::{Checked, Stage, asked_method, preflight};
use super::hand::{Hand, Room};
use super::worker::Door;
use super::{Verdict, coded, local, site};
use crate::config::plan::Action;
use crate::exchange::Exchange;
use crate::listen::client;
use crate::reply::{Refusal, Reply};
use crate::snapshot::{Act, Service, Site};
use crate::upstream::head::{hex, max_forwards};
use crate::wire::framing::{self, FramingFault};
use crate::wire::target::Form;
use crate::wire::{HeadFault, Length, Method, Name, Version};

/// A request that is being decided upon.
pub(super) struct Deciding<'a, H> {
    pub(super) x: &'a mut Exchange,
    pub(super) door: &'a Door,
    /// Carries out what is decided.
    pub(super) hand: H,
}

impl<H: Hand> Deciding<'_, H> {
    /// listen: who asks, by which door, under which name.
    pub(super) fn introduce(&mut self) {
        let x = &mut *self.x;
        x.port = self.door.port;
        x.scheme = self.door.scheme;
        let trusted = &x.snapshot.plan.server.trusted_proxies;
        // Whoever can reach a Unix socket is on this machine, put there by the operator.
        x.is_peer_trusted = x.peer_ip.is_none_or(|ip| trusted.contains(ip));
        x.client_ip = client::address(x.peer_ip, &x.request.fields, trusted);
        let given = client::request_id(&x.request.fields).filter(|_| x.is_peer_trusted);
        match given {
            Some(given) => x.request_id.push_str(given),
            None => self.name(),
        }
    }

    /// Gives the request a name.
    pub(super) fn name(&mut self) {
        for half in [hex(self.hand.draw()), hex(self.hand.draw())] {
            let half = std::str::from_utf8(&half).expect("hexadecimal digits are ASCII");
            self.x.request_id.push_str(half);
        }
    }

    /// Everything up to the action. An error is a request whose connection cannot be trusted any further.
    pub(super) fn decide(&mut self) -> Result<Verdict, Refusal> {
        if let Some(verdict) = self.decide_here()? {
            return Ok(verdict);
        }
        let x = &mut *self.x;
        let site = match site::find(x, self.door, &mut self.hand) {
            Ok(site) => site,
            Err(verdict) => {
                self.hand.note(Room::Route, || told_of_none(&verdict));
                return Ok(verdict);
            }
        };
        x.site = Some(Arc::clone(&site));
        match site::rewritten(&site.route, &x.request.path) {
            Ok(path) => {
                if let Some(path) = &path {
                    self.hand.note(Room::Route, || format!("rewritten to {path}"));
                }
                x.rewritten = path;
            }
            Err(refusal) => {
                self.hand.note(Room::Route, || {
                    "the rewrite puts dot segments into the path".to_owned()
                });
                return Ok(Verdict::refuse(refusal));
            }
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

    /// What is answered without a route.
    fn decide_here(&mut self) -> Result<Option<Verdict>, Refusal> {
        let x = &mut *self.x;
        x.length = framing::of_request(&x.request).map_err(of_framing_fault)?;
        // A client that takes its tunnel for granted has sent bytes of another protocol already: what follows
        // must not be read as requests.
        if x.request.method == Method::Connect {
            return Err(Refusal::MethodNotImplemented);
        }
        if let Some(verdict) = answer_by_method(x) {
            self.hand
                .note(Room::Listen, || "a method that is answered here".to_owned());
            return Ok(Some(verdict));
        }
        if let Some(reply) = local::proof(x, self.door) {
            self.hand.note(Room::Listen, || {
                "a proof for an order of a certificate".to_owned()
            });
            return Ok(Some(Verdict::Reply(reply)));
        }
        if self.door.listener.redirect_to_https {
            self.hand.note(Room::Listen, || "redirect_to_https".to_owned());
            // An HTTP/1.0 client may name no host; then there is nowhere to send it.
            if x.request.host.is_empty() {
                return Ok(Some(Verdict::refuse(Refusal::BadRequest)));
            }
            return Ok(Some(Verdict::Reply(redirect_to_https(x))));
        }
        if let Some(method) = asked_method(x.request.method, &x.request.fields)
            && let Some((site, verdict)) = site::for_method(x, self.door, method)
                .and_then(|site| preflight(x, &site).map(|verdict| (site, verdict)))
        {
            self.hand.note(Room::Guard, || {
                format!("a browser's question before {}: answered here", site.route.name)
            });
            x.site = Some(site);
            return Ok(Some(verdict));
        }
        Ok(None)
    }

    /// What the route does with whoever has come in.
    pub(super) fn act(&mut self, site: &Site) -> Verdict {
        self.hand.mirror(self.x, site);
        match (&site.act, &site.route.action) {
            (Act::Upstream(service), _) => Verdict::Pass(Arc::clone(service)),
            (Act::Split(shares), _) => Verdict::Pass(self.hand.share(shares)),
            (Act::Files(files), _) => self.hand.serve_file(self.x, site, files),
            (_, Action::Redirect { to, status }) => {
                Verdict::Reply(local::redirect(*status, local::location(self.x, to)))
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
}

/// Why there is no route, for people.
fn told_of_none(verdict: &Verdict) -> String {
    let text = match verdict {
        Verdict::Refuse(Refusal::BadRequest, _) => {
            "an origin that takes the encoded slash for a slash would serve another route's"
        }
        Verdict::Refuse(Refusal::MethodNotAllowed, _) => "only routes for other methods match",
        _ => "no route matches this host and path",
    };
    text.to_owned()
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

pub(super) fn draw_share(shares: &[(Arc<Service>, std::num::NonZeroU32)], draw: u64) -> Arc<Service> {
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

pub(super) fn of_head_fault(fault: HeadFault) -> Refusal {
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
