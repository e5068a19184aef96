//! Where do the numbers lie? In cache lines, and where an earlier operation's numbers lay.
//!
//! A step makes hundreds of tensors and every step makes the same ones. An [`Arena`] keeps the memory
//! of those that nobody needs any more, so that from the second step on nothing is allocated, zeroed
//! or faulted in.

use std::{
    cell::RefCell,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

#[cfg(test)]
pub(super) mod guarded;
#[cfg(not(test))]
mod lines;

// The tests of this crate run on memory that ends where nothing can be read or written.
#[cfg(test)]
pub(super) use guarded::Lines;
#[cfg(not(test))]
pub(super) use lines::Lines;

/// Bytes that wait in an arena for their next use, a bound on what one large picture leaves behind.
const MAX_FREE_BYTES: usize = 1 << 30;

/// Buffers that a best fit is searched among.
const MAX_FREE_BUFFERS: usize = 256;

/// Memory of tensors that nobody needs any more.
#[derive(Default)]
pub(super) struct Arena {
    free: Mutex<Vec<Arc<Lines>>>,
}

impl Arena {
    /// A buffer whose numbers are whatever was there before.
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let mut lines = self.best_fit(length).unwrap_or_default();
        Arc::get_mut(&mut lines)
            .expect("a free buffer has no other owner")
            .resize(length);
        Buffer {
            lines: Some(lines),
            arena: Arc::clone(self),
        }
    }

    /// Takes out the smallest free buffer that is large enough.
    fn best_fit(&self, length: usize) -> Option<Arc<Lines>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = size_of::<f32>() * length;
        let candidates = free.iter().enumerate();
        let fitting = candidates.filter(|(_, lines)| lines.capacity_bytes() >= wanted);
        let (best, _) = fitting.min_by_key(|(_, lines)| lines.capacity_bytes())?;
        Some(free.swap_remove(best))
    }

    fn give_back(&self, lines: Arc<Lines>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: usize = free.iter().map(|lines| lines.capacity_bytes()).sum();
        if free.len() < MAX_FREE_BUFFERS && bytes + lines.capacity_bytes() <= MAX_FREE_BYTES {
            free.push(lines);
        }
    }

    /// Bytes that wait for their next use.
    pub(super) fn free_bytes(&self) -> usize {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.iter().map(|lines| lines.capacity_bytes()).sum()
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} bytes free)", self.free_bytes())
    }
}

/// Bytes of what is made once for all steps. Only added to: networks live as long as their backend.
#[derive(Debug, Default)]
pub(super) struct Held {
    packed: AtomicUsize,
    winograd: AtomicUsize,
}

impl Held {
    pub(super) fn add_packed(&self, bytes: usize) {
        self.packed.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_winograd(&self, bytes: usize) {
        self.winograd.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn packed(&self) -> usize {
        self.packed.load(Ordering::Relaxed)
    }

    pub(super) fn winograd(&self) -> usize {
        self.winograd.load(Ordering::Relaxed)
    }
}

/// Numbers of a tensor, shared by its clones; the last one gives the memory back to the arena.
#[derive(Debug, Clone)]
pub(super) struct Buffer {
    /// Always there until the drop.
    lines: Option<Arc<Lines>>,
    arena: Arc<Arena>,
}

impl Buffer {
    /// The numbers, to be written. A buffer is written before it is cloned.
    pub(super) fn fill(&mut self) -> &mut [f32] {
        let lines = self.lines.as_mut().and_then(Arc::get_mut);
        lines.expect("a buffer is written by its only owner")
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.lines
            .as_ref()
            .expect("a buffer has lines until its drop")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(mut lines) = self.lines.take()
            && Arc::get_mut(&mut lines).is_some()
        {
            self.arena.give_back(lines);
        }
    }
}

/// Numbers that a thread's scratch memory has room for from the start: more than any operation asks for
/// but convolutions of many hundred channels. Which thread does which part is chance, so a thread that
/// is late must not be the one to allocate.
const MIN_SCRATCH: usize = 160 * 1024;

thread_local! {
    static SCRATCH: RefCell<Lines> = RefCell::new(Lines::zeros(MIN_SCRATCH));
}

/// Lends a thread's own scratch memory, whatever is in it, for the time of a call that does not ask
/// for it again.
pub(super) fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|lines| {
        lines.resize(length);
        work(lines)
    })
}

/// Makes a thread's scratch memory before its first operation.
pub(super) fn make_scratch() {
    with_scratch(0, |_| ());
}
