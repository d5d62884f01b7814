//! A way to somebody that can be made bad: a relay of TCP that is late, holds back, cuts off or lets pass byte by byte.
//!
//! It stands between two programs that know nothing of it, and works on the stream, not on packets: what a network does to
//! packets reaches a program as one of these anyway. A hole loses nothing; what it has held passes when it is closed, as TCP
//! sends again what was lost.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use socket2::SockRef;

use crate::patience::{patience, wait_until};

/// What is read at once.
const PIECE_BYTES: usize = 16 << 10;

/// What is wrong with a way. "Back" is towards whoever has connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Connections are taken and reset.
    Cut,
    /// So many bytes come back on each connection, and then it is reset.
    CutAfter(u64),
    /// So many bytes come back on each connection, and then it ends as if that were all.
    EndAfter(u64),
    /// Nothing passes, connections among it, and nothing ends.
    Hole,
    /// Nothing comes back, and nothing ends.
    HoleBack,
    /// Each piece is that late.
    Late(Duration),
    /// Each byte passes by itself.
    Bytewise,
}

/// A relay on a port of its own. Dropping it resets what passes through it.
pub struct Relay {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    fault: Fault,
    taken: usize,
    /// Pieces, ends and connections that a hole holds at this moment.
    held: usize,
    live: HashMap<usize, Live>,
    threads: Vec<JoinHandle<()>>,
    is_over: bool,
}

/// Both ends of a connection that passes.
struct Live {
    ends: Vec<TcpStream>,
    is_killed: Arc<AtomicBool>,
}

/// One direction of it.
struct Pump {
    shared: Arc<Shared>,
    number: usize,
    is_killed: Arc<AtomicBool>,
    from: TcpStream,
    to: TcpStream,
    is_back: bool,
    carried: u64,
}

