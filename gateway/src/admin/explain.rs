//! `/explain`: what would happen to a request now, step by step, and why.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{self, problem};
use crate::corridor::explain::{
    Cached, Entrance, Explanation, LimitSeen, Outcome, Question, ServerSeen, explain,
};
use crate::reload::Control;
use crate::reply::Reply;
use crate::wire::{Method, Request};

/// What `POST /explain` is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    method: Option<String>,
    url: String,
    /// Lines: `Name: value`.
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    listener: Option<String>,
}

/// Answers `GET /explain?method=&url=&header=&from=&listener=`, and the same by POST with JSON.
///
/// In the query values are percent-encoded; a plus sign is a plus sign. `header` may stand there several times.
pub async fn answer(control: &Control, request: &Request, body: &[u8]) -> Reply {
    let question = match request.method {
        Method::Post => of_body(body),
        _ => of_query(request.query.as_deref().unwrap_or_default()),
    };
    let question = match question {
        Ok(question) => question,
        Err(message) => return problem(400, &message),
    };
    match explain(&question, control.snapshot(), entrances(control), &control.clock).await {
        Ok(explanation) => api::json(200, &shape(&explanation)),
        Err(fault) => problem(400, &fault.to_string()),
    }
}

fn entrances(control: &Control) -> Vec<Entrance> {
    let doors = control.doors();
    let open = doors.iter();
    open.map(|door| (door.listener.clone(), door.tls.clone()))
        .collect()
}

fn of_body(body: &[u8]) -> Result<Question, String> {
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        let shape = "{\"method\": \"GET\", \"url\": \"…\", \"headers\": [\"Name: value\"], \"from\": \"IP\", \"listener\": \"NAME\"}";
        format!("The body is not of the form {shape}: {error}.")
    })?;
    Ok(Question {
        method: asked.method.unwrap_or_else(|| "GET".to_owned()),
        url: asked.url,
        headers: asked
            .headers
            .iter()
            .map(|line| header(line))
            .collect::<Result<_, _>>()?,
        from: asked.from.as_deref().map(address).transpose()?,
        listener: asked.listener,
    })
}

fn of_query(query: &str) -> Result<Question, String> {
    let mut question = Question {
        method: "GET".to_owned(),
        ..Question::default()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = api::decoded(value);
        match name {
            "method" => question.method = value,
            "url" => question.url = value,
            "header" => question.headers.push(header(&value)?),
            "from" => question.from = Some(address(&value)?),
            "listener" => question.listener = Some(value),
            other => {
                return Err(format!(
                    "There is no parameter {other}: say method, url, header, from and listener."
                ));
            }
        }
    }
    match question.url.is_empty() {
        true => Err("Say which URL: /explain?method=GET&url=http://example.com/".to_owned()),
        false => Ok(question),
    }
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("A header is written 'Name: value', and not {line:?}."))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("from is an IP address, and not {text:?}."))
}

fn shape(told: &Explanation) -> Value {
    let reason = match told.outcome {
        Outcome::Refuse(refusal) => Some(refusal.facts().word),
        Outcome::Proxy
        | Outcome::Hit
        | Outcome::Stale
        | Outcome::Static
        | Outcome::Respond
        | Outcome::Redirect => None,
    };
    let steps = told.steps.iter();
    json!({
        "verdict": word(told.outcome),
        "route": told.route,
        "status": told.status,
        "reason": reason,
        "location": told.location,
        "upstream": told.upstream,
        "server": told.server,
        "candidates": told.candidates,
        "cache": told.cache.as_ref().map(of_cache),
        "limits": told.limits.iter().map(of_limit).collect::<Vec<_>>(),
        "servers": told.servers.iter().map(of_server).collect::<Vec<_>>(),
        "assumed": told.assumed,
        "steps": steps.map(|step| json!({ "room": step.room, "text": step.text })).collect::<Vec<_>>(),
    })
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Proxy => "proxy",
        Outcome::Hit => "hit",
        Outcome::Stale => "stale",
        Outcome::Static => "static",
        Outcome::Respond => "respond",
        Outcome::Redirect => "redirect",
        Outcome::Refuse(_) => "refuse",
    }
}

fn of_cache(cached: &Cached) -> Value {
    json!({
        "store": cached.store,
        "key": cached.key,
        "state": cached.state,
        "reason": cached.reason,
        "age": cached.age_s,
        "tags": cached.tags,
    })
}

fn of_limit(limit: &LimitSeen) -> Value {
    json!({
        "name": limit.name,
        "key": limit.key,
        "left": limit.left,
        "admits": limit.left > 0,
        "retry_after_ms": limit.retry_after_ms,
    })
}

fn of_server(server: &ServerSeen) -> Value {
    json!({
        "address": server.address,
        "state": server.state,
        "weight": server.weight,
        "backup": server.backup,
        "in_flight": server.in_flight,
        "chosen": server.chosen,
        "reason": server.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_the_same_in_a_query_and_in_a_body() {
        let by_query = of_query(
            "method=POST&url=http%3A%2F%2Fa%2Fb%3Fc%3Dd%26e&header=X-A%3A%20b+c&header=Y:&from=::1&listener=p",
        );
        let by_body = of_body(
            br#"{"method": "POST", "url": "http://a/b?c=d&e", "headers": ["X-A: b+c", "Y:"], "from": "::1", "listener": "p"}"#,
        );
        let question = by_query.unwrap();
        assert_eq!(question.url, "http://a/b?c=d&e");
        assert_eq!(question.headers[0], ("X-A".to_owned(), "b+c".to_owned()));
        assert_eq!(question, by_body.unwrap());
    }

    #[test]
    fn what_is_no_question_is_told_with_what_would_be_one() {
        for (query, word) in [
            ("", "which URL"),
            ("url=http://a/&verb=GET", "no parameter verb"),
            ("url=http://a/&header=none", "'Name: value'"),
            ("url=http://a/&from=here", "IP address"),
        ] {
            assert!(of_query(query).unwrap_err().contains(word), "{query}");
        }
        assert!(of_body(b"{}").unwrap_err().contains("\"url\""));
        assert!(of_body(br#"{"url": "/", "more": 1}"#).is_err());
    }
}
