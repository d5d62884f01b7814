//! What goes wrong, as the client is told: a status and `application/problem+json` (RFC 9457).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::input::Fault;
use crate::{password, store};

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum Problem {
    /// The body is not JSON, or the query makes no sense.
    Malformed(Vec<Fault>),
    /// No token was sent.
    NoToken,
    /// The token is not, or no longer, good.
    BadToken,
    /// The name or the password is wrong; which of them is nobody's business.
    BadLogin,
    /// Known, but not allowed; the text says who is.
    Forbidden(&'static str),
    /// Nothing here, or nothing that this client may know of.
    NotFound,
    /// The path exists, for other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    Timeout,
    /// The state of things forbids it.
    Conflict(String),
    /// `If-Match` names another version.
    Stale,
    /// The body is too large.
    TooLarge(usize),
    /// The body is not said to be JSON.
    NotJson,
    /// Fields are wrong.
    Invalid(Vec<Fault>),
    /// Our fault; the text is for us.
    Internal(String),
    /// Too much to do.
    Busy,
    /// This process is about to end.
    Stopping,
    /// An error made on purpose.
    Chaos,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Problem::Malformed(_) => StatusCode::BAD_REQUEST,
            Problem::NoToken | Problem::BadToken | Problem::BadLogin => StatusCode::UNAUTHORIZED,
            Problem::Forbidden(_) => StatusCode::FORBIDDEN,
            Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Problem::Timeout => StatusCode::REQUEST_TIMEOUT,
            Problem::Conflict(_) => StatusCode::CONFLICT,
            Problem::Stale => StatusCode::PRECONDITION_FAILED,
            Problem::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Problem::Busy | Problem::Stopping | Problem::Chaos => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> String {
        match self {
            Problem::Malformed(_) => "The request cannot be read; errors says where.".to_owned(),
            Problem::NoToken => {
                "Log in with POST /login and send its token as Authorization: Bearer.".to_owned()
            }
            Problem::BadToken => "The token is not valid or its time is over: log in again.".to_owned(),
            Problem::BadLogin => "The name or the password is wrong.".to_owned(),
            Problem::Forbidden(who) => format!("Only {who} may do this."),
            Problem::NotFound => "There is nothing here that you may see.".to_owned(),
            Problem::MethodNotAllowed => "The header Allow says what can be done here.".to_owned(),
            Problem::Timeout => "The body took too long to arrive.".to_owned(),
            Problem::Conflict(what) => format!("This cannot be done: {what}."),
            Problem::Stale => "It has changed since you read it: read it again.".to_owned(),
            Problem::TooLarge(bytes_max) => format!("A body may have {bytes_max} bytes at most."),
            Problem::NotJson => "Send JSON, with Content-Type: application/json.".to_owned(),
            Problem::Invalid(_) => "Some fields are wrong; errors names each of them.".to_owned(),
            Problem::Internal(_) => "Something is broken here; it is not your fault.".to_owned(),
            Problem::Busy => "There is too much to do: try again in a moment.".to_owned(),
            Problem::Stopping => "This server is stopping: ask another one.".to_owned(),
            Problem::Chaos => "This error was made on purpose (--chaos).".to_owned(),
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            // RFC 6750, section 3.1: a request without any authentication gets no error code.
            Problem::NoToken | Problem::BadLogin => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(BEARER)))
            }
            Problem::BadToken => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(BEARER_INVALID))),
            // RFC 9110, section 15.5.16: Accept says what would have been understood.
            Problem::NotJson => Some((header::ACCEPT, HeaderValue::from_static("application/json"))),
            Problem::Busy | Problem::Stopping | Problem::Chaos => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            // The body may not have ended: nothing can follow it.
            Problem::Timeout | Problem::TooLarge(_) => {
                Some((header::CONNECTION, HeaderValue::from_static("close")))
            }
            Problem::Malformed(_)
            | Problem::Forbidden(_)
            | Problem::NotFound
            | Problem::MethodNotAllowed
            | Problem::Conflict(_)
            | Problem::Stale
            | Problem::Invalid(_)
            | Problem::Internal(_) => None,
        }
    }

    fn errors(&self) -> &[Fault] {
        match self {
            Problem::Malformed(faults) | Problem::Invalid(faults) => faults,
            _ => &[],
        }
    }
}

const BEARER: &str = r#"Bearer realm="workouts""#;
const BEARER_INVALID: &str = r#"Bearer realm="workouts", error="invalid_token""#;
/// The type of problems with an `errors` member. The others need none: "about:blank" says that the status is all there is.
const INVALID_INPUT: &str = "tag:workouts.example,2026:invalid-input";

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Problem::Internal(reason) = &self {
            eprintln!("error: {reason}");
        }
        let status = self.status();
        let errors = self.errors();
        let body = Body {
            kind: if errors.is_empty() {
                "about:blank"
            } else {
                INVALID_INPUT
            },
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
            errors,
        };
        let mut json = serde_json::to_vec(&body).expect("numbers and text are always JSON");
        json.push(b'\n');
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], json).into_response();
        response.headers_mut().extend(self.header());
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        match error {
            store::Error::NotFound => Problem::NotFound,
            store::Error::Forbidden => Problem::Forbidden("its owner"),
            store::Error::Stale => Problem::Stale,
            store::Error::Invalid(faults) => Problem::Invalid(faults),
            store::Error::Conflict(what) => Problem::Conflict(what),
            store::Error::Busy => Problem::Busy,
            store::Error::Broken(reason) => Problem::Internal(reason),
        }
    }
}

impl From<password::Error> for Problem {
    fn from(error: password::Error) -> Problem {
        match error {
            password::Error::Busy => Problem::Busy,
            password::Error::Broken(reason) => Problem::Internal(reason),
        }
    }
}
