//! A question over HTTP/2: by GET, or by gRPC's health protocol (`grpc.health.v1.Health/Check`).
//!
//! Of Protocol Buffers only two messages are spoken, of one field each: the request's `service` (1, a string) and the
//! answer's `status` (1, an enumeration, 1 = SERVING). They are written and read by hand.

use std::future::poll_fn;
use std::io;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};

use super::probe::Bad;
use crate::config::plan::HealthQuestion;

/// Bytes of a gRPC answer: a prefix and a message of two bytes, and whatever fields a server adds to it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// `SERVING` of `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;

/// Who is asked, as the frames name it.
pub(super) struct Asked<'a> {
    /// "http" or "https".
    pub(super) scheme: &'static str,
    /// Host and port.
    pub(super) authority: &'a str,
    /// What.
    pub(super) question: &'a HealthQuestion,
    /// Statuses that are good for a path.
    pub(super) expected: &'a [RangeInclusive<u16>],
}

/// Asks over a connection that stands and is good for HTTP/2.
pub(super) async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, asked: &Asked<'_>) -> Result<(), Bad> {
    let mut builder = Builder::new();
    builder.enable_push(false).initial_max_send_streams(1);
    let (send, connection) = builder.handshake(stream).await.map_err(of_frames)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(answer(send, asked));
    // The connection has no task of its own: it is driven for as long as the answer takes.
    poll_fn(|cx| {
        let ended = connection.as_mut().poll(cx);
        if let Poll::Ready(done) = answer.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        match ended {
            Poll::Ready(Err(error)) => Poll::Ready(Err(of_frames(error))),
            Poll::Ready(Ok(())) => Poll::Ready(Err(Bad::Io(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn answer(send: SendRequest<Bytes>, asked: &Asked<'_>) -> Result<(), Bad> {
    let mut send = send.ready().await.map_err(of_frames)?;
    let request = request(asked).map_err(|error| Bad::Io(io::Error::other(error)))?;
    match asked.question {
        HealthQuestion::Path(_) => {
            let (answer, _) = send.send_request(request, true).map_err(of_frames)?;
            let status = final_head(answer).await?.status().as_u16();
            match asked.expected.iter().any(|range| range.contains(&status)) {
                true => Ok(()),
                false => Err(Bad::Status(status)),
            }
        }
        HealthQuestion::Grpc(service) => {
            let (answer, mut stream) = send.send_request(request, false).map_err(of_frames)?;
            stream
                .send_data(message(service).into(), true)
                .map_err(of_frames)?;
            judge(final_head(answer).await?).await
        }
    }
}

async fn final_head(answer: h2::client::ResponseFuture) -> Result<http::Response<h2::RecvStream>, Bad> {
    answer.await.map_err(of_frames)
}

fn request(asked: &Asked<'_>) -> http::Result<Request<()>> {
    let (method, path) = match asked.question {
        HealthQuestion::Path(path) => ("GET", path.as_str()),
        HealthQuestion::Grpc(_) => ("POST", "/grpc.health.v1.Health/Check"),
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("{}://{}{path}", asked.scheme, asked.authority))
        .header("user-agent", "sluice-health-check");
    match asked.question {
        HealthQuestion::Path(_) => request.body(()),
        HealthQuestion::Grpc(_) => request
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(()),
    }
}

/// `HealthCheckRequest` behind gRPC's prefix: not compressed, and how long.
fn message(service: &str) -> Vec<u8> {
    let mut fields = Vec::with_capacity(service.len() + 4);
    // The default of a field is left out.
    if !service.is_empty() {
        fields.push(1 << 3 | 2);
        write_varint(&mut fields, service.len() as u64);
        fields.extend_from_slice(service.as_bytes());
    }
    let mut out = vec![0];
    out.extend_from_slice(&(fields.len() as u32).to_be_bytes());
    out.extend_from_slice(&fields);
    out
}

fn write_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads the whole answer: its status is in the trailers, or in the head of one that is nothing else.
async fn judge(answer: http::Response<h2::RecvStream>) -> Result<(), Bad> {
    let (head, mut stream) = answer.into_parts();
    if head.status != 200 {
        return Err(Bad::Status(head.status.as_u16()));
    }
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(of_frames)?;
        body.extend_from_slice(&data);
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(Bad::Grpc("a message beyond all measure".to_owned()));
        }
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let trailers = stream.trailers().await.map_err(of_frames)?;
    let status = trailers
        .as_ref()
        .and_then(grpc_status)
        .or_else(|| grpc_status(&head.headers));
    match status {
        Some("0") => {}
        Some(status) => return Err(Bad::Grpc(format!("grpc-status {status}"))),
        None => return Err(Bad::Grpc("no grpc-status".to_owned())),
    }
    match serving_status(&body) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(Bad::Grpc(format!(
            "its serving status is {status}, and SERVING is 1"
        ))),
        None => Err(Bad::Grpc("a message that is no HealthCheckResponse".to_owned())),
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<&str> {
    fields.get("grpc-status")?.to_str().ok()
}

/// The `status` of a `HealthCheckResponse` behind gRPC's prefix. None if it is none, or compressed.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (prefix, mut fields) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || fields.len() as u64 != u64::from(length) {
        return None;
    }
    // What is left out has its default.
    let mut status = 0;
    while !fields.is_empty() {
        let key = read_varint(&mut fields)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = read_varint(&mut fields)?,
            (_, 0) => _ = read_varint(&mut fields)?,
            (_, 1) => fields = fields.get(8..)?,
            (_, 2) => {
                let n = usize::try_from(read_varint(&mut fields)?).ok()?;
                fields = fields.get(n..)?;
            }
            (_, 5) => fields = fields.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn of_frames(error: h2::Error) -> Bad {
    let text = error.to_string();
    Bad::Io(error.into_io().unwrap_or_else(|| io::Error::other(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_a_prefix_and_a_string_with_its_length() {
        assert_eq!(message(""), [0, 0, 0, 0, 0]);
        assert_eq!(message("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
        let long = "x".repeat(200);
        assert_eq!(message(&long)[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_a_whole_message_has_a_status() {
        assert_eq!(serving_status(b"\0\0\0\0\x02\x08\x01"), Some(1));
        assert_eq!(serving_status(b"\0\0\0\0\x00"), Some(0));
        assert_eq!(
            serving_status(b"\0\0\0\0\x06\x12\x02hi\x08\x02"),
            Some(2),
            "other fields are skipped"
        );
        for bad in [
            &b""[..],
            b"\0\0\0\0\x02\x08",
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x02\x08\x01\x00",
            b"\0\0\0\0\x03\x12\x09h",
            b"\0\0\0\0\x02\x0b\x01",
            b"\0\0\0\0\x02\x08\x80",
        ] {
            assert_eq!(serving_status(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(n: u64) {
            let mut out = Vec::new();
            write_varint(&mut out, n);
            let mut rest = &out[..];
            prop_assert_eq!(read_varint(&mut rest), Some(n));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_message_whatever_makes_it_fail_otherwise_than_by_none(bytes: Vec<u8>) {
            let _ = serving_status(&bytes);
        }
    }
}
