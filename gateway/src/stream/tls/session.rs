//! One TLS session as bytes in and bytes out: it knows no socket and waits for nothing.
//!
//! The records are rustls's, by its interface without buffers: the buffers are lent by the worker's shelf and given back
//! as soon as they are empty. So an idle session has none.

use std::io;
use std::rc::Rc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};

use crate::stream::buffer::LARGE_BYTES;
use crate::stream::{Buffer, Lent, Shelf};

/// Plaintext of a full record (RFC 8446 §5.1: no more than 2^14 bytes).
pub(super) const RECORD_BYTES: usize = 16 * 1024;

/// What a record may have beyond its plaintext here (header, nonce, tag, type: 30), and what the session may have to say
/// before it, such as new keys. If it is more, rustls says how much.
const OVERHEAD_BYTES: usize = 256;

/// Room that is made for what arrives: less would only make more reads.
const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Arrived bytes that a session may hold without understanding them: three records, or a handshake message in pieces.
const INBOX_BYTES_MAX: usize = LARGE_BYTES;

/// A session of either side.
pub(super) struct Session {
    side: Side,
    /// Arrived, and not yet a whole record.
    inbox: Lent,
    /// Unsealed, and not yet read. It is emptied before more is received: so it is never more than the inbox was.
    plain: Lent,
    /// Sealed, and not yet taken by the socket.
    outbox: Lent,
    end: Option<End>,
}

/// Which side we are.
pub(super) enum Side {
    /// A client has come.
    Server(Box<UnbufferedServerConnection>),
    /// We have come to a server.
    Client(Box<UnbufferedClientConnection>),
}

/// How the peer's bytes have ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// It has said so.
    Closed,
    /// The connection has ended and it has not said so.
    Cut,
    /// It breaks the protocol, or has told us that we do.
    Failed(Error),
}

/// What is to be done once what has arrived is worked through.
#[derive(Clone, Copy)]
enum Order<'a> {
    Nothing,
    Seal(&'a [u8]),
    Close,
}

/// How a step of rustls has ended.
enum Turn {
    /// There may be more to do.
    Again,
    PeerClosed,
    /// Nothing more to do, and the order was carried out.
    Done,
    /// Nothing more to do before more arrives.
    Blocked,
}

impl Session {
    pub(super) fn new(side: Side, shelf: &Rc<Shelf>) -> Self {
        Self {
            side,
            inbox: Lent::new(shelf),
            plain: Lent::new(shelf),
            outbox: Lent::new(shelf),
            end: None,
        }
    }

