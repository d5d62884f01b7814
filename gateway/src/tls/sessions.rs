//! Sessions remembered by their id, for clients of TLS 1.2 that take no tickets (RFC 5246 §F.1.4). Bounded twice: by
//! number, and in time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::server::StoresServerSessions;

/// Parts with a lock each, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// Bytes of one session. Beyond are those of clients with long chains of certificates, who can take tickets.
const SESSION_BYTES_MAX: usize = 4 * 1_024;

/// Two generations: what is looked for is in the young one or the old one; when the young one is full, or a period is
/// over, the old one goes and the young one is the old one. So the newest half of the room is always remembered, and
/// nothing longer than two periods.
pub(super) struct Sessions {
    shards: [Mutex<Generations>; SHARDS],
    /// Of each generation of each shard.
    entries_max: usize,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Vec<u8>, Vec<u8>>,
    old: HashMap<Vec<u8>, Vec<u8>>,
}

impl Generations {
    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

impl Sessions {
    /// Room for so many, rounded up to the next multiple of the parts it is kept in.
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            entries_max: sessions_max.div_ceil(2 * SHARDS),
        }
    }

    /// A period is over.
    pub(super) fn turn(&self) {
        self.shards.iter().for_each(|shard| shard.lock().turn());
    }

    /// Ids are drawn at random by us: their bytes spread by themselves.
    fn shard(&self, key: &[u8]) -> &Mutex<Generations> {
        let last = key.last().copied().unwrap_or_default();
        &self.shards[usize::from(last) % SHARDS]
    }

    fn put(&self, key: Vec<u8>, session: Vec<u8>) -> bool {
        if self.entries_max == 0 || session.len() > SESSION_BYTES_MAX {
            return false;
        }
        let mut generations = self.shard(&key).lock();
        if generations.young.len() >= self.entries_max && !generations.young.contains_key(&key) {
            generations.turn();
        }
        generations.old.remove(&key);
        generations.young.insert(key, session);
        true
    }

    fn find(&self, key: &[u8]) -> Option<Vec<u8>> {
        let generations = self.shard(key).lock();
        generations
            .young
            .get(key)
            .or_else(|| generations.old.get(key))
            .cloned()
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut generations = self.shard(key).lock();
        let young = generations.young.remove(key);
        let old = generations.old.remove(key);
        young.or(old)
    }
}

/// Sessions of the listeners of one context.
pub(super) struct SessionsOf {
    pub(super) sessions: Arc<Sessions>,
    pub(super) context: [u8; 32],
}

impl SessionsOf {
    fn key(&self, id: &[u8]) -> Vec<u8> {
        [&self.context, id].concat()
    }
}

impl fmt::Debug for SessionsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsOf").finish_non_exhaustive()
    }
}

impl StoresServerSessions for SessionsOf {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        self.sessions.put(self.key(&id), session)
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.sessions.find(&self.key(id))
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.sessions.take(&self.key(id))
    }

    fn can_cache(&self) -> bool {
        self.sessions.entries_max > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u8),
        Find(u8),
        Take(u8),
        Turn,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<u8>(), any::<u8>()).prop_map(|(id, session)| Step::Put(id, session)),
            3 => any::<u8>().prop_map(Step::Find),
            2 => any::<u8>().prop_map(Step::Take),
            1 => Just(Step::Turn),
        ]
    }

    proptest! {
        /// The model remembers everything for ever: what is found must be the last that was put, and never more than fits.
        #[test]
        fn what_is_found_is_what_was_put_last(max in 0usize..200, steps in vec(step(), 0..400)) {
            let sessions = Sessions::new(max);
            let mut all: HashMap<u8, u8> = HashMap::new();
            for step in steps {
                match step {
                    Step::Put(id, session) => {
                        prop_assert_eq!(sessions.put(vec![id], vec![session]), max > 0);
                        all.insert(id, session);
                        prop_assert_eq!(sessions.find(&[id]), (max > 0).then(|| vec![session]));
                    }
                    Step::Find(id) => {
                        let found = sessions.find(&[id]);
                        prop_assert!(found.is_none() || found == all.get(&id).map(|s| vec![*s]));
                    }
                    Step::Take(id) => {
                        let taken = sessions.take(&[id]);
                        prop_assert!(taken.is_none() || taken == all.remove(&id).map(|s| vec![s]));
                        prop_assert_eq!(sessions.find(&[id]), None);
                    }
                    Step::Turn => sessions.turn(),
                }
                let held: usize = sessions.shards.iter().map(|s| { let s = s.lock(); s.young.len() + s.old.len() }).sum();
                prop_assert!(held <= max.next_multiple_of(2 * SHARDS));
            }
        }
    }

    #[test]
    fn nothing_is_remembered_for_more_than_two_periods() {
        let sessions = Sessions::new(100);
        sessions.put(vec![1], vec![1]);
        sessions.turn();
        assert!(sessions.find(&[1]).is_some());
        sessions.turn();
        assert_eq!(sessions.find(&[1]), None);
    }

    #[test]
    fn a_session_of_one_context_is_not_found_in_another() {
        let sessions = Arc::new(Sessions::new(100));
        let of = |context: u8| SessionsOf {
            sessions: Arc::clone(&sessions),
            context: [context; 32],
        };
        assert!(of(1).put(vec![7], vec![1]));
        assert_eq!((of(2).get(&[7]), of(2).take(&[7])), (None, None));
        assert_eq!(of(1).get(&[7]), Some(vec![1]));
        assert!(!of(1).put(vec![8], vec![0; SESSION_BYTES_MAX + 1]));
    }
}
