//! The fill itself: what its writer, its followers and its spill jobs share.

use std::fmt;
use std::task::Waker;

use super::super::object::{Key, Meta};
use super::super::sync::{Arc, Mutex};
use super::audience::Audience;
use super::budget::{Budget, CROWDED_BYTES_MAX};
use super::spill::Spill;
use super::window::Window;
use super::{FillWriter, Follower};

/// What a fill begins with.
pub struct FillPlan {
    /// Of the object that this is to become.
    pub key: Key,
    /// All about it besides its body.
    pub meta: Arc<Meta>,
    /// Bytes of the body where the origin has announced them.
    pub length: Option<u64>,
    /// Bytes of the body that may be in memory before it goes to the spill, or is passed through where there is none.
    ///
    /// A job that is on its way to the spill may hold as much again. The least that works is 1.
    pub memory_bytes_max: usize,
    /// Bytes beyond which the body is not stored but passed through.
    pub object_bytes_max: u64,
    /// Where a large body goes. It should create its file with the first `append`: most fills never come to that.
    pub spill: Option<Arc<dyn Spill>>,
    /// What all fills may hold in memory together. Beyond it a body goes to the spill at once, or is passed through.
    pub budget: Option<Arc<Budget>>,
}

/// Bytes of a body in memory that is passed through for want of a spill, whatever it might have held to be stored.
const PASSED_BYTES_MAX: usize = 1 << 20;

/// How far a fill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillState {
    /// More is to come.
    Open,
    /// Every byte is there.
    Complete,
    /// The origin broke off, or sent another length than it announced. What came may be read; it has no end.
    Broken,
}

/// A body that arrives. Shared by all who have to do with it.
pub struct Fill {
    /// Of the object that this is to become.
    pub key: Key,
    /// All about it besides its body.
    pub meta: Arc<Meta>,
    /// Bytes of the body where the origin has announced them.
    pub length: Option<u64>,
    pub(super) memory_bytes_max: usize,
    pub(super) object_bytes_max: u64,
    pub(super) spill: Option<Arc<dyn Spill>>,
    pub(super) budget: Option<Arc<Budget>>,
    /// Held by the job that writes: jobs take turns, so the file grows in order whichever runs first.
    pub(super) disk: Mutex<()>,
    pub(super) course: Mutex<Course>,
}

/// What changes, under one lock that is held for moments only.
///
/// Invariant: the file has the body up to `file_end`. Unless passing, `window.base() <= file_end`: nothing is lost.
pub(super) struct Course {
    pub state: FillState,
    pub keeping: Keeping,
    pub window: Window,
    /// Bytes of the body that can be read from the spill.
    pub file_end: u64,
    /// A job was given out and has not come back.
    pub job_is_out: bool,
    pub audience: Audience,
    /// Bytes of the window that the budget knows of.
    pub charged: usize,
    /// There was no room in the budget at the last push.
    pub is_crowded: bool,
    /// The writer's, while it waits for room.
    pub room: Option<Waker>,
}

/// What is done with bytes that everybody present has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Kept: the body is to be stored and newcomers begin at its beginning.
    Whole,
    /// Let go: it will not be stored.
    Passing,
}

impl Fill {
    /// A fill and the one who writes it.
    pub fn begin(plan: FillPlan) -> (Arc<Self>, FillWriter) {
        let fill = Arc::new(Self {
            key: plan.key,
            meta: plan.meta,
            length: plan.length,
            memory_bytes_max: plan.memory_bytes_max.max(1),
            object_bytes_max: plan.object_bytes_max,
            spill: plan.spill,
            budget: plan.budget,
            disk: Mutex::new(()),
            course: Mutex::new(Course {
                state: FillState::Open,
                keeping: Keeping::Whole,
                window: Window::default(),
                file_end: 0,
                job_is_out: false,
                audience: Audience::default(),
                charged: 0,
                is_crowded: false,
                room: None,
            }),
        });
        let writer = FillWriter::of(Arc::clone(&fill));
        (fill, writer)
    }

