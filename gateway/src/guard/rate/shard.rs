//! A part of a table under one lock: an open-addressed array of keys' hashes and when their debts will be paid.

use super::gcra::Pace;

/// A key is dropped unasked only this long after its debt is paid. Another worker may have read the time, and been
/// held up since: to it the debt is not yet paid, and forgetting it would admit more than the limit says.
const PAID_NS: u64 = 1_000_000_000;

/// Slots of a shard that has its first key.
const SLOTS_MIN: usize = 16;

/// Slots looked at for a key to forget: a KiB of memory in one piece. With a quarter of it, strangers in debt were
/// forgotten while keys that owed nothing stood a little further on.
const SAMPLE: usize = 64;

/// What is remembered of a key: 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// The key's hash; zero marks a free slot.
    pub tag: u64,
    /// When all is paid, on the monotonic axis: governor's theoretical arrival time, in nanoseconds.
    pub due_ns: u64,
}

/// Keys whose hashes have the same low bits.
#[derive(Default)]
// A lock of its own cache line: workers at neighbouring shards do not wait for each other.
#[repr(align(64))]
pub struct Shard {
    /// None at first, then a power of two; at most three quarters are taken.
    slots: Box<[Slot]>,
    held: usize,
    /// Where the search for a key to forget goes on.
    hand: usize,
    /// Of the newest limiter that has asked here, and what it brought.
    generation: u64,
    pace: Option<Pace>,
    /// When the debts here were converted to that pace.
    converted_ns: u64,
    /// The latest time anybody has asked at.
    latest_ns: u64,
}

impl Shard {
    /// Of the slots.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// The latest time anybody has asked at, in nanoseconds.
    pub fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// When debts were last converted to another pace.
    pub fn converted_ns(&self) -> u64 {
        self.converted_ns
    }

    /// Keys of other shards are put here, whose debts may have been converted as late as that.
    pub fn mix(&mut self, converted_ns: u64) {
        self.converted_ns = self.converted_ns.max(converted_ns);
    }

    /// Of whom the pace is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the debts here are reckoned by; None if nobody has ever asked.
    pub fn pace(&self) -> Option<Pace> {
        self.pace
    }

    /// The pace to judge by: this one if it is the newest that was ever used here, else the newest.
    ///
    /// A newer pace takes over with its first request and not when it is made: a configuration that is wired may yet
    /// be given up. From then on it holds for whoever asks, those of the configuration before it too. So debts are
    /// converted once, not to and fro, and at any time there is one rate and one burst that the count keeps to.
    pub fn adopt(&mut self, generation: u64, pace: Pace, now_ns: u64) -> Pace {
        self.latest_ns = self.latest_ns.max(now_ns);
        if generation > self.generation {
            self.generation = generation;
            match self.pace.replace(pace) {
                Some(old) if old != pace => self.convert(&old, &pace, now_ns),
                Some(_) | None => {}
            }
        }
        self.pace.unwrap_or(pace)
    }

    /// What a key would owe, and by which pace, if this one were [adopted](Self::adopt).
    pub fn debt_if_adopted(&self, tag: u64, (generation, pace): (u64, Pace), now_ns: u64) -> (u64, Pace) {
        let debt_ns = self.due_ns(tag).unwrap_or_default().saturating_sub(now_ns);
        match self.pace {
            Some(old) if generation <= self.generation => (debt_ns, old),
            // A debt of nothing is none at any pace.
            Some(old) if old != pace && debt_ns > 0 => (pace.convert(debt_ns, &old), pace),
            Some(_) | None => (debt_ns, pace),
        }
    }

    fn convert(&mut self, from: &Pace, to: &Pace, now_ns: u64) {
        self.converted_ns = now_ns;
        for slot in &mut self.slots {
            if slot.due_ns > now_ns {
                slot.due_ns = now_ns + to.convert(slot.due_ns - now_ns, from);
            }
        }
    }

    /// When this key's debt is paid; None if nothing is known of it.
    pub fn due_ns(&self, tag: u64) -> Option<u64> {
        Some(self.slots[self.find(tag)?].due_ns)
    }

    /// Changes what is known of a key; false if nothing is.
    pub fn update(&mut self, tag: u64, due_ns: u64) -> bool {
        let at = self.find(tag);
        if let Some(at) = at {
            self.slots[at].due_ns = due_ns;
        }
        at.is_some()
    }

