//! Bytes both ways after an upgrade, until both sides have finished or nothing moves any more.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::Duration;

use crate::stream::{Buffer, Stream};

/// What went each way, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnelled {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// Carries bytes both ways. Ends when both directions have, when one breaks, or when neither has moved a
/// byte for `idle_timeout`: whoever speaks only in one direction is still alive.
pub async fn run(
    client: &Stream,
    inbound: &mut Buffer,
    origin: &Stream,
    outbound: &mut Buffer,
    idle_timeout: Duration,
) -> Tunnelled {
    let (received, sent) = (Cell::new(0), Cell::new(0));
    let up = carry(client, inbound, origin, &received);
    let down = carry(origin, outbound, client, &sent);
    let both = async {
        let _ = tokio::try_join!(up, down);
    };
    let stalled = async {
        let mut before = (received.get(), sent.get());
        loop {
            tokio::time::sleep(idle_timeout).await;
            let now = (received.get(), sent.get());
            if now == before {
                return;
            }
            before = now;
        }
    };
    tokio::select! {
        () = both => {}
        () = stalled => {}
    }
    Tunnelled {
        received: received.get(),
        sent: sent.get(),
    }
}

/// One direction, to its end; an end is passed on as an end, since the other side may still be speaking.
async fn carry(from: &Stream, buffer: &mut Buffer, to: &Stream, moved: &Cell<u64>) -> io::Result<()> {
    loop {
        while !buffer.is_empty() {
            let written = to.write_some(&[IoSlice::new(buffer.unread())]).await?;
            buffer.consume(written);
            moved.set(moved.get() + written as u64);
        }
        buffer.grow_if_filled();
        if buffer.fill(from).await? == 0 {
            to.finish_sending();
            return Ok(());
        }
    }
}
