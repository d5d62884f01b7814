//! What the gateway itself asks of others: keys of tokens, verdicts on requests; and what it tells them: spans. A small
//! HTTP client.
//!
//! HTTP/1.1 in plain or over TLS. No redirect is followed (it is an answer like others), no proxy is used, nothing is
//! decompressed. Everything has a limit: the whole exchange a deadline, the head and the body their bytes.

mod fault;
mod post;
mod trust;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::wire::{Field, Fields, Name};

pub use fault::OutboundFault;
pub use post::Post;
pub use trust::{Trust, TrustFault};

/// Bytes of an answer's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Field lines of an answer.
pub const FIELDS_MAX: usize = 100;

/// Connections to one server that are kept for the next question. More are opened if need be, and closed afterwards.
pub const IDLE_PER_SERVER_MAX: usize = 8;

/// How long one of them is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Until a server's address has to answer. With several addresses they share it, so that a dead one leaves time for the next.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One question: a GET without a body.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// "http://…" or "https://…", without user and password.
    pub url: &'a str,
    /// Fields; those of connection and framing are ours and left out.
    pub headers: &'a Fields,
    /// Until the last byte of the answer, from the look-up of the name on.
    pub timeout: Duration,
    /// Bytes of a body.
    pub body_max: usize,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status as it came.
    pub status: u16,
    /// The field lines as they came, names in lower case.
    pub headers: Fields,
    /// The body without its framing; its content coding is still on it.
    pub body: Bytes,
}

/// Asks. One for each runtime, as a connection lives on the runtime that has opened it.
#[derive(Clone)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    knows_authorities: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Opens nothing yet. What it opens it opens on the runtime it is asked on.
    pub fn new(trust: &Trust) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.config().clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_SERVER_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(FIELDS_MAX)
            .build(connector);
        Self {
            inner,
            knows_authorities: trust.authorities() > 0,
        }
    }

    /// Asks and waits for the whole answer. Every status is an answer. Dropped, it closes its connection.
    pub async fn get(&self, ask: Ask<'_>) -> Result<Answer, OutboundFault> {
        let uri = parse_url(ask.url)?;
        let exchange = self.exchange(&uri, &ask);
        match tokio::time::timeout(ask.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(OutboundFault::Deadline(ask.timeout)),
        }
    }

    /// Sends any request once and waits for the whole answer, as [`get`](Self::get) does. The head is the caller's own.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        body_max: usize,
    ) -> Result<Response<Bytes>, OutboundFault> {
        parse_url(&request.uri().to_string())?;
        let exchange = async {
            let sent = self.inner.request(request.map(Full::new)).await;
            let (head, body) = sent.map_err(|error| self.fault(&error))?.into_parts();
            Ok(Response::from_parts(head, read(body, body_max).await?))
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(OutboundFault::Deadline(timeout)),
        }
    }

    async fn exchange(&self, uri: &Uri, ask: &Ask<'_>) -> Result<Answer, OutboundFault> {
        let response = match self.inner.request(request(uri, ask.headers)?).await {
            Ok(response) => response,
            // A kept connection can be closed from the other side in the moment it is used. RFC 9110 §9.2.2: GET is
            // idempotent, so it may be sent once more.
            Err(error) if fault::is_lost(&error) => self
                .inner
                .request(request(uri, ask.headers)?)
                .await
                .map_err(|error| self.fault(&error))?,
            Err(error) => return Err(self.fault(&error)),
        };
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: fields(&Response::from_parts(head, ())),
            body: read(body, ask.body_max).await?,
        })
    }

    fn fault(&self, error: &legacy::Error) -> OutboundFault {
        fault::of_request(error, self.knows_authorities)
    }
}

fn parse_url(text: &str) -> Result<Uri, OutboundFault> {
    let uri: Uri = text.parse().map_err(|_| OutboundFault::Url("it is no URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(OutboundFault::Url("it must begin with http:// or https://"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(OutboundFault::Url(
            "a user and a password in it would be sent to nobody: take them out",
        )),
        Some(authority) if !authority.host().is_empty() => Ok(uri),
        Some(_) | None => Err(OutboundFault::Url("it names no host")),
    }
}

fn request(uri: &Uri, lines: &Fields) -> Result<Request<Full<Bytes>>, OutboundFault> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    for field in lines.iter().filter(|field| !is_ours(field)) {
        let name = HeaderName::from_bytes(field.name).ok();
        let pair = name.zip(HeaderValue::from_bytes(field.value).ok());
        let (name, value) =
            pair.ok_or_else(|| OutboundFault::Field(String::from_utf8_lossy(field.name).into_owned()))?;
        headers.append(name, value);
    }
    let own = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));
    headers.entry(USER_AGENT).or_insert(own);
    Ok(request)
}

/// The connection and the framing are decided here: a length without a body would make the other side wait for ever.
fn is_ours(field: &Field<'_>) -> bool {
    field.known.is_hop_by_hop()
        || matches!(
            field.known,
            Name::ContentLength | Name::Expect | Name::Host | Name::Trailer
        )
}

fn fields(response: &Response<()>) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in response.headers() {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    fields
}

async fn read(mut body: Incoming, body_max: usize) -> Result<Bytes, OutboundFault> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| fault::of_body(&error))?;
        // Trailers are for whoever reads a body while it comes.
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + piece.len() > body_max {
            return Err(OutboundFault::BodyTooLarge(body_max));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests;
