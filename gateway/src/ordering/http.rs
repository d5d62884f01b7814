//! How messages of ACME travel: by the gateway's own client, to whom the plan says is believed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use crate::config::plan::Acme;
use crate::kit::clock::Clock;
use crate::kit::http_date;
use crate::outbound::{Client, Trust, TrustFault};

/// Until a whole answer has come. Authorities look some things up before they answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of an answer. A chain is the longest there is.
const ANSWER_BYTES_MAX: usize = 512 * 1_024;

/// One attempt's client. Cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    clock: Clock,
    /// What the authority has asked for with its last refusal.
    retry_after: Arc<Mutex<Option<Duration>>>,
}

impl Http {
    /// Believes whom the plan says. Reads the disk.
    pub(super) fn new(acme: &Acme, clock: &Clock) -> Result<Self, TrustFault> {
        let trust = match &acme.trust {
            Some(trust) => Trust::only(trust.authorities.store()),
            None => Trust::load(None)?,
        };
        Ok(Self {
            client: Client::new(&trust),
            clock: clock.clone(),
            retry_after: Arc::default(),
        })
    }

    /// How long the authority wants to be left alone, if it has said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *self.retry_after.lock()
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        // RFC 8555 §6.1: "ACME clients MUST send a User-Agent header field", which says what software this is.
        let name = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION"), " (ACME)"));
        head.headers.insert(USER_AGENT, name);
        let request = Request::from_parts(head, body);
        let sent = self.client.send(request, ANSWER_TIMEOUT, ANSWER_BYTES_MAX).await;
        let answer = sent.map_err(|fault| Error::Other(Box::new(fault)))?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            self.note(&answer);
        }
        Ok(answer.map(Full::new).into())
    }

    /// RFC 8555 §6.6: a refusal for a rate limit should say when the next try may succeed.
    fn note(&self, answer: &Response<Bytes>) {
        let text = answer.headers().get(RETRY_AFTER).map(HeaderValue::as_bytes);
        let pause = text.and_then(|text| pause(text, self.clock.now().wall));
        *self.retry_after.lock() = pause;
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().exchange(request))
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn pause(text: &[u8], now: Duration) -> Option<Duration> {
    let text = text.trim_ascii();
    match str::from_utf8(text).ok()?.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(Duration::from_secs(http_date::parse(text)?).saturating_sub(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_said_in_seconds_or_as_a_date() {
        let now = Duration::from_secs(784_111_777 - 60);
        for (text, secs) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                pause(text.as_bytes(), now),
                secs.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }
}
