//! An answer of our own on its way to the client.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::reply::{Body, Segment};
use crate::stream::{IoFault, Stream, within};

/// Bytes of a file sent by one system call: enough to be worth it, little enough that others get their turn.
const FILE_BYTES_PER_CALL: usize = 256 * 1024;

/// Sends a head and a body. Returns how many body bytes the connection has taken, and how it ended.
///
/// Files go from the page cache to the socket without a copy through this process. A file that was cut short
/// since its length was announced is an error: the client must not wait for bytes that do not exist.
pub async fn send(client: &Stream, head: &[u8], body: &Body, limit: Duration) -> (u64, Result<(), IoFault>) {
    let mut sent = 0;
    let mut pieces = vec![IoSlice::new(head)];
    for segment in &body.segments {
        match segment {
            Segment::Bytes(bytes) => pieces.push(IoSlice::new(bytes)),
            Segment::File { file, offset, length } => {
                if let Err(fault) = flush(client, &mut pieces, limit).await {
                    return (sent, Err(fault));
                }
                if let Err(fault) = send_file(client, file, *offset, *length, limit, &mut sent).await {
                    return (sent, Err(fault));
                }
                continue;
            }
        }
        sent += segment.length();
    }
    let flushed = flush(client, &mut pieces, limit).await;
    (sent, flushed)
}

async fn flush(client: &Stream, pieces: &mut Vec<IoSlice<'_>>, limit: Duration) -> Result<(), IoFault> {
    let mut waiting = std::mem::take(pieces);
    client.write_all(&mut waiting, limit).await
}

async fn send_file(
    client: &Stream,
    file: &std::fs::File,
    offset: u64,
    length: u64,
    limit: Duration,
    sent: &mut u64,
) -> Result<(), IoFault> {
    let mut at = 0;
    while at < length {
        let stretch = usize::try_from(length - at)
            .unwrap_or(usize::MAX)
            .min(FILE_BYTES_PER_CALL);
        let taken = within(limit, client.send_file(file, offset + at, stretch)).await?;
        if taken == 0 {
            return Err(IoFault::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        at += taken as u64;
        *sent += taken as u64;
        // A client as fast as the disk would otherwise keep the worker to itself.
        tokio::task::yield_now().await;
    }
    Ok(())
}
