//! Random schedules of writer, followers and jobs, against a model: a body is a function of its offsets.

use proptest::prelude::*;

use super::*;

/// Longer than a small chunk, so that both kinds occur.
const CHUNK_MAX: usize = 6 * 1024;

#[derive(Clone, Debug)]
enum Act {
    Push(usize),
    Follow,
    Read(usize),
    Skip(usize, u64),
    Leave(usize),
    RunJob,
    DropJob,
    Finish,
    Break,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => prop_oneof![1..20usize, 1..CHUNK_MAX].prop_map(Act::Push),
        2 => Just(Act::Follow),
        10 => (0..6usize).prop_map(Act::Read),
        1 => (0..6usize, 0..90_000u64).prop_map(|(who, to)| Act::Skip(who, to)),
        1 => (0..6usize).prop_map(Act::Leave),
        3 => Just(Act::RunJob),
        1 => prop_oneof![20 => Just(Act::RunJob), 1 => Just(Act::DropJob)],
        1 => prop_oneof![9 => Just(Act::Follow), 1 => Just(Act::Finish), 1 => Just(Act::Break)],
    ]
}

struct Client {
    follower: Follower,
    position: u64,
    bell: Arc<Bell>,
    /// The count of rings when it was told to wait; None when it was not.
    waits_since: Option<usize>,
}

struct World {
    fill: Arc<Fill>,
    writer: Option<FillWriter>,
    clients: Vec<Client>,
    jobs: Vec<SpillJob>,
    sent: u64,
    is_complete: bool,
    /// The writer's bell and its rings when it was told to wait.
    room: Arc<Bell>,
    waits_for_room: Option<usize>,
    read_max: usize,
}

impl World {
    fn of(plan: FillPlan, read_max: usize) -> Self {
        let (fill, writer) = Fill::begin(plan);
        Self {
            fill,
            writer: Some(writer),
            clients: Vec::new(),
            jobs: Vec::new(),
            sent: 0,
            is_complete: false,
            room: Arc::default(),
            waits_for_room: None,
            read_max,
        }
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        let who = |index: &usize, count: usize| (count > 0).then(|| index % count.max(1));
        match act {
            Act::Push(length) => self.push(*length)?,
            Act::Follow => self.follow()?,
            Act::Read(index) => {
                if let Some(index) = who(index, self.clients.len()) {
                    self.read(index)?;
                }
            }
            Act::Skip(index, offset) => {
                if let Some(client) = who(index, self.clients.len()).map(|i| &mut self.clients[i])
                    && client.follower.skip_to(*offset)
                {
                    (client.position, client.waits_since) = (*offset, None);
                }
            }
            Act::Leave(index) => {
                if let Some(index) = who(index, self.clients.len()) {
                    self.clients.swap_remove(index);
                }
            }
            Act::RunJob => _ = self.jobs.pop().map(SpillJob::run),
            Act::DropJob => drop(self.jobs.pop()),
            Act::Finish => self.finish()?,
            Act::Break => self.writer = None,
        }
        self.look()
    }

