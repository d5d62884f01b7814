//! A request as it goes on the wire: nothing is added, reordered or mended.

/// A request under construction. It is HTTP/1.1 with `Host: a.test` unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: String,
    target: String,
    version: &'static str,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without fields but Host, and without body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            fields: vec![("Host".to_owned(), "a.test".to_owned())],
            body: Vec::new(),
        }
    }

    /// GET
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// HEAD
    pub fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    /// POST with a body of known length.
    pub fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// One more field line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another Host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.fields.retain(|(name, _)| name != "Host");
        self.fields.insert(0, ("Host".to_owned(), host.to_owned()));
        self
    }

    /// As an HTTP/1.0 client writes it.
    #[must_use]
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// A body, and its length in Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// A chunked body; each piece is a chunk.
    #[must_use]
    pub fn chunked<P: AsRef<[u8]>>(self, pieces: impl IntoIterator<Item = P>) -> Self {
        self.chunked_with_trailers(pieces, &[])
    }

    /// A chunked body with trailer fields.
    #[must_use]
    pub fn chunked_with_trailers<P: AsRef<[u8]>>(
        mut self,
        pieces: impl IntoIterator<Item = P>,
        trailers: &[(&str, &str)],
    ) -> Self {
        for piece in pieces {
            self.body.extend_from_slice(&chunk(piece.as_ref()));
        }
        self.body.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            self.body
                .extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        self.body.extend_from_slice(b"\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// The head only.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(crate) fn is_http10(&self) -> bool {
        self.version == "HTTP/1.0"
    }
}

/// One chunk of a body.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_it_was_built() {
        let request = Request::new("POST", "/a?b")
            .host("x")
            .chunked_with_trailers(["ab"], &[("T", "v")]);
        let expected =
            "POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: v\r\n\r\n";
        assert_eq!(String::from_utf8(request.bytes()).unwrap(), expected);
    }
}
