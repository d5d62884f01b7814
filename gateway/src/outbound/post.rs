//! Something told to others: a POST.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;

use super::{Answer, Client, OutboundFault, fields, parse_url, read, request};
use crate::wire::Fields;

/// Something told: a POST with a body.
#[derive(Clone, Debug)]
pub struct Post<'a> {
    /// "http://…" or "https://…", without user and password.
    pub url: &'a str,
    /// Fields; those of connection and framing are ours and left out.
    pub headers: &'a Fields,
    /// The body, as it is sent.
    pub content: Bytes,
    /// Until the last byte of the answer, from the look-up of the name on.
    pub timeout: Duration,
    /// Bytes of the answer's body.
    pub body_max: usize,
}

impl Client {
    /// Tells and waits for the whole answer. Every status is an answer. Dropped, it closes its connection.
    ///
    /// Sent once (RFC 9110 §9.2.2: POST is not idempotent): whether it may be sent again is for the caller to know.
    pub async fn post(&self, post: Post<'_>) -> Result<Answer, OutboundFault> {
        let timeout = post.timeout;
        match tokio::time::timeout(timeout, self.tell(post)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(OutboundFault::Deadline(timeout)),
        }
    }

    async fn tell(&self, post: Post<'_>) -> Result<Answer, OutboundFault> {
        let mut request = request(&parse_url(post.url)?, post.headers)?;
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(post.content);
        let response = self.inner.request(request).await.map_err(|e| self.fault(&e))?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: fields(&http::Response::from_parts(head, ())),
            body: read(body, post.body_max).await?,
        })
    }
}

impl OutboundFault {
    /// Whether it may go better the next time: nobody was there, or nobody in time.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Tls(_) | Self::Deadline(_) | Self::Broken(_) => true,
            Self::Url(_) | Self::Field(_) | Self::BodyTooLarge(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Trust;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_is_told_arrives_whole_with_its_length_and_its_fields() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\nhello") {
                assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "{heard:?}");
            }
            let answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(heard).unwrap()
        });
        let mut headers = Fields::default();
        headers.push(b"Content-Type", b"application/json");
        headers.push(b"Content-Length", b"7");
        let client = Client::new(&Trust::load(None).unwrap());
        let post = Post {
            url: &url,
            headers: &headers,
            content: Bytes::from_static(b"hello"),
            timeout: Duration::from_secs(30),
            body_max: 100,
        };
        let answer = client.post(post).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (503, &b"no"[..]));
        assert_eq!(answer.headers.first_of("retry-after"), Some(&b"3"[..]));
        let heard = served.await.unwrap().to_ascii_lowercase();
        assert!(heard.starts_with("post /v1/traces http/1.1\r\n"), "{heard}");
        assert!(heard.contains("\r\ncontent-length: 5\r\n"), "{heard}");
        assert!(
            heard.contains("\r\ncontent-type: application/json\r\n"),
            "{heard}"
        );
    }
}