impl Relay {
    /// A good way there.
    pub fn to(to: SocketAddr) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("the system has a free port"));
        let shared = Arc::new(Shared {
            to,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (accepting, its) = (Arc::clone(&listener), Arc::clone(&shared));
        Self {
            address: listener.local_addr().expect("it is bound"),
            acceptor: Some(std::thread::spawn(move || take(&accepting, &its))),
            listener,
            shared,
        }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is wrong with it, on connections that stand too. [`Fault::Cut`] resets these.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state.lock();
        state.fault = fault;
        if fault == Fault::Cut {
            state.live.drain().for_each(|(_, live)| live.kill());
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Resets the connections that stand, and takes others.
    pub fn cut_once(&self) {
        let mut state = self.shared.state.lock();
        state.live.drain().for_each(|(_, live)| live.kill());
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How many connections it has taken.
    pub fn taken(&self) -> usize {
        self.shared.state.lock().taken
    }

    /// How many connections pass at this moment.
    pub fn open(&self) -> usize {
        self.shared.state.lock().live.len()
    }

    /// Waits until a hole holds something back.
    #[track_caller]
    pub fn wait_held(&self) {
        wait_until("something is held back", || self.shared.state.lock().held > 0);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.cut_once();
        // It fails only on a listener that has ended already.
        let _ended = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _panic = acceptor.join();
        }
        self.cut_once();
        let threads = std::mem::take(&mut self.shared.state.lock().threads);
        for thread in threads {
            let _panic = thread.join();
        }
    }
}

impl Live {
    /// Shutting down the reading side wakes the threads without a word to anybody; what their end then says is a reset.
    fn kill(self) {
        self.is_killed.store(true, Ordering::Release);
        for end in &self.ends {
            reset_at_end(end);
            let _ended = end.shutdown(Shutdown::Read);
        }
    }
}

/// Fails only on a connection that has ended by itself.
fn reset_at_end(stream: &TcpStream) {
    let _ended = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn take(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((near, _)) = listener.accept() {
        let mut state = shared.state.lock();
        if state.is_over {
            return;
        }
        let number = state.taken;
        state.taken += 1;
        if state.fault == Fault::Cut {
            reset_at_end(&near);
            continue;
        }
        let is_killed = Arc::<AtomicBool>::default();
        let ends = vec![near.try_clone().expect("descriptors are to be had")];
        let live = Live {
            ends,
            is_killed: Arc::clone(&is_killed),
        };
        state.live.insert(number, live);
        let its = Arc::clone(shared);
        state
            .threads
            .push(std::thread::spawn(move || pass(&its, number, near, &is_killed)));
    }
}

/// One connection, from its beginning to its end.
fn pass(shared: &Arc<Shared>, number: usize, near: TcpStream, is_killed: &Arc<AtomicBool>) {
    // Nobody is connected with as long as nothing passes.
    let is_through = shared.wait_while(is_killed, |fault| fault == Fault::Hole);
    let Some(Ok(far)) = is_through.then(|| TcpStream::connect(shared.to)) else {
        return shared.forget(number, &[&near]);
    };
    let pump = |from: &TcpStream, to: &TcpStream, is_back| -> io::Result<Pump> {
        to.set_nodelay(true)?;
        to.set_write_timeout(Some(patience()))?;
        Ok(Pump {
            shared: Arc::clone(shared),
            number,
            is_killed: Arc::clone(is_killed),
            from: from.try_clone()?,
            to: to.try_clone()?,
            is_back,
            carried: 0,
        })
    };
    let (Ok(there), Ok(back), Ok(far_end)) =
        (pump(&near, &far, false), pump(&far, &near, true), far.try_clone())
    else {
        return shared.forget(number, &[&near, &far]);
    };
    match shared.state.lock().live.get_mut(&number) {
        Some(live) => live.ends.push(far_end),
        // It was cut meanwhile.
        None => return reset_at_end(&far),
    }
    drop((near, far));
    let there = std::thread::spawn(move || there.run());
    back.run();
    let _panic = there.join();
    shared.state.lock().live.remove(&number);
}

impl Shared {
    /// Holds the caller back for as long as the fault is such a one. False if its connection was cut meanwhile.
    fn wait_while(&self, is_killed: &AtomicBool, holds: impl Fn(Fault) -> bool) -> bool {
        let mut state = self.state.lock();
        state.held += 1;
        while holds(state.fault) && !self.is_cut(&state, is_killed) {
            self.changed.wait_for(&mut state, patience());
        }
        state.held -= 1;
        !self.is_cut(&state, is_killed)
    }

    fn is_cut(&self, state: &MutexGuard<'_, State>, is_killed: &AtomicBool) -> bool {
        state.is_over || is_killed.load(Ordering::Acquire)
    }

    /// Waits that long, unless the connection is cut. False if it was.
    fn be_late(&self, by: Duration, is_killed: &AtomicBool) -> bool {
        let mut state = self.state.lock();
        if !self.is_cut(&state, is_killed) {
            self.changed.wait_for(&mut state, by);
        }
        !self.is_cut(&state, is_killed)
    }

    /// Ends a connection by a reset.
    fn forget(&self, number: usize, ends: &[&TcpStream]) {
        ends.iter().for_each(|end| reset_at_end(end));
        if let Some(live) = self.state.lock().live.remove(&number) {
            live.kill();
        }
    }
}

impl Pump {
    fn run(mut self) {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let read = self.from.read(&mut piece);
            let is_back = self.is_back;
            let holds = |fault| fault == Fault::Hole || is_back && fault == Fault::HoleBack;
            if !self.shared.wait_while(&self.is_killed, holds) {
                return;
            }
            // A hole holds ends back too, whatever they are.
            let Ok(read) = read else {
                return self.shared.forget(self.number, &[&self.from, &self.to]);
            };
            if read == 0 {
                // One that has ended in both directions is closed by the end of both pumps.
                let _ended = self.to.shutdown(Shutdown::Write);
                return;
            }
            if !self.carry(&piece[..read]) {
                return;
            }
        }
    }

    /// Passes a piece on as far as it may pass. Whether there may be more.
    fn carry(&mut self, piece: &[u8]) -> bool {
        let fault = self.shared.state.lock().fault;
        let left = |most: u64| usize::try_from(most.saturating_sub(self.carried)).unwrap_or(usize::MAX);
        let (most, is_bytewise) = match fault {
            Fault::CutAfter(most) | Fault::EndAfter(most) if self.is_back => (left(most), false),
            Fault::Late(by) if !self.shared.be_late(by, &self.is_killed) => return false,
            Fault::Bytewise => (piece.len(), true),
            _ => (piece.len(), false),
        };
        let passing = &piece[..piece.len().min(most)];
        let size = if is_bytewise { 1 } else { passing.len().max(1) };
        for part in passing.chunks(size) {
            if self.to.write_all(part).is_err() {
                self.shared.forget(self.number, &[&self.from, &self.to]);
                return false;
            }
        }
        self.carried += passing.len() as u64;
        let is_at_end =
            matches!(fault, Fault::CutAfter(_) | Fault::EndAfter(_)) && self.is_back && most <= piece.len();
        match fault {
            Fault::EndAfter(_) if is_at_end => _ = self.to.shutdown(Shutdown::Write),
            _ if is_at_end => self.shared.forget(self.number, &[&self.from, &self.to]),
            _ => {}
        }
        !is_at_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back whatever comes, on each connection.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut to = stream.try_clone().unwrap();
                    let _ended = io::copy(&mut &stream, &mut to);
                });
            }
        });
        address
    }

    fn client(relay: &Relay) -> TcpStream {
        let stream = TcpStream::connect(relay.address()).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        stream
    }

    fn ask(stream: &mut TcpStream, text: &str) -> io::Result<String> {
        stream.write_all(text.as_bytes())?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back)?;
        Ok(String::from_utf8_lossy(&back).into_owned())
    }

    #[test]
    fn what_passes_arrives_as_it_was_also_late_and_byte_by_byte() {
        let relay = Relay::to(echo());
        let mut stream = client(&relay);
        for fault in [
            Fault::None,
            Fault::Late(Duration::from_millis(1)),
            Fault::Bytewise,
        ] {
            relay.set(fault);
            assert_eq!(ask(&mut stream, "hello").unwrap(), "hello", "{fault:?}");
        }
        assert_eq!((relay.taken(), relay.open()), (1, 1));
    }

    #[test]
    fn a_hole_holds_back_and_loses_nothing() {
        for fault in [Fault::Hole, Fault::HoleBack] {
            let relay = Relay::to(echo());
            let mut stream = client(&relay);
            assert_eq!(ask(&mut stream, "a").unwrap(), "a");
            relay.set(fault);
            stream.write_all(b"hello").unwrap();
            relay.wait_held();
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            assert!(stream.read(&mut [0]).is_err(), "{fault:?}");
            relay.set(Fault::None);
            stream.set_read_timeout(Some(patience())).unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"hello");
        }
    }

    #[test]
    fn what_is_cut_is_reset_and_what_ends_ends() {
        let relay = Relay::to(echo());
        let mut stream = client(&relay);
        assert_eq!(ask(&mut stream, "a").unwrap(), "a");
        relay.set(Fault::Cut);
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(ask(&mut client(&relay), "b").is_err());

        for (fault, is_reset) in [(Fault::CutAfter(3), true), (Fault::EndAfter(3), false)] {
            relay.set(fault);
            let mut stream = client(&relay);
            stream.write_all(b"hello").unwrap();
            let mut back = Vec::new();
            let ended = stream.read_to_end(&mut back);
            assert_eq!(
                (back.as_slice(), ended.is_err()),
                (&b"hel"[..], is_reset),
                "{fault:?}"
            );
        }
    }
}