    /// Remembers a key that is not known. There is a free slot: see [`make_room`](Self::make_room).
    pub fn insert(&mut self, slot: Slot) {
        let mut at = self.home(slot.tag);
        while self.slots[at].tag != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
        self.held += 1;
    }

    /// Sees to it that one more key finds a slot; how many keys have been dropped that owed nothing.
    ///
    /// An array that would have to grow is first cleared of those that have paid: it is as large as the keys in debt
    /// ask for, not as all that ever came. Only this shard stands still, for some thousand keys at most.
    pub fn make_room(&mut self, now_ns: u64) -> usize {
        if (self.held + 1) * 4 <= self.slots.len() * 3 {
            return 0;
        }
        let live = |slot: &Slot| slot.tag != 0 && slot.due_ns.saturating_add(PAID_NS) > now_ns;
        let kept = self.slots.iter().filter(|s| live(s)).count();
        let dropped = self.held - kept;
        self.rebuild(kept + 1, live);
        dropped
    }

    /// Takes all keys out and leaves nothing.
    pub fn drain(&mut self) -> impl Iterator<Item = Slot> + use<> {
        self.held = 0;
        std::mem::take(&mut self.slots)
            .into_iter()
            .filter(|slot| slot.tag != 0)
    }

    /// Sees to it that so many keys find a slot, in a shard that has none.
    pub fn reserve(&mut self, keys: usize) {
        if keys > 0 {
            self.rebuild(keys, |_| false);
        }
    }

    /// Half of the slots are free after it: a rebuild pays for many insertions before the next.
    fn rebuild(&mut self, keys: usize, live: impl Fn(&Slot) -> bool) {
        let slots = (keys * 2).next_power_of_two().max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots].into_boxed_slice());
        (self.held, self.hand) = (0, 0);
        old.into_iter().filter(live).for_each(|slot| self.insert(slot));
    }

    /// Forgets the idlest of the next few keys, and returns it; None if there is none.
    ///
    /// That is the first that owes nothing, else the one that owes the least. Whoever owes the most outlives every
    /// look at more than itself: strangers who fill the table drive each other out, not the one who is known.
    pub fn forget_idlest(&mut self, now_ns: u64) -> Option<Slot> {
        if self.held == 0 {
            return None;
        }
        let (mut seen, mut at, mut idlest) = (0, self.hand & (self.slots.len() - 1), None::<usize>);
        // On until two are seen at the least, if there are two: one alone might be who owes the most.
        let enough = self.held.min(2);
        for step in 0..self.slots.len() {
            let slot = self.slots[at];
            if slot.tag != 0 {
                seen += 1;
                if idlest.is_none_or(|i| slot.due_ns < self.slots[i].due_ns) {
                    idlest = Some(at);
                }
            }
            let is_paid = slot.tag != 0 && slot.due_ns <= now_ns;
            at = self.after(at);
            if is_paid || (step + 1 >= SAMPLE && seen >= enough) {
                break;
            }
        }
        self.hand = at;
        idlest.map(|at| self.remove(at))
    }

    /// Keeps the keys that owe the most, so many of them; how many have been forgotten, and how many of these in debt.
    pub fn trim(&mut self, keys: usize) -> (usize, usize) {
        if self.held <= keys {
            return (0, 0);
        }
        let mut all: Vec<Slot> = self.drain().collect();
        all.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.due_ns));
        let gone = all.split_off(keys);
        self.reserve(keys);
        all.into_iter().for_each(|slot| self.insert(slot));
        let indebted = gone.iter().filter(|s| s.due_ns > self.latest_ns).count();
        (gone.len(), indebted)
    }

    /// Closes the gap by moving up those behind it that would not be found across it.
    fn remove(&mut self, at: usize) -> Slot {
        let gone = self.slots[at];
        let mask = self.slots.len() - 1;
        let (mut gap, mut next) = (at, self.after(at));
        while self.slots[next].tag != 0 {
            let home = self.home(self.slots[next].tag);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(gap) & mask {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = self.after(next);
        }
        self.slots[gap] = Slot::default();
        self.held -= 1;
        gone
    }

    fn find(&self, tag: u64) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(tag);
        loop {
            match self.slots[at].tag {
                t if t == tag => return Some(at),
                0 => return None,
                _ => at = self.after(at),
            }
        }
    }

    /// The low bits have chosen the shard; these are independent of them.
    fn home(&self, tag: u64) -> usize {
        (tag >> 32) as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}
