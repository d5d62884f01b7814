//! What can be asked at the admin address, one line each.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{apply, purge, scrape, status};
use crate::config::plan::Address;
use crate::handover::Successor;
use crate::reload::{Control, UpgradeFault};
use crate::reply::Reply;
use crate::upstream::Order;
use crate::wire::{Method, Name, Request};

/// The media type of an answer in JSON.
pub const JSON: &str = "application/json";

/// Answers one request.
pub fn answer(control: &Control, request: &Request, body: &[u8]) -> Reply {
    let is_read = matches!(request.method, Method::Get | Method::Head);
    let is_post = request.method == Method::Post;
    match request.path.as_str() {
        "/healthz" if is_read => text(200, "alive\n"),
        "/metrics" if is_read => {
            let (content_type, page) = scrape::metrics(control, request.fields.first(Name::Accept));
            Reply::of(200, content_type, page)
        }
        "/apply" if is_post => apply::apply(control, body),
        "/purge" if is_post => purge::purge(control, body),
        "/readyz" if is_read => readiness(control),
        "/reload" if is_post => reload(control),
        "/reopen" if is_post => match control.reopen_logs() {
            Ok(()) => json(
                200,
                &Done {
                    done: "logs reopened",
                },
            ),
            Err(fault) => problem(500, &fault.to_string()),
        },
        "/status" if is_read => json(200, &status(control)),
        "/stop" if is_post => {
            control.stop_requested.notify_one();
            json(202, &Done { done: "draining" })
        }
        path => match path.strip_prefix("/upstreams/") {
            Some(rest) if is_post => command_server(control, rest, body),
            Some(_) => problem(405, "This is asked by POST.").with("Allow", "POST"),
            None if KNOWN.contains(&path) => {
                problem(405, "This is asked by another method.").with("Allow", "GET, HEAD, POST")
            }
            None => problem(
                404,
                "There is nothing at this address. Try / (the dashboard), /status, /metrics, /healthz, /readyz or POST /reload.",
            ),
        },
    }
}

const KNOWN: [&str; 17] = [
    "/apply",
    "/",
    "/app.js",
    "/style.css",
    "/icon.svg",
    "/events",
    "/explain",
    "/history",
    "/healthz",
    "/metrics",
    "/purge",
    "/readyz",
    "/reload",
    "/reopen",
    "/status",
    "/stop",
    "/upgrade",
];

#[derive(Serialize)]
struct Done {
    done: &'static str,
}

fn readiness(control: &Control) -> Reply {
    if control.is_draining() {
        text(503, "draining\n")
    } else {
        text(200, "ready\n")
    }
}

fn reload(control: &Control) -> Reply {
    match control.reload() {
        Ok(changes) => {
            let warnings = control.report().problems;
            let text = changes.to_string();
            json(
                200,
                &serde_json::json!({ "ok": true, "changes": changes, "text": text, "warnings": warnings }),
            )
        }
        Err(problems) => json(422, &serde_json::json!({ "ok": false, "problems": problems })),
    }
}

/// What came of `POST /upgrade`.
pub fn upgraded(outcome: Result<Successor, UpgradeFault>) -> Reply {
    match outcome {
        Ok(Successor { pid, version, .. }) => json(
            200,
            &serde_json::json!({ "ok": true, "pid": pid, "version": version }),
        ),
        Err(fault) => {
            let status = match fault {
                UpgradeFault::UnderWay | UpgradeFault::Stopping | UpgradeFault::Applying => 409,
                UpgradeFault::NoProgram | UpgradeFault::FirstProcess => 501,
                UpgradeFault::Sockets(_) => 500,
                UpgradeFault::Give(_) => 422,
            };
            let problem = fault.to_string();
            json(status, &serde_json::json!({ "ok": false, "problem": problem }))
        }
    }
}

/// `POST /upstreams/NAME/servers/ADDRESS`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    state: Option<String>,
    weight: Option<u32>,
}

fn command_server(control: &Control, path: &str, body: &[u8]) -> Reply {
    let snapshot = control.snapshot();
    let Some((name, address)) = path.split_once("/servers/") else {
        return problem(404, "Ask for /upstreams/NAME/servers/ADDRESS.");
    };
    let Some(service) = snapshot.service(&decoded(name)) else {
        return problem(404, "There is no upstream of that name.");
    };
    let seat = Address::parse(&decoded(address)).and_then(|a| service.pool.seat(&a).cloned());
    let Some(seat) = seat else {
        return problem(404, "The upstream has no server of that address.");
    };
    let command: Command = match serde_json::from_slice(body) {
        Ok(command) => command,
        Err(error) => {
            return problem(
                400,
                &format!("The body is not {{\"state\": …, \"weight\": …}}: {error}."),
            );
        }
    };
    let order = command.state.as_deref().map(Order::parse);
    let weight = command.weight.map(NonZeroU32::new);
    match (order, weight) {
        (None, None) => return problem(400, "Say \"state\" or \"weight\"."),
        (Some(None), _) => return problem(400, "state is one of up, drain and down."),
        (_, Some(None)) => return problem(400, "weight is at least 1."),
        (Some(Some(_)) | None, Some(Some(_)) | None) => {}
    }
    if let Some(Some(weight)) = weight {
        seat.reweigh(Some(weight));
    }
    if let Some(Some(order)) = order {
        seat.command(order, control.clock.now().mono);
        log::info!("upstream {name}: server {address} is ordered {}", order.name());
    }
    let status = serde_json::json!({ "upstream": service.plan.name, "state": seat.order().name(), "weight": seat.weight() });
    json(200, &status)
}

/// Percent-decoded.
pub fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// A refusal in the house's form.
pub fn problem(status: u16, detail: &str) -> Reply {
    let body = serde_json::json!({ "type": "about:blank", "status": status, "detail": detail });
    Reply::of(status, "application/problem+json", format!("{body}\n"))
}

fn text(status: u16, body: &'static str) -> Reply {
    Reply::of(status, "text/plain; charset=utf-8", body)
}

/// An answer in JSON.
pub fn json(status: u16, value: &impl Serialize) -> Reply {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Reply::of(status, JSON, format!("{text}\n")).with("Cache-Control", "no-store"),
        Err(error) => problem(500, &error.to_string()),
    }
}
