//! The origin that has the goods. It counts what it is asked, and keeps nothing of it: there are millions.

use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use harness::wire::{Head, Reader};
use parking_lot::Mutex;
use socket2::SockRef;

use super::goods::{Goods, Object};

const BUFFER_BYTES: usize = 64 << 10;

/// An origin that listens until it is dropped.
pub struct Shop {
    /// Where it listens.
    pub address: SocketAddr,
    listener: Arc<TcpListener>,
    acceptor: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    goods: Arc<Goods>,
    asked: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

impl Shop {
    /// Opens it, on a port of its own.
    pub fn open(goods: &Arc<Goods>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("ports are to be had");
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            goods: Arc::clone(goods),
            asked: AtomicU64::new(0),
            complaints: Mutex::default(),
        });
        let (accepting, serving) = (Arc::clone(&listener), Arc::clone(&shared));
        let acceptor = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let shared = Arc::clone(&serving);
                // It ends with its connection, and all gateways end before the shop does.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self {
            address: listener.local_addr().expect("a listener has an address"),
            listener,
            acceptor: Some(acceptor),
            shared,
        }
    }

    /// How many requests have come.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Acquire)
    }

    /// What was wrong with requests.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let woken = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let (Ok(()), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _panic = acceptor.join();
        }
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = Reader::new(stream);
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, stream);
        // A fault here is a gateway that was killed.
        while let Ok(Some(head)) = reader.head() {
            self.asked.fetch_add(1, Ordering::AcqRel);
            let Some(object) = self.asked_for(&head) else {
                self.complaints.lock().push(head.to_string());
                return;
            };
            if answer(&mut writer, object, &head).is_err() {
                return;
            }
        }
    }

    /// What a GET without a body is for.
    fn asked_for(&self, head: &Head) -> Option<Object<'_>> {
        let target = head.start.strip_prefix("GET /goods/")?;
        let number = target.strip_suffix(" HTTP/1.1")?.parse().ok()?;
        let is_plain = head.framing().is_ok_and(|framing| framing.is_none());
        self.goods.object(number).filter(|_| is_plain)
    }
}

fn answer(writer: &mut impl Write, object: Object<'_>, request: &Head) -> io::Result<()> {
    let etag = object.etag();
    let fields = format!("ETag: {etag}\r\nCache-Control: max-age=86400\r\n");
    if request.all("if-none-match").any(|known| known == etag) {
        write!(writer, "HTTP/1.1 304 Not Modified\r\n{fields}\r\n")?;
        return writer.flush();
    }
    write!(
        writer,
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n",
        object.length
    )?;
    let mut blocks = object.blocks();
    while let Some(block) = blocks.block() {
        writer.write_all(block)?;
    }
    writer.flush()
}
