//! Request bodies: JSON, not too large, not too slow, and exactly the fields that are known.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;
use crate::input::{self, Fault, Input};

/// The largest body: a log of thirty exercises with twenty sets each has half of it.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// From the head of the request to the last byte of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that has been read without a fault.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::NotJson);
        }
        let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, state))
            .await
            .map_err(|_| Problem::Timeout)?;
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge(BODY_BYTES_MAX),
            _ => Problem::Malformed(vec![Fault::new("", "ended before it was complete")]),
        })?;
        // The message of serde_json ends in "at line 3 column 14".
        let body: Value = serde_json::from_slice(&body)
            .map_err(|error| Problem::Malformed(vec![Fault::new("", format!("is not JSON: {error}"))]))?;
        input::read(body).map(Json).map_err(Problem::Invalid)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
