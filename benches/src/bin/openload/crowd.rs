//! The sockets of an open load: one thread, which waits for what is due and for answers at once.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use benches::load::{Answer, Histogram, Progress, Scenario};
use gateway::kit::clock::{Clock, Mono};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Who has waited so long for an answer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked for those.
const SWEEP: Duration = Duration::from_millis(100);
/// Connections to a server that does not take them are given up after it: what is due meanwhile goes out late.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Before the first one is due: until the connections are there.
const HEAD_START: Duration = Duration::from_millis(100);
/// Of one read; more than most answers have.
const READ_BYTES: usize = 64 * 1024;

/// What is to be sent where and when.
pub struct Crowd {
    pub address: SocketAddr,
    /// In turn.
    pub requests: Vec<Vec<u8>>,
    pub scenario: Scenario,
    pub warm_up: Duration,
    pub connections: usize,
}

/// What has become of the requests that were due after the warm-up.
#[derive(Default)]
pub struct Outcome {
    /// From when each was due to the end of its answer; of those that failed, to when that was known.
    pub latencies_ns: Histogram,
    /// From when each was due to when it was sent: what waited for a connection, and what this program was late by itself.
    pub late_ns: Histogram,
    /// Answered with 400 or above, not at all, or not within patience.
    pub failed: u64,
    pub statuses: BTreeMap<u16, u64>,
}

/// A request that is due.
#[derive(Clone, Copy)]
struct Due {
    at: Mono,
    number: usize,
    counts: bool,
    /// It has been sent over a connection that turned out to be closed.
    again: bool,
}

/// A place for a connection, whether one is there or not.
#[derive(Default)]
struct Slot {
    stream: Option<TcpStream>,
    /// Of the request under way.
    due: Option<Due>,
    answer: Answer,
    /// Bytes of the answer have come.
    begun: bool,
    /// The connection has carried an answer before.
    used: bool,
}

struct Run<'c> {
    crowd: &'c Crowd,
    clock: Clock,
    events: OwnedFd,
    slots: Vec<Slot>,
    idle: VecDeque<usize>,
    queue: VecDeque<Due>,
    outcome: Outcome,
    room: Vec<u8>,
}

impl Crowd {
    /// Sends them all and waits for the answers.
    pub fn run(&self) -> io::Result<Outcome> {
        let mut run = Run {
            crowd: self,
            clock: Clock::system(),
            events: epoll::create(CreateFlags::CLOEXEC)?,
            slots: (0..self.connections).map(|_| Slot::default()).collect(),
            idle: (0..self.connections).collect(),
            queue: VecDeque::new(),
            outcome: Outcome::default(),
            room: vec![0; READ_BYTES],
        };
        for slot in 0..self.connections {
            run.connect(slot)?;
        }
        run.all()?;
        Ok(run.outcome)
    }
}

