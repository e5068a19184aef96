//! Where does memory wait that the next step will want? Here, one piece for each thread that steps.

use std::sync::{Mutex, PoisonError};

/// Things that are kept for the memory they hold.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<T>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<T: Default> Spare<T> {
    /// One that somebody gave back, as they left it, or a new one.
    pub(super) fn take(&self) -> T {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    /// Keeps one for the next step. What is lost on the way, by an error, is only its memory.
    pub(super) fn give_back(&self, it: T) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(it);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_taken_again() {
        let spare = Spare::<Vec<u8>>::default();
        let mut first = spare.take();
        first.reserve(100);
        assert_eq!(spare.take().capacity(), 0, "a second one is new");
        spare.give_back(first);
        assert!(spare.take().capacity() >= 100);
    }
}