    fn push(&mut self, length: usize) -> Result<(), TestCaseError> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let waker = Waker::from(Arc::clone(&self.room));
        let rings = self.room.rings();
        if writer.poll_room(&mut Context::from_waker(&waker)).is_pending() {
            self.waits_for_room = Some(rings);
            prop_assert!(matches!(writer.push(body(0, 1)), Err(FillError::NoRoom(_))));
            return Ok(());
        }
        if let Some(before) = self.waits_for_room.take() {
            prop_assert!(rings > before, "there is room and the writer was not woken");
        }
        match writer.push(body(self.sent, length)) {
            Ok(Pushed::Spill(job)) => self.jobs.push(job),
            Ok(Pushed::Kept) => {}
            Ok(Pushed::Unheard) => prop_assert!(self.clients.is_empty()),
            Err(error) => prop_assert!(false, "{error}"),
        }
        self.sent += length as u64;
        Ok(())
    }

    fn follow(&mut self) -> Result<(), TestCaseError> {
        let is_broken = self.writer.is_none() && !self.is_complete;
        let Some(follower) = self.fill.follow() else {
            prop_assert!(is_broken || self.fill.is_passing());
            return Ok(());
        };
        prop_assert!(!is_broken);
        self.clients.push(Client {
            follower,
            position: 0,
            bell: Arc::default(),
            waits_since: None,
        });
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<(), TestCaseError> {
        let client = &mut self.clients[index];
        let waker = Waker::from(Arc::clone(&client.bell));
        client.waits_since = None;
        let step = client.follower.poll_next(&mut Context::from_waker(&waker));
        let is_over = self.writer.is_none();
        match step {
            Poll::Ready(Step::Bytes(bytes)) => {
                prop_assert!(!bytes.is_empty() && bytes.len() <= STEP_BYTES_MAX);
                prop_assert!(bytes == body(client.position, bytes.len()));
                client.position += bytes.len() as u64;
                prop_assert!(client.position <= self.sent);
            }
            Poll::Ready(Step::InFile {
                reader,
                offset,
                length,
            }) => {
                prop_assert_eq!(offset, client.position);
                prop_assert!(offset + length <= self.sent);
                let mut out = vec![0; usize::try_from(length).unwrap().min(self.read_max)];
                let count = reader.read_at(offset, &mut out, true).unwrap().unwrap();
                prop_assert!(count == out.len() && out == body(offset, count));
                client.follower.advance(count as u64);
                client.position += count as u64;
            }
            Poll::Ready(Step::End) => prop_assert!(self.is_complete && client.position >= self.sent),
            Poll::Ready(Step::Broken) => {
                prop_assert!(is_over && !self.is_complete && client.position >= self.sent);
            }
            Poll::Pending => {
                prop_assert!(!is_over && client.position >= self.sent);
                client.waits_since = Some(client.bell.rings());
            }
        }
        prop_assert_eq!(client.position, client.follower.position());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TestCaseError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        self.is_complete = true;
        match writer.finish().unwrap() {
            Finished::InMemory(whole) => {
                prop_assert!(whole == body(0, usize::try_from(self.sent).unwrap()));
                prop_assert!(whole.len() <= MEMORY_BYTES_MAX);
            }
            Finished::Spilled(job) => self.jobs.push(job),
            Finished::NotStorable => prop_assert!(self.fill.is_passing()),
        }
        Ok(())
    }

    /// What holds after every act.
    fn look(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.fill.received(), self.sent);
        prop_assert_eq!(self.fill.followers(), self.clients.len());
        prop_assert!(self.fill.memory_bytes() <= 2 * MEMORY_BYTES_MAX + CHUNK_MAX);
        for client in &self.clients {
            let is_due = self.writer.is_none() || client.position < self.sent;
            if let Some(before) = client.waits_since.filter(|_| is_due) {
                prop_assert!(client.bell.rings() > before, "a lost wake-up");
            }
        }
        Ok(())
    }

    /// Everybody reads to the end there is.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        while let Some(job) = self.jobs.pop() {
            _ = job.run();
        }
        for client in &mut self.clients {
            let (got, end) = read(&mut client.follower);
            prop_assert!(got == body(client.position, got.len()));
            prop_assert_eq!(matches!(end, Some(Step::End)), self.is_complete);
            prop_assert_eq!(matches!(end, Some(Step::Broken)), !self.is_complete);
            prop_assert!(client.position + got.len() as u64 >= self.sent);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_follower_reads_the_body_or_is_told_that_it_is_broken(
        acts in prop::collection::vec(act(), 1..160),
        disk in prop_oneof![Just(None), (0..60_000usize).prop_map(Some), Just(Some(usize::MAX))],
        object_bytes_max in prop_oneof![3 => Just(u64::MAX), 1 => 0..60_000u64],
        read_max in 1..20_000usize,
        ends in any::<bool>(),
    ) {
        let tape = disk.map(Tape::of);
        let plan = FillPlan { object_bytes_max, ..plan(None, tape.clone()) };
        let mut world = World::of(plan, read_max);
        for act in &acts {
            world.act(act)?;
        }
        world.act(if ends { &Act::Finish } else { &Act::Break })?;
        let last = world.jobs.pop().map(SpillJob::run);
        if let Some(Ok(SpillProgress::Whole)) = last {
            prop_assert!(tape.unwrap().bytes.lock()[..] == body(0, usize::try_from(world.sent).unwrap()));
        }
        world.drain()?;
    }
}