    /// A new follower at the beginning of the body.
    ///
    /// None where it could not be given all of it: the fill is passed through, or broken. Ask the origin instead.
    pub fn follow(self: &Arc<Self>) -> Option<Follower> {
        let mut course = self.course.lock();
        if course.keeping == Keeping::Passing || course.state == FillState::Broken {
            return None;
        }
        let id = course.audience.join();
        drop(course);
        Some(Follower::of(Arc::clone(self), id))
    }

    /// How far it has come.
    pub fn state(&self) -> FillState {
        self.course.lock().state
    }

    /// Whether it is passed through and will not be stored.
    pub fn is_passing(&self) -> bool {
        self.course.lock().keeping == Keeping::Passing
    }

    /// How many follow it now. A fill that nobody follows goes on: whether it should is for its writer to decide.
    pub fn followers(&self) -> usize {
        self.course.lock().audience.count()
    }

    /// Bytes of the body that have come.
    pub fn received(&self) -> u64 {
        self.course.lock().window.end()
    }

    /// Bytes of the body that are held in memory.
    pub fn memory_bytes(&self) -> usize {
        self.course.lock().window.length()
    }

    /// Whether the writer may push. Invariant: once it may, it may until it does.
    pub(super) fn has_room(&self, course: &Course) -> bool {
        if course.state != FillState::Open {
            // Nothing will make room any more; the push says why.
            return true;
        }
        let is_bounded = course.job_is_out || course.keeping == Keeping::Passing;
        !is_bounded || course.window.length() < self.window_bytes_max(course)
    }

    /// Bytes of the window below which a push is taken when nothing will free it at once.
    ///
    /// The same before and after a spill fails: room that the writer was told of is not taken back.
    fn window_bytes_max(&self, course: &Course) -> usize {
        // Told by a push, so that it too stays until the next one.
        if course.is_crowded {
            return CROWDED_BYTES_MAX.min(self.memory_bytes_max);
        }
        match self.spill {
            // A job's share and as much again.
            Some(_) => self.memory_bytes_max.saturating_mul(2),
            // Only a push begins to pass it through.
            None => self.memory_bytes_max.min(PASSED_BYTES_MAX),
        }
    }

    /// Tells the budget what is in memory now. After each change of the window.
    pub(super) fn settle(&self, course: &mut Course) {
        if let Some(budget) = &self.budget {
            let held = course.window.length();
            budget.change(course.charged, held);
            course.charged = held;
        }
    }

    /// Lets go of what everybody has read, if this is not to be stored.
    pub(super) fn let_go(&self, course: &mut Course) {
        if course.keeping == Keeping::Passing {
            course.let_go();
            self.settle(course);
        }
    }

    /// Takes the writer's waker if it may go on now. To be woken when the lock is free.
    pub(super) fn take_room(&self, course: &mut Course) -> Option<Waker> {
        match self.has_room(course) {
            true => course.room.take(),
            false => None,
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.change(self.course.lock().charged, 0);
        }
    }
}

impl Course {
    /// Gives up storing: from now on only what somebody has still to read is kept.
    pub fn pass(&mut self) {
        if self.keeping == Keeping::Passing {
            return;
        }
        self.keeping = Keeping::Passing;
        self.audience.begin_holding();
        self.let_go();
    }

    /// Lets go of what everybody has read, if this is not to be stored.
    pub fn let_go(&mut self) {
        if self.keeping == Keeping::Passing {
            let needed = self.audience.slowest().unwrap_or(u64::MAX);
            self.window.free_below(needed);
        }
    }
}

/// Wakes the writer, if it was told that there is room. Not under the lock: a waker may run what it wakes.
pub(super) fn wake(room: Option<Waker>) {
    if let Some(waker) = room {
        waker.wake();
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fill")
            .field("key", &self.key)
            .field("length", &self.length)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
