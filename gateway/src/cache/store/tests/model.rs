//! Anything in any order, against a model that remembers what was admitted and purged.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::{MIB, Rig, bytes, copy, disk_bytes, key, meta, plan};
use crate::config::plan::Cache as Plan;

const KEYS: u64 = 12;
/// A facet that every object has.
const ALL: u64 = 7;

#[derive(Clone, Debug)]
enum Step {
    Put {
        n: u64,
        length: usize,
    },
    Spill {
        n: u64,
        length: usize,
    },
    /// A fill during which something is purged.
    Late {
        n: u64,
        facet: u64,
        is_soft: bool,
    },
    Get(u64),
    Freshen(u64),
    Remove(u64),
    Purge {
        facet: u64,
        is_soft: bool,
    },
    Settle,
    /// A kill, and a start on what it left.
    Restart,
}

fn facets(n: u64) -> [u64; 3] {
    [ALL, 20 + n % 3, 100 + n]
}

fn steps(length_max: usize) -> impl Strategy<Value = Vec<Step>> {
    let n = 0..KEYS;
    let facet = prop_oneof![Just(ALL), 20..23u64, 100..100 + KEYS];
    let step = prop_oneof![
        6 => (n.clone(), 0..length_max).prop_map(|(n, length)| Step::Put { n, length }),
        1 => (n.clone(), 0..length_max).prop_map(|(n, length)| Step::Spill { n, length }),
        1 => (n.clone(), facet.clone(), any::<bool>())
            .prop_map(|(n, facet, is_soft)| Step::Late { n, facet, is_soft }),
        8 => n.clone().prop_map(Step::Get),
        2 => n.clone().prop_map(Step::Freshen),
        1 => n.prop_map(Step::Remove),
        2 => (facet, any::<bool>()).prop_map(|(facet, is_soft)| Step::Purge { facet, is_soft }),
        3 => Just(Step::Settle),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// One body that was admitted for a key.
#[derive(Clone, Debug)]
struct Version {
    body: Vec<u8>,
    is_hard_purged: bool,
    is_soft_purged: bool,
}

#[derive(Default)]
struct Model {
    versions: HashMap<u64, Vec<Version>>,
    /// The version a look-up may find; None: there is none.
    current: HashMap<u64, Option<usize>>,
    /// Since the last settling nothing was changed: what is there is on disk.
    is_settled: bool,
    /// A kill may have brought an older version back, or an older head.
    is_unsure: bool,
}

impl Model {
    fn admit(&mut self, n: u64, body: Vec<u8>) {
        let versions = self.versions.entry(n).or_default();
        versions.push(Version {
            body,
            is_hard_purged: false,
            is_soft_purged: false,
        });
        self.current.insert(n, Some(versions.len() - 1));
    }

    /// How many current objects it reaches.
    fn purge(&mut self, facet: u64, is_soft: bool) -> u64 {
        let mut reached = 0;
        for (n, versions) in &mut self.versions {
            if !facets(*n).contains(&facet) {
                continue;
            }
            let current = self.current[n];
            reached += u64::from(current.is_some_and(|at| !versions[at].is_hard_purged));
            for version in versions {
                version.is_soft_purged |= is_soft;
                version.is_hard_purged |= !is_soft;
            }
        }
        reached
    }
}

struct Play {
    rig: Rig,
    model: Model,
    folder: tempfile::TempDir,
    plan: Plan,
    /// Nothing is ever evicted: whatever the model has must be there.
    is_roomy: bool,
    made: u32,
}

impl Play {
    fn new(memory: u64, disk: u64, is_roomy: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(memory, Some((folder.path(), disk)));
        let mut rig = Rig::open(&plan);
        rig.settle();
        Self {
            rig,
            model: Model::default(),
            folder,
            plan,
            is_roomy,
            made: 0,
        }
    }

    fn body(&mut self, n: u64, length: usize) -> Vec<u8> {
        self.made += 1;
        let mut body = format!("{n} {}:", self.made).into_bytes();
        body.extend((0..length).map(|i| (i as u32 / 3 + self.made) as u8));
        body
    }

    fn step(&mut self, step: Step) {
        self.model.is_settled &= matches!(step, Step::Get(_) | Step::Settle | Step::Restart);
        match step {
            Step::Put { n, length } => {
                let body = self.body(n, length);
                assert!(self.rig.put(n, &facets(n), &body).is_some());
                self.model.admit(n, body);
            }
            Step::Spill { n, length } => self.spill(n, length),
            Step::Late { n, facet, is_soft } => self.late(n, facet, is_soft),
            Step::Get(n) => self.get(n),
            Step::Freshen(n) => self.freshen(n),
            Step::Remove(n) => {
                self.rig.store.remove(key(n));
                self.model.current.insert(n, None);
            }
            Step::Purge { facet, is_soft } => {
                // After a sweep no object counts that another purge has reached.
                self.rig.settle();
                let reached = self.model.purge(facet, is_soft);
                let purged = self.rig.store.purge(&[facet], is_soft);
                assert_eq!(purged.fault, None);
                if self.is_roomy && !self.model.is_unsure {
                    assert_eq!(purged.objects, reached);
                }
            }
            Step::Settle => {
                self.rig.settle();
                self.model.is_settled = true;
            }
            Step::Restart => self.restart(),
        }
        self.check_limits();
    }

    fn spill(&mut self, n: u64, length: usize) {
        let body = self.body(n, length);
        let mark = self.rig.store.begin_fill();
        let Some(draft) = self.rig.store.draft() else {
            panic!("there is a disk")
        };
        if draft.append(&body).is_err() {
            return;
        }
        if self
            .rig
            .store
            .admit_draft(key(n), meta(n, &facets(n), mark.serial()), &draft)
            .is_some()
        {
            self.model.admit(n, body);
        }
    }

    fn late(&mut self, n: u64, facet: u64, is_soft: bool) {
        let body = self.body(n, 100);
        let mark = self.rig.store.begin_fill();
        self.rig.store.purge(&[facet], is_soft);
        self.rig.settle();
        self.model.purge(facet, is_soft);
        let meta = meta(n, &facets(n), mark.serial());
        let is_meant = facets(n).contains(&facet);
        let kept = self.rig.store.admit(key(n), meta, Bytes::from(body.clone()));
        assert_eq!(kept.is_none(), is_meant && !is_soft);
        if kept.is_some() {
            self.model.admit(n, body);
            let at = self.model.current[&n].unwrap();
            self.model.versions.get_mut(&n).unwrap()[at].is_soft_purged = is_meant && is_soft;
        }
    }

    fn get(&self, n: u64) {
        let current = self.model.current.get(&n).copied().flatten();
        let Some(hit) = self.rig.get(n) else {
            let is_there = current.is_some_and(|at| !self.model.versions[&n][at].is_hard_purged);
            assert!(
                !(is_there && self.is_roomy && !self.model.is_unsure),
                "{n} is lost"
            );
            return;
        };
        let found = bytes(&hit.object);
        let versions = &self.model.versions[&n];
        let at = versions
            .iter()
            .position(|v| v.body == found)
            .expect("a body that was admitted for this key");
        assert!(!versions[at].is_hard_purged, "{n} was purged");
        if self.model.is_unsure {
            assert!(
                hit.is_soft_purged || !versions[at].is_soft_purged,
                "{n} was softly purged"
            );
        } else {
            assert_eq!(Some(at), current, "{n} has been replaced or removed");
            assert_eq!(hit.is_soft_purged, versions[at].is_soft_purged);
        }
    }

    fn freshen(&mut self, n: u64) {
        let Some(hit) = self.rig.get(n) else { return };
        let found = bytes(&hit.object);
        let mark = self.rig.store.begin_fill();
        self.rig
            .store
            .freshen(&hit.object, meta(n, &facets(n), mark.serial()));
        if let Body::File(_) = hit.object.body {
            // Its new head is on its way to disk; the old one is found until then.
            self.rig.settle();
        }
        let versions = self.model.versions.get_mut(&n).unwrap();
        let at = versions.iter().position(|v| v.body == found).unwrap();
        versions[at].is_soft_purged = false;
    }

    fn restart(&mut self) {
        let to = tempfile::tempdir().unwrap();
        copy(self.folder.path(), to.path());
        self.plan.path = Some(to.path().to_owned());
        self.rig = Rig::open(&self.plan);
        self.model.is_unsure |= !self.model.is_settled;
        self.folder = to;
        // Some of the play goes on while the folder is still being walked through, but then less is certain.
        if self.made.is_multiple_of(2) {
            self.rig.settle();
        } else {
            self.model.is_unsure = true;
        }
    }

    fn check_limits(&self) {
        let status = self.rig.store.status();
        assert!(status.memory_bytes <= self.plan.memory, "{status:?}");
        assert!(
            disk_bytes(self.folder.path()) <= self.plan.disk + self.plan.disk / 20,
            "{status:?}"
        );
    }
}

use crate::cache::object::Body;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_room_nothing_is_lost_and_nothing_purged_or_replaced_comes_back(steps in steps(3_000)) {
        let mut play = Play::new(16 * MIB, 64 * MIB, true);
        for step in steps {
            play.step(step);
        }
    }

    #[test]
    fn without_room_limits_hold_and_bodies_are_right(steps in steps(8_000)) {
        let mut play = Play::new(160 * 1024, 96 * 1024, false);
        for step in steps {
            play.step(step);
        }
    }
}
