//! Request bodies: JSON, not too large, not too slow, and exactly the fields that are known.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;
use crate::input::{self, Fault, Input};

/// The largest body: a log of thirty exercises with twenty sets each has half of it.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Of a larger one, this much is read and thrown away. Closing a socket with bytes unread resets the connection, and the
/// answer that says why is lost with it.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From the head of the request to the last byte of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body to its end, whatever the answer will be: only then can the connection carry the next request.
pub async fn receive(body: Body) -> Result<Bytes, Problem> {
    timeout(BODY_TIMEOUT, read_to_end(body))
        .await
        .unwrap_or(Err(Problem::Timeout))
}

async fn read_to_end(mut body: Body) -> Result<Bytes, Problem> {
    let (mut kept, mut size) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame =
            frame.map_err(|_| Problem::Malformed(vec![Fault::new("", "ended before it was complete")]))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if size > DISCARDED_BYTES_MAX {
            break;
        }
    }
    if size > BODY_BYTES_MAX {
        Err(Problem::TooLarge(BODY_BYTES_MAX))
    } else {
        Ok(kept.into())
    }
}

/// A body that has been read without a fault.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::NotJson);
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| Problem::Internal(rejection.to_string()))?;
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
