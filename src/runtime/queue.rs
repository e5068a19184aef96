//! Which job is next? First come, first served, with room for so many and no more.
//!
//! The order of jobs is decided in [`Queue::next`] and nowhere else.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// A bounded queue between many submitters and one worker.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    /// No more jobs come in; the waiting ones still run.
    closed: bool,
}

/// Why a job was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// As many wait as may wait.
    Full,
    /// No more jobs are taken.
    Closed,
}

impl<T> Queue<T> {
    /// Has room for `capacity` waiting jobs; the one that runs is not counted.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            capacity,
        }
    }

    /// Puts a job at the end.
    pub(super) fn push(&self, job: T) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if state.waiting.len() >= self.capacity {
            return Err(PushError::Full);
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next job; none once the queue is closed and empty.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more jobs; the waiting ones still come out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes no more jobs and hands back the waiting ones.
    pub(super) fn close_and_empty(&self) -> VecDeque<T> {
        self.close();
        std::mem::take(&mut self.lock().waiting)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every critical section leaves the state whole, so a poisoned lock holds a good state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::new(3);
        for job in [1, 2, 3] {
            queue.push(job).unwrap();
        }
        assert_eq!([queue.next(), queue.next()], [Some(1), Some(2)]);
    }

    #[test]
    fn a_full_queue_takes_nothing_until_a_job_leaves_it() {
        let queue = Queue::new(1);
        queue.push('a').unwrap();
        assert_eq!(queue.push('b'), Err(PushError::Full));
        queue.next();
        assert_eq!(queue.push('b'), Ok(()));
    }

    #[test]
    fn a_closed_queue_runs_dry_and_takes_nothing() {
        let queue = Queue::new(2);
        queue.push('a').unwrap();
        queue.close();
        assert_eq!(queue.push('b'), Err(PushError::Closed));
        assert_eq!([queue.next(), queue.next()], [Some('a'), None]);
    }

    #[test]
    fn emptying_hands_back_what_waits() {
        let queue = Queue::new(2);
        queue.push('a').unwrap();
        assert_eq!(queue.close_and_empty(), ['a']);
        assert_eq!(queue.next(), None);
    }
}
