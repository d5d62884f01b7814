//! What the system alone takes to answer: a loop that reads, and sends the same bytes each time.
//!
//!     floor PORT
//!
//! It parses nothing, logs nothing, knows no cache and keeps no time. What it costs is what every server pays that sends
//! a head and hands a file over, so a figure below it cannot be had by any of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};

/// Bodies up to here go out in one piece with their head.
const COPIED_BYTES_MAX: usize = 4096;
/// Who is told of connections: none has this number.
const DOOR: u64 = u64::MAX;

struct Answer {
    /// With the body where that is small.
    head: Vec<u8>,
    body: Option<(File, usize)>,
}

struct Client {
    stream: TcpStream,
    /// Of the answer under way: what is still to be sent.
    rest: Option<(usize, usize)>,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("usage: floor PORT"))?;
    let answers = [answer(1024)?, answer(100 * 1024)?];
    let door = TcpListener::bind(("127.0.0.1", port))?;
    door.set_nonblocking(true)?;
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&events, &door, EventData::new_u64(DOOR), EventFlags::IN)?;
    let mut clients = HashMap::new();
    let mut room = [MaybeUninit::uninit(); 64];
    loop {
        let (ready, _) = epoll::wait(&events, &mut room, None)?;
        for event in ready {
            match event.data.u64() {
                DOOR => admit(&door, &events, &mut clients)?,
                id => serve(id, &mut clients, &answers),
            }
        }
    }
}

fn answer(length: usize) -> io::Result<Answer> {
    let mut head = format!(
        "HTTP/1.1 200 OK\r\nServer: floor\r\nX-Filler: {}\r\nContent-Length: {length}\r\n\r\n",
        "f".repeat(200)
    )
    .into_bytes();
    let body = vec![b'a'; length];
    if length <= COPIED_BYTES_MAX {
        head.extend_from_slice(&body);
        return Ok(Answer { head, body: None });
    }
    let mut file = File::from(memfd_create("body", MemfdFlags::CLOEXEC)?);
    file.write_all(&body)?;
    Ok(Answer {
        head,
        body: Some((file, length)),
    })
}

fn admit(
    door: &TcpListener,
    events: &impl std::os::fd::AsFd,
    clients: &mut HashMap<u64, Client>,
) -> io::Result<()> {
    let (stream, _) = door.accept()?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let id = u64::try_from(stream.as_raw_fd()).map_err(io::Error::other)?;
    let all = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
    epoll::add(events, &stream, EventData::new_u64(id), all)?;
    clients.insert(id, Client { stream, rest: None });
    Ok(())
}

fn serve(id: u64, clients: &mut HashMap<u64, Client>, answers: &[Answer; 2]) {
    let Some(client) = clients.get_mut(&id) else {
        return;
    };
    match step(client, answers) {
        Ok(()) => {}
        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
        Err(_) => _ = clients.remove(&id),
    }
}

fn step(client: &mut Client, answers: &[Answer; 2]) -> io::Result<()> {
    if client.rest.is_none() {
        let mut request = [0; 4096];
        let length = client.stream.read(&mut request)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let which = usize::from(request[..length].windows(4).any(|w| w == b"100k"));
        // The first bytes always fit into a socket that has nothing to send.
        client.stream.write_all(&answers[which].head)?;
        client.rest = answers[which].body.as_ref().map(|_| (which, 0));
    }
    let Some((which, sent)) = client.rest else {
        return Ok(());
    };
    let Some((file, length)) = &answers[which].body else {
        return Ok(());
    };
    let mut at = sent as u64;
    let done = sent + sendfile(&client.stream, file, Some(&mut at), length - sent)?;
    client.rest = (done < *length).then_some((which, done));
    Ok(())
}