    /// What was negotiated.
    pub(super) fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(connection) => connection,
            Side::Client(connection) => connection,
        }
    }

    pub(super) fn shelf(&self) -> &Rc<Shelf> {
        self.inbox.shelf()
    }

    /// Room for what the socket has. An error if the peer sends what makes no whole in any measure.
    pub(super) fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.inbox.bytes().len() + RECEIVE_BYTES_MIN > INBOX_BYTES_MAX {
            self.end = Some(End::Failed(Error::PeerSentOversizedRecord));
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                Error::PeerSentOversizedRecord,
            ));
        }
        Ok(self.inbox.room_to_receive(RECEIVE_BYTES_MIN))
    }

    /// The first `n` bytes of the room have arrived, at least one. The first byte of all that has and is not used.
    pub(super) fn arrived(&mut self, n: usize) -> u8 {
        self.inbox.commit(n);
        self.inbox.bytes()[0]
    }

    /// What has arrived and is not used.
    pub(super) fn into_arrived(self) -> Buffer {
        self.inbox.into_buffer()
    }

    /// Bytes have arrived that were received elsewhere.
    pub(super) fn arrived_before(&mut self, bytes: &[u8]) {
        self.inbox.put(bytes);
    }

    /// The connection has ended.
    pub(super) fn ended(&mut self) {
        self.inbox.clear();
        self.end.get_or_insert(End::Cut);
    }

    /// The room has not been used.
    pub(super) fn rest(&mut self) {
        self.inbox.give_back();
    }

    /// Whether reading would not have to wait.
    pub(super) fn has_news(&self) -> bool {
        !self.plain.is_empty() || self.end.is_some()
    }

    /// Whether a part of a record has arrived.
    pub(super) fn is_within_record(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// How the peer's bytes have ended, once all before it were read.
    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref().filter(|_| self.plain.is_empty())
    }

    /// Unseals what has arrived, as much as fits into `space`; the rest is kept for the next time. How much it was.
    pub(super) fn unseal(&mut self, space: &mut [u8]) -> usize {
        if !self.plain.is_empty() {
            let bytes = self.plain.bytes();
            let n = bytes.len().min(space.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.plain.consume(n);
            return n;
        }
        let mut filled = 0;
        if self.end.is_none() {
            // How it has failed is kept as the end.
            let _ = self.work(space, &mut filled, Order::Nothing);
        }
        filled
    }

    /// Goes on with the handshake from what has arrived. Whether it is complete.
    pub(super) fn shake(&mut self) -> Result<bool, Error> {
        self.work(&mut [], &mut 0, Order::Nothing)?;
        Ok(!self.common().is_handshaking())
    }

    /// Seals bytes, at most [`RECORD_BYTES`], into one record of the outbox.
    pub(super) fn seal(&mut self, bytes: &[u8]) -> Result<(), Error> {
        debug_assert!(bytes.len() <= RECORD_BYTES, "that is more than one record");
        self.work(&mut [], &mut 0, Order::Seal(bytes))
    }

    /// Seals the word that nothing more will come (RFC 8446 §6.1: `close_notify`).
    pub(super) fn seal_close(&mut self) -> Result<(), Error> {
        self.work(&mut [], &mut 0, Order::Close)
    }

    /// What is to be sent.
    pub(super) fn outgoing(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// The socket has taken that many bytes of it.
    pub(super) fn sent(&mut self, n: usize) {
        self.outbox.consume(n);
    }

    /// Nothing more can be sent.
    pub(super) fn drop_outgoing(&mut self) {
        self.outbox.clear();
    }

    /// Whether it holds no buffer at all.
    #[cfg(test)]
    pub(super) fn is_bare(&self) -> bool {
        self.inbox.is_given_back() && self.plain.is_given_back() && self.outbox.is_given_back()
    }

    fn work(&mut self, space: &mut [u8], filled: &mut usize, order: Order<'_>) -> Result<(), Error> {
        if let Some(End::Failed(error)) = &self.end {
            return Err(error.clone());
        }
        loop {
            let mut hands = Hands {
                space,
                filled,
                plain: &mut self.plain,
                outbox: &mut self.outbox,
                order,
            };
            // With all that has arrived each time: rustls counts from its beginning.
            let inbox = self.inbox.bytes_mut();
            let (used, turn) = match &mut self.side {
                Side::Server(connection) => hands.take(connection.process_tls_records(inbox)),
                Side::Client(connection) => hands.take(connection.process_tls_records(inbox)),
            };
            self.inbox.consume(used);
            match turn {
                Ok(Turn::Again) => {}
                // Whatever comes behind it is ignored (RFC 8446 §6.1).
                Ok(Turn::PeerClosed) => {
                    self.inbox.clear();
                    self.end = Some(End::Closed);
                }
                Ok(Turn::Done) => return Ok(()),
                Ok(Turn::Blocked) if matches!(order, Order::Nothing) => return Ok(()),
                Ok(Turn::Blocked) => return Err(Error::HandshakeNotComplete),
                Err(error) => {
                    self.fail(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Keeps what it failed by, and puts the alert for the peer into the outbox.
    fn fail(&mut self, error: Error) {
        while self.common().wants_write() {
            let mut hands = Hands {
                space: &mut [],
                filled: &mut 0,
                plain: &mut self.plain,
                outbox: &mut self.outbox,
                order: Order::Nothing,
            };
            let inbox = self.inbox.bytes_mut();
            // What waits to be sent comes before anything that has arrived is looked at again.
            let _ = match &mut self.side {
                Side::Server(connection) => hands.take(connection.process_tls_records(inbox)),
                Side::Client(connection) => hands.take(connection.process_tls_records(inbox)),
            };
        }
        self.inbox.clear();
        self.end = Some(End::Failed(error));
    }
}

/// Where the results of a step go.
struct Hands<'a> {
    space: &'a mut [u8],
    filled: &'a mut usize,
    plain: &'a mut Lent,
    outbox: &'a mut Lent,
    order: Order<'a>,
}

impl Hands<'_> {
    /// Takes what a step has brought. How many of the arrived bytes are used, and whether to go on.
    fn take<D>(&mut self, status: UnbufferedStatus<'_, '_, D>) -> (usize, Result<Turn, Error>) {
        let mut used = status.discard;
        let state = match status.state {
            Ok(state) => state,
            Err(error) => return (used, Err(error)),
        };
        let turn = match state {
            ConnectionState::ReadTraffic(mut traffic) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        used += record.discard;
                        self.deliver(record.payload);
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Ok(Turn::Again),
                }
            },
            ConnectionState::EncodeTlsData(mut message) => {
                let encoded = self.encode(|room| match message.encode(room) {
                    Err(EncodeError::InsufficientSize(short)) => Err(Some(short.required_size)),
                    other => other.map_err(|_| None),
                });
                encoded.map(|()| Turn::Again)
            }
            // It is in the outbox, from where it goes out in its turn.
            ConnectionState::TransmitTlsData(message) => {
                message.done();
                Ok(Turn::Again)
            }
            ConnectionState::PeerClosed => Ok(Turn::PeerClosed),
            ConnectionState::WriteTraffic(traffic) => self.carry_out(traffic).map(|()| Turn::Done),
            ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Turn::Blocked),
            // Nobody was offered to send early data.
            ConnectionState::ReadEarlyData(_) => Err(Error::General("early data".to_owned())),
            _ => Err(Error::General("a state that is not known here".to_owned())),
        };
        (used, turn)
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let space = &mut self.space[*self.filled..];
        // Bytes that had to wait go first.
        let n = if self.plain.is_empty() {
            bytes.len().min(space.len())
        } else {
            0
        };
        space[..n].copy_from_slice(&bytes[..n]);
        *self.filled += n;
        if n < bytes.len() {
            self.plain.put(&bytes[n..]);
        }
    }

    fn carry_out<D>(&mut self, mut traffic: WriteTraffic<'_, D>) -> Result<(), Error> {
        let needs = |error| match error {
            EncryptError::InsufficientSize(short) => Some(short.required_size),
            EncryptError::EncryptExhausted => None,
        };
        match self.order {
            Order::Nothing => Ok(()),
            Order::Seal(bytes) => self.encode(|room| traffic.encrypt(bytes, room).map_err(needs)),
            Order::Close => self.encode(|room| traffic.queue_close_notify(room).map_err(needs)),
        }
    }

    /// Has something written into the outbox by `write`, whose error says how much room it needs, or None if that would
    /// not help.
    fn encode(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), Error> {
        let mut room = OVERHEAD_BYTES
            + match self.order {
                Order::Seal(bytes) => bytes.len(),
                Order::Nothing | Order::Close => 0,
            };
        loop {
            match write(self.outbox.room(room)) {
                Ok(n) => {
                    self.outbox.commit(n);
                    return Ok(());
                }
                Err(Some(needed)) if needed > room => room = needed,
                Err(_) => {
                    self.outbox.give_back();
                    return Err(Error::EncryptError);
                }
            }
        }
    }
}
