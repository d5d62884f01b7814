//! Where an answer of HTTP/1.1 to a GET ends.

/// Heads above it are a fault.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// An answer of which more may come.
#[derive(Debug, Default)]
pub struct Answer {
    /// The head, until it is whole; a line of the chunked coding, while one is under way.
    held: Vec<u8>,
    state: State,
    status: u16,
    closes: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of the body are to come.
    Counted(u64),
    /// A chunk's length is to come.
    ChunkLine,
    /// So many bytes of a chunk and its line end are to come.
    Chunk(u64),
    /// Trailers, up to an empty line.
    Trailers,
    UntilClosed,
    Whole,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More has to come.
    Partial,
    /// It is whole.
    Whole {
        /// Its status.
        status: u16,
        /// The connection takes another request.
        reusable: bool,
    },
    /// This is no answer, or one with more bytes than it says.
    Invalid,
}

impl Answer {
    /// Takes what has been read next.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Progress {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Counted(left) | State::Chunk(left) => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    taken
                }
                State::UntilClosed => bytes.len(),
                State::Head | State::ChunkLine | State::Trailers => {
                    let end = bytes
                        .iter()
                        .position(|b| *b == b'\n')
                        .map_or(bytes.len(), |at| at + 1);
                    self.held.extend_from_slice(&bytes[..end]);
                    end
                }
                State::Whole => return Progress::Invalid,
            };
            bytes = &bytes[taken..];
            if self.held.len() > HEAD_BYTES_MAX || self.advance().is_none() {
                return Progress::Invalid;
            }
        }
        match self.state {
            State::Whole => self.whole(),
            _ => Progress::Partial,
        }
    }

    /// The other side has closed: that is the end of some answers.
    pub fn closed(&self) -> Progress {
        match self.state {
            State::UntilClosed => self.whole(),
            _ => Progress::Invalid,
        }
    }

    fn whole(&self) -> Progress {
        Progress::Whole {
            status: self.status,
            reusable: !self.closes,
        }
    }

    /// Goes on to the next state if this one is through. None if what is held is nonsense.
    fn advance(&mut self) -> Option<()> {
        match self.state {
            State::Head if self.held.ends_with(b"\r\n\r\n") => {
                self.state = self.head()?;
                self.held.clear();
            }
            State::Counted(0) => self.state = State::Whole,
            State::Chunk(0) => self.state = State::ChunkLine,
            State::ChunkLine if self.held.ends_with(b"\n") => {
                let line = std::str::from_utf8(&self.held).ok()?;
                let length = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
                self.held.clear();
                self.state = match length {
                    0 => State::Trailers,
                    _ => State::Chunk(length.checked_add(2)?),
                };
            }
            State::Trailers if self.held == b"\r\n" => self.state = State::Whole,
            State::Trailers if self.held.ends_with(b"\n") => self.held.clear(),
            _ => {}
        }
        Some(())
    }

    /// What a head says of the body (RFC 9112, section 6.3).
    fn head(&mut self) -> Option<State> {
        let text = std::str::from_utf8(&self.held).ok()?.to_ascii_lowercase();
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        self.closes = words.next()? != "http/1.1";
        self.status = words.next()?.parse().ok()?;
        let (mut length, mut chunked) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match (name, value.trim()) {
                ("content-length", value) => length = Some(value.parse().ok()?),
                ("transfer-encoding", value) => chunked = value.ends_with("chunked"),
                ("connection", "close") => self.closes = true,
                _ => {}
            }
        }
        Some(match (self.status, chunked, length) {
            // An interim answer: the one that counts follows.
            (100..=199, ..) => State::Head,
            (204 | 304, ..) => State::Whole,
            (_, true, _) => State::ChunkLine,
            (_, false, Some(0)) => State::Whole,
            (_, false, Some(length)) => State::Counted(length),
            (_, false, None) => {
                self.closes = true;
                State::UntilClosed
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Progress = Progress::Whole {
        status: 200,
        reusable: true,
    };

    /// Fed whole and byte by byte: both have to say the same.
    fn fed(text: &str) -> Progress {
        let mut slow = Answer::default();
        let mut last = Progress::Partial;
        for (at, byte) in text.bytes().enumerate() {
            last = slow.feed(&[byte]);
            let ended = last != Progress::Partial;
            assert!(!ended || at + 1 == text.len(), "ends early at {at} of {text:?}");
        }
        assert_eq!(Answer::default().feed(text.as_bytes()), last, "{text:?}");
        last
    }

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        assert_eq!(fed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), WHOLE);
        assert_eq!(fed("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), WHOLE);
        assert_eq!(
            fed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
            Progress::Partial
        );
    }

    #[test]
    fn chunks_end_with_an_empty_one_and_its_trailers() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            fed(&format!("{head}3\r\nabc\r\na;x=1\r\n0123456789\r\n0\r\n\r\n")),
            WHOLE
        );
        assert_eq!(fed(&format!("{head}1\r\nx\r\n0\r\nDigest: y\r\n\r\n")), WHOLE);
        assert_eq!(fed(&format!("{head}3\r\nabc\r\n0\r\n")), Progress::Partial);
        assert_eq!(fed(&format!("{head}zz\r\n")), Progress::Invalid);
    }

    #[test]
    fn some_answers_have_no_body_whatever_their_fields_say() {
        let told = Progress::Whole {
            status: 304,
            reusable: true,
        };
        assert_eq!(
            fed("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            told
        );
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        assert_eq!(fed(text), WHOLE);
    }

    #[test]
    fn a_connection_that_closes_takes_no_other_request() {
        let told = Progress::Whole {
            status: 503,
            reusable: false,
        };
        assert_eq!(
            fed("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"),
            told
        );
    }

    #[test]
    fn without_a_length_the_end_of_the_connection_is_the_end() {
        let mut answer = Answer::default();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Progress::Partial);
        assert_eq!(
            answer.closed(),
            Progress::Whole {
                status: 200,
                reusable: false
            }
        );
        assert_eq!(Answer::default().closed(), Progress::Invalid);
    }

    #[test]
    fn more_than_was_announced_is_a_fault() {
        let mut answer = Answer::default();
        assert_eq!(
            answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
            WHOLE
        );
        assert_eq!(answer.feed(b"b"), Progress::Invalid);
        let at_once = Answer::default().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab");
        assert_eq!(at_once, Progress::Invalid);
        assert_eq!(fed("nonsense\r\n\r\n"), Progress::Invalid);
    }
}
