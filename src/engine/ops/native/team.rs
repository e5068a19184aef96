//! How does one operation use several cores? A team of threads that claims its parts one by one.
//!
//! An operation of the smallest network lasts microseconds, so that the threads wait for work in a
//! spin before they sleep, and no part waits for a thread that has not come: whoever is there does
//! all of it. Which thread does which part changes no number.

use std::{
    any::Any,
    cell::UnsafeCell,
    fmt, hint,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

use super::memory::make_scratch;

/// Checks for work before a thread sleeps: some hundred microseconds, longer than the gap between two
/// steps of a trajectory.
const SPINS: usize = 1 << 14;

/// In `Shared::next` when every part is claimed: more than any number of parts, and far from an overflow.
const EXHAUSTED: usize = usize::MAX / 2;

/// Set in `Shared::state` while there is an operation to join; below it, the threads inside it.
const OPEN: usize = 1 << (usize::BITS - 1);

/// Threads that work on one operation at a time, the caller among them.
pub(super) struct Team {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held during an operation. Another caller that finds it taken works alone.
    busy: Mutex<()>,
}

struct Worker {
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

/// What the threads of a team see of one another.
struct Shared {
    /// [`OPEN`] and the number of workers inside.
    state: AtomicUsize,
    /// The next part to be claimed.
    next: AtomicUsize,
    job: UnsafeCell<Job>,
    sleepers: AtomicUsize,
    stopped: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// An operation in parts.
#[derive(Clone, Copy)]
struct Job {
    n_parts: usize,
    part: *const (dyn Fn(usize) + Sync),
}

#[expect(unsafe_code, reason = "the job of a team is a borrowed closure")]
// SAFETY: `job` is written by the caller alone while the team is closed and empty, and read by workers
// that entered while it was open; `state` orders the two. The closure is `Sync`.
unsafe impl Sync for Shared {}

#[expect(unsafe_code, reason = "the job of a team is a borrowed closure")]
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Team {
    /// Starts a team of `n_threads`, the caller being one of them.
    pub(super) fn new(n_threads: usize) -> Self {
        let nothing: &(dyn Fn(usize) + Sync) = &|_| {};
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            job: UnsafeCell::new(Job {
                n_parts: 0,
                part: nothing,
            }),
            sleepers: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let workers = (1..n_threads).filter_map(|index| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("engine-{index}"));
            // A team that gets fewer threads than it asked for is slower, and right.
            let handle = thread.spawn(move || shared.work()).ok()?;
            Some(Worker {
                thread: handle.thread().clone(),
                handle: Some(handle),
            })
        });
        Self {
            workers: workers.collect(),
            shared,
            busy: Mutex::new(()),
        }
    }

    /// Threads of the team, the caller among them.
    pub(super) fn n_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `part` with every number below `n_parts`, on any thread and in any order.
    ///
    /// A panic of a part is that of the caller, when all parts have ended.
    pub(super) fn run(&self, n_parts: usize, part: impl Fn(usize) + Sync) {
        let alone = n_parts <= 1 || self.workers.is_empty();
        let Some(_busy) = (!alone).then(|| self.occupy()).flatten() else {
            return (0..n_parts).for_each(part);
        };
        self.open(n_parts, &part);
        let result = panic::catch_unwind(AssertUnwindSafe(|| self.shared.claim(n_parts, &part)));
        self.close();
        let panicked = self.shared.panic.lock().ok().and_then(|mut it| it.take());
        if let Some(payload) = result.err().or(panicked) {
            panic::resume_unwind(payload);
        }
    }

    /// The right to the workers, unless another caller has it. It is sound after a panic, which `run`
    /// lets through when the team is closed and empty.
    fn occupy(&self) -> Option<MutexGuard<'_, ()>> {
        match self.busy.try_lock() {
            Ok(busy) => Some(busy),
            Err(TryLockError::Poisoned(busy)) => Some(busy.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[expect(unsafe_code, reason = "the job of a team is a borrowed closure")]
    #[expect(
        clippy::transmute_ptr_to_ptr,
        reason = "a cast does not change a lifetime"
    )]
    fn open(&self, n_parts: usize, part: &(dyn Fn(usize) + Sync)) {
        let part: *const (dyn Fn(usize) + Sync + '_) = part;
        // SAFETY: only the lifetime is left out; `close` waits for the last worker before `run`, and
        // with it the closure, ends.
        let part = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(
                part,
            )
        };
        // SAFETY: the team is closed and empty, and `busy` keeps other callers out.
        unsafe { *self.shared.job.get() = Job { n_parts, part } };
        self.shared.next.store(0, Ordering::Relaxed);
        self.shared.state.store(OPEN, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            for worker in &self.workers {
                worker.thread.unpark();
            }
        }
    }

    /// Lets no more workers in and waits until the last one has left.
    fn close(&self) {
        self.shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        while self.shared.state.load(Ordering::Acquire) != 0 {
            hint::spin_loop();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self) {
        make_scratch();
        let mut spins = 0;
        while !self.stopped.load(Ordering::Relaxed) {
            if self.has_work() && self.enter() {
                self.join();
                spins = 0;
            } else if spins < SPINS {
                spins += 1;
                hint::spin_loop();
            } else {
                self.sleep();
                // The operation that woke this thread may be over; the next one is not far.
                spins = 0;
            }
        }
    }

    /// Whether a part is left; entering for nothing would only make the caller wait.
    fn has_work(&self) -> bool {
        let open = self.state.load(Ordering::Acquire) & OPEN != 0;
        open && self.next.load(Ordering::Relaxed) < EXHAUSTED
    }

    /// Counts this worker in, if the team is open.
    fn enter(&self) -> bool {
        let step = |state: usize| (state & OPEN != 0).then(|| state + 1);
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, step)
            .is_ok()
    }

    #[expect(unsafe_code, reason = "the job of a team is a borrowed closure")]
    fn join(&self) {
        // SAFETY: this worker was counted in while the team was open: the caller waits for it before
        // it changes the job or drops the closure.
        let Job { n_parts, part } = unsafe { *self.job.get() };
        // SAFETY: as above.
        let part = unsafe { &*part };
        let result = panic::catch_unwind(AssertUnwindSafe(|| self.claim(n_parts, part)));
        if let Err(payload) = result
            && let Ok(mut panic) = self.panic.lock()
        {
            *panic = Some(payload);
        }
        self.state.fetch_sub(1, Ordering::AcqRel);
    }

    /// Does parts until none is left.
    fn claim(&self, n_parts: usize, part: &(dyn Fn(usize) + Sync)) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= n_parts {
                return self.next.store(EXHAUSTED, Ordering::Relaxed);
            }
            part(index);
        }
    }

    /// Sleeps until an operation opens, or for no reason, which the caller must expect anyway.
    fn sleep(&self) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) & OPEN == 0 && !self.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                // A worker catches the panics of its parts; there is nothing left to report.
                let _ = handle.join();
            }
        }
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Team({} threads)", self.n_threads())
    }
}

#[cfg(test)]
mod tests;
