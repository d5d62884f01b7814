//! What an origin does with a request.

use crate::gate::Gate;

/// One way to treat a request. Built by [`reply`], [`raw`], [`never`], [`hang_up`], [`reset`] or [`upgrade`].
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) gates: Vec<Gate>,
    pub(super) early: bool,
    pub(super) continues: bool,
    pub(super) interims: Vec<Vec<u8>>,
    pub(super) act: Act,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A response put together from its parts.
    Answer(Answer),
    /// Nothing at all.
    Nothing,
    /// These bytes, whatever they mean.
    Raw(Vec<u8>),
    /// Another protocol: whatever comes is sent back.
    Upgrade { protocol: String },
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) version: &'static str,
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) framing: AnswerFraming,
    pub(super) pieces: Vec<Piece>,
    pub(super) trailers: Vec<(String, String)>,
    /// Whether a chunked body gets its last chunk.
    pub(super) finished: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// The request's body, as far as it was kept.
    Echo,
    Gate(Gate),
    Pattern(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFraming {
    Chunked,
    /// Says this length, true or not.
    Claimed(u64),
    Length,
    UntilClose,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Closed, as the response has said.
    Close,
    /// Closed without a word.
    HangUp,
    /// Kept for the next request.
    Keep,
    /// Left alone: neither answered nor closed.
    Linger,
    Reset,
}

/// A well-formed response without body.
pub fn reply(status: u16) -> Script {
    Script::of(Act::Answer(Answer {
        version: "HTTP/1.1",
        status,
        fields: Vec::new(),
        framing: AnswerFraming::Length,
        pieces: Vec::new(),
        trailers: Vec::new(),
        finished: true,
    }))
}

/// These bytes, and then the connection stays open.
pub fn raw(bytes: impl AsRef<[u8]>) -> Script {
    let script = Script::of(Act::Raw(bytes.as_ref().to_vec()));
    Script {
        end: End::Linger,
        ..script
    }
}

/// The request is read and never answered.
pub fn never() -> Script {
    Script {
        end: End::Linger,
        ..Script::of(Act::Nothing)
    }
}

/// The request is read and the connection closed.
pub fn hang_up() -> Script {
    Script {
        end: End::HangUp,
        ..Script::of(Act::Nothing)
    }
}

/// The request is read and the connection reset.
pub fn reset() -> Script {
    Script {
        end: End::Reset,
        ..Script::of(Act::Nothing)
    }
}

/// A switch to another protocol, in which whatever comes is sent back.
pub fn upgrade(protocol: &str) -> Script {
    let protocol = protocol.to_owned();
    Script {
        end: End::HangUp,
        ..Script::of(Act::Upgrade { protocol })
    }
}

impl Script {
    fn of(act: Act) -> Self {
        Self {
            gates: Vec::new(),
            early: false,
            continues: true,
            interims: Vec::new(),
            act,
            end: End::Keep,
        }
    }

    /// Nothing is sent until the gate is open.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gates.push(gate.clone());
        self
    }

    /// The answer begins before the request's body has been read.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// `Expect: 100-continue` is left unanswered.
    #[must_use]
    pub fn without_continue(mut self) -> Self {
        self.continues = false;
        self
    }

    /// A 1xx response before the final one.
    #[must_use]
    pub fn interim(mut self, status: u16, fields: &[(&str, &str)]) -> Self {
        let mut head = format!("HTTP/1.1 {status} Interim\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.interims.push(head.into_bytes());
        self
    }

    /// One more field.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.edit(|a| a.fields.push((name.to_owned(), value.to_owned())))
    }

    /// The next piece of the body; in a chunked one, a chunk.
    #[must_use]
    pub fn body(self, piece: impl AsRef<[u8]>) -> Self {
        self.edit(|a| a.pieces.push(Piece::Bytes(piece.as_ref().to_vec())))
    }

    /// The request's body as the next piece.
    #[must_use]
    pub fn echo(self) -> Self {
        self.edit(|a| a.pieces.push(Piece::Echo))
    }

    /// A pattern of so many bytes as the next piece.
    #[must_use]
    pub fn pattern(self, length: u64) -> Self {
        self.edit(|a| a.pieces.push(Piece::Pattern(length)))
    }

    /// Here the body pauses until the gate is open.
    #[must_use]
    pub fn pause(self, gate: &Gate) -> Self {
        self.edit(|a| a.pieces.push(Piece::Gate(gate.clone())))
    }

    /// The body is chunked.
    #[must_use]
    pub fn chunked(self) -> Self {
        self.edit(|a| a.framing = AnswerFraming::Chunked)
    }

    /// The body ends where the connection does.
    #[must_use]
    pub fn until_close(self) -> Self {
        self.edit(|a| a.framing = AnswerFraming::UntilClose).hang_up()
    }

    /// Content-Length says this, whatever the pieces add up to.
    #[must_use]
    pub fn claims(self, length: u64) -> Self {
        self.edit(|a| a.framing = AnswerFraming::Claimed(length))
    }

    /// A trailer field of a chunked body.
    #[must_use]
    pub fn trailer(self, name: &str, value: &str) -> Self {
        self.edit(|a| a.trailers.push((name.to_owned(), value.to_owned())))
    }

    /// The last chunk is never sent.
    #[must_use]
    pub fn unfinished(self) -> Self {
        self.edit(|a| a.finished = false)
    }

    /// As an HTTP/1.0 server answers: the end of the connection ends the body.
    #[must_use]
    pub fn http10(self) -> Self {
        self.edit(|a| a.version = "HTTP/1.0").until_close()
    }

    /// Says `Connection: close`, and does.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Closes at the end, and has not said so.
    #[must_use]
    pub fn hang_up(mut self) -> Self {
        self.end = End::HangUp;
        self
    }

    /// Resets the connection at the end.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// Leaves the connection open at the end and takes nothing more from it.
    #[must_use]
    pub fn linger(mut self) -> Self {
        self.end = End::Linger;
        self
    }

    fn edit(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        match &mut self.act {
            Act::Answer(answer) => change(answer),
            other => panic!("{other:?} has no such part; only a reply has"),
        }
        self
    }
}