impl Run<'_> {
    fn all(&mut self) -> io::Result<()> {
        let begins = self.clock.mono().plus(HEAD_START);
        let crowd = self.crowd;
        let mut arrivals = crowd.scenario.arrivals().enumerate().peekable();
        let mut swept = begins;
        loop {
            let now = self.clock.mono();
            while let Some((number, after)) = arrivals.next_if(|(_, after)| begins.plus(*after) <= now) {
                self.queue.push_back(Due {
                    at: begins.plus(after),
                    number,
                    counts: after >= crowd.warm_up,
                    again: false,
                });
            }
            self.send_queued();
            if now.since(swept) >= SWEEP {
                swept = now;
                self.sweep(now);
            }
            let next = arrivals.peek().map(|(_, after)| begins.plus(*after));
            if next.is_none() && self.queue.is_empty() && self.slots.iter().all(|slot| slot.due.is_none()) {
                return Ok(());
            }
            let left = next.map_or(SWEEP, |at| at.since(self.clock.mono()).min(SWEEP));
            self.receive(left)?;
        }
    }

    fn send_queued(&mut self) {
        while !self.queue.is_empty() {
            let (Some(slot), Some(due)) = (self.idle.pop_front(), self.queue.front().copied()) else {
                return;
            };
            self.queue.pop_front();
            self.send(slot, due);
        }
    }

    fn send(&mut self, at: usize, due: Due) {
        if self.slots[at].stream.is_none() && self.connect(at).is_err() {
            self.idle.push_back(at);
            self.end(due, None);
            return;
        }
        if due.counts && !due.again {
            self.outcome.late_ns.record(ns(self.clock.mono().since(due.at)));
        }
        let slot = &mut self.slots[at];
        (slot.answer, slot.begun, slot.due) = (Answer::default(), false, Some(due));
        let request = &self.crowd.requests[due.number % self.crowd.requests.len()];
        // An idle socket has room for a request; one that has not is of no use.
        let sent = slot.stream.as_mut().map(|stream| stream.write_all(request));
        if !matches!(sent, Some(Ok(()))) {
            self.lose(at);
        }
    }

    fn connect(&mut self, at: usize) -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&self.crowd.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(
            &self.events,
            &stream,
            EventData::new_u64(at as u64),
            EventFlags::IN,
        )?;
        (self.slots[at].stream, self.slots[at].used) = (Some(stream), false);
        Ok(())
    }

    /// Waits for answers, and no longer than that.
    fn receive(&mut self, left: Duration) -> io::Result<()> {
        // epoll_wait counts in milliseconds on older kernels; between two requests there are microseconds.
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        poll(&mut [PollFd::new(&self.events, PollFlags::IN)], Some(&timeout))?;
        let mut room = [MaybeUninit::uninit(); 256];
        let (ready, _) = epoll::wait(&self.events, &mut room, Some(&Timespec::default()))?;
        for event in ready {
            if let Ok(at) = usize::try_from(event.data.u64()) {
                self.read(at);
            }
        }
        Ok(())
    }

    fn read(&mut self, at: usize) {
        loop {
            let slot = &mut self.slots[at];
            let Some(stream) = &mut slot.stream else { return };
            let progress = match stream.read(&mut self.room) {
                Ok(0) => slot.answer.closed(),
                // An answer that nobody has asked for.
                Ok(_) if slot.due.is_none() => Progress::Invalid,
                Ok(length) => {
                    slot.begun = true;
                    slot.answer.feed(&self.room[..length])
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => Progress::Partial,
                Err(_) => Progress::Invalid,
            };
            match progress {
                Progress::Partial => {}
                Progress::Invalid => return self.lose(at),
                Progress::Whole { status, reusable } => return self.done(at, status, reusable),
            }
        }
    }

    fn done(&mut self, at: usize, status: u16, reusable: bool) {
        let slot = &mut self.slots[at];
        slot.used = true;
        if !reusable {
            slot.stream = None;
        }
        if let Some(due) = slot.due.take() {
            self.idle.push_back(at);
            self.end(due, Some(status));
        }
    }

    /// A connection is of no use any more. A request that met one that had been closed meanwhile is sent once more, as
    /// every client does (RFC 9112, section 9.3.1: an idempotent request on a connection that closes early).
    fn lose(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        slot.stream = None;
        let Some(due) = slot.due.take() else { return };
        self.idle.push_back(at);
        if self.slots[at].used && !self.slots[at].begun && !due.again {
            self.queue.push_front(Due { again: true, ..due });
        } else {
            self.end(due, None);
        }
    }

    /// Gives up whoever has waited too long, with a connection or for one.
    fn sweep(&mut self, now: Mono) {
        while self
            .queue
            .front()
            .is_some_and(|due| now.since(due.at) >= PATIENCE)
        {
            if let Some(due) = self.queue.pop_front() {
                self.end(due, None);
            }
        }
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if let Some(due) = slot.due.take_if(|due| now.since(due.at) >= PATIENCE) {
                slot.stream = None;
                self.idle.push_back(at);
                self.end(due, None);
            }
        }
    }

    fn end(&mut self, due: Due, status: Option<u16>) {
        if !due.counts {
            return;
        }
        let took = self.clock.mono().since(due.at);
        self.outcome.latencies_ns.record(ns(took));
        if let Some(status) = status {
            *self.outcome.statuses.entry(status).or_default() += 1;
        }
        self.outcome.failed += u64::from(status.is_none_or(|status| status >= 400));
    }
}

fn ns(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
