//! The body of a refusal: problem+json for programs (RFC 9457), a page for browsers.

use super::{Refusal, Reply};
use crate::kit::grpc;

/// The problem type of a limit that refuses a request.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Builds the answer that tells a client of a refusal. It names the request, and nothing behind the gateway.
///
/// `violated` names the limit that refuses it, which stands in the fields of limits too.
/// `status` is the refusal's own unless a static file said otherwise.
pub fn refuse(refusal: Refusal, request_id: &str, prefers_html: bool, violated: Option<&str>) -> Reply {
    let facts = refusal.facts();
    let reply = if prefers_html {
        let (status, title, detail) = (facts.status, facts.title, facts.detail);
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{status} {title}</title>\n<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;\
             color-scheme:light dark}}small{{opacity:.6}}</style>\n<h1>{title}</h1>\n<p>{detail}</p>\n<p><small>{status} · request {request_id}</small></p>\n"
        );
        Reply::of(status, "text/html; charset=utf-8", page)
    } else {
        let mut body = serde_json::json!({
            "type": "about:blank", "title": facts.title, "status": facts.status, "detail": facts.detail,
            "reason": facts.word, "request_id": request_id,
        });
        if let Some(limit) = violated {
            // draft-ietf-httpapi-ratelimit-headers has a type and a member for it.
            body["type"] = QUOTA_EXCEEDED.into();
            body["violated-policies"] = serde_json::json!([limit]);
        }
        Reply::of(facts.status, "application/problem+json", format!("{body}\n"))
    };
    let reply = reply.with("Cache-Control", "no-store");
    match refusal {
        // RFC 9110 §15.6.4: "The server MAY send a Retry-After"; one probe interval is what it may take.
        Refusal::NoServer | Refusal::NotDiscovered | Refusal::Overloaded => reply.with("Retry-After", "5"),
        _ => reply,
    }
}

/// The same for a client of gRPC: an answer that is trailers alone, in the head (gRPC over HTTP/2, "Trailers-Only"). Its
/// HTTP status is 200, as gRPC's clients read no other; logs and counts have the refusal's own.
pub fn refuse_call(refusal: Refusal) -> Reply {
    let facts = refusal.facts();
    let status = match refusal {
        // The call's own time has run out, or the route's.
        Refusal::RequestTimeout => grpc::Status::DeadlineExceeded,
        _ => grpc::Status::of_http(facts.status),
    };
    Reply {
        stands_for: Some(facts.status),
        ..Reply::empty(200)
    }
    .with("Content-Type", "application/grpc")
    .with("grpc-status", status.number().to_string())
    .with("grpc-message", grpc::message(facts.detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Segment;

    fn body(reply: &Reply) -> &str {
        let Segment::Bytes(bytes) = &reply.body.segments[0] else {
            panic!("a refusal is in memory")
        };
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_refusal_is_valid_json_with_its_own_word_and_its_status() {
        let mut words = std::collections::HashSet::new();
        for refusal in Refusal::ALL {
            let reply = refuse(*refusal, "abc", false, None);
            let problem: serde_json::Value = serde_json::from_str(body(&reply)).unwrap();
            assert_eq!(problem["status"], reply.status);
            assert_eq!(problem["request_id"], "abc");
            assert!((400..600).contains(&reply.status) && words.insert(refusal.facts().word));
        }
    }

    #[test]
    fn a_browser_gets_a_page() {
        let reply = refuse(Refusal::NotFound, "abc", true, None);
        assert!(body(&reply).contains("<h1>Not Found</h1>"));
        assert_eq!(reply.fields[0].1, "text/html; charset=utf-8");
    }
}
