//! Which texts need no encoding again? The states of those used last, by their tokens, as many as
//! fit a bound in bytes: what an entry takes differs fortyfold between text encoders.
//!
//! A text has one [`Arc`] for as long as it is kept, so that what is derived from its states can be
//! kept by the pointer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{catalog::architecture::TextEncoderConfig, engine::text_encoder::TextStates};

/// Bytes of states and tokens that are kept: 2000 texts of 32 tokens and 128 numbers each, or 140 of
/// Stable Diffusion's 77 and 768.
pub(super) const MAX_BYTES: usize = 32 << 20;

/// How many texts of an encoder are kept.
pub(super) fn most(encoder: &TextEncoderConfig) -> usize {
    let token = size_of::<u32>() + size_of::<f32>() * encoder.hidden_size;
    MAX_BYTES / (token * encoder.max_position_embeddings).max(1)
}

/// The states of the texts used last.
#[derive(Debug)]
pub(super) struct Encodings {
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_tokens: HashMap<Arc<[u32]>, Entry>,
    /// The same texts in the order of their last uses.
    by_use: BTreeMap<u64, Arc<[u32]>>,
    n_uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    states: Arc<TextStates>,
    last_use: u64,
}

impl Encodings {
    /// Keeps at most `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: Mutex::default(),
        }
    }

    /// Returns the states of a text that is kept, which is then the one used last.
    pub(super) fn get(&self, tokens: &[u32]) -> Option<Arc<TextStates>> {
        self.kept().get(tokens)
    }

    /// Keeps the states of a text and lets go of those unused the longest. If another thread was
    /// first, its states are returned: a text has one `Arc`.
    pub(super) fn keep(&self, tokens: Vec<u32>, states: TextStates) -> Arc<TextStates> {
        let mut kept = self.kept();
        if let Some(states) = kept.get(&tokens) {
            return states;
        }
        let states = Arc::new(states);
        kept.insert(tokens.into(), Arc::clone(&states));
        kept.shrink_to(self.max_bytes);
        states
    }

    /// Lets go of one text.
    pub(super) fn forget(&self, tokens: &[u32]) {
        self.kept().remove(tokens);
    }

    /// Bytes of what is kept.
    pub(super) fn bytes(&self) -> usize {
        self.kept().bytes
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No change of it can stop half-way, so a poisoned lock is sound.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, tokens: &[u32]) -> Option<Arc<TextStates>> {
        let entry = self.by_tokens.get_mut(tokens)?;
        if let Some(tokens) = self.by_use.remove(&entry.last_use) {
            self.n_uses += 1;
            entry.last_use = self.n_uses;
            self.by_use.insert(self.n_uses, tokens);
        }
        Some(Arc::clone(&entry.states))
    }

    fn insert(&mut self, tokens: Arc<[u32]>, states: Arc<TextStates>) {
        self.n_uses += 1;
        self.bytes += bytes_of(&tokens, &states);
        self.by_use.insert(self.n_uses, Arc::clone(&tokens));
        let last_use = self.n_uses;
        self.by_tokens.insert(tokens, Entry { states, last_use });
    }

    fn shrink_to(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes
            && let Some((_, tokens)) = self.by_use.pop_first()
        {
            self.remove(&tokens);
        }
    }

    fn remove(&mut self, tokens: &[u32]) {
        if let Some(entry) = self.by_tokens.remove(tokens) {
            self.by_use.remove(&entry.last_use);
            self.bytes -= bytes_of(tokens, &entry.states);
        }
    }
}

fn bytes_of(tokens: &[u32], states: &TextStates) -> usize {
    size_of_val(tokens) + size_of_val(states.values.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of two tokens with three numbers each: 32 bytes.
    const BYTES: usize = 32;

    fn text(number: u32) -> (Vec<u32>, TextStates) {
        let states = TextStates {
            values: vec![number as f32; 6],
            tokens: 2,
            width: 3,
            end: 1,
        };
        (vec![number, 0], states)
    }

    fn keep(encodings: &Encodings, number: u32) -> Arc<TextStates> {
        let (tokens, states) = text(number);
        encodings.keep(tokens, states)
    }

    fn is_kept(encodings: &Encodings, number: u32) -> bool {
        encodings.get(&text(number).0).is_some()
    }

    #[test]
    fn a_text_has_one_arc_for_as_long_as_it_is_kept() {
        let encodings = Encodings::new(4 * BYTES);
        let first = keep(&encodings, 1);
        let found = encodings.get(&[1, 0]).unwrap();
        assert!(Arc::ptr_eq(&first, &found));
        assert!(Arc::ptr_eq(&first, &keep(&encodings, 1)), "kept twice");
        assert_eq!(*first, text(1).1);
        assert_eq!(encodings.get(&[1, 1]), None);
    }

    #[test]
    fn what_was_unused_the_longest_makes_room() {
        let encodings = Encodings::new(3 * BYTES);
        for number in 1..=3 {
            keep(&encodings, number);
        }
        assert!(is_kept(&encodings, 1));
        keep(&encodings, 4);
        assert!(!is_kept(&encodings, 2), "1 was used after 2");
        assert!([1, 3, 4].iter().all(|number| is_kept(&encodings, *number)));
    }

    #[test]
    fn the_bound_holds_whatever_is_kept() {
        let encodings = Encodings::new(5 * BYTES + BYTES / 2);
        for number in [1, 2, 3, 1, 4, 5, 6, 2, 7, 8, 8, 9, 10, 3] {
            keep(&encodings, number);
            let kept = encodings.kept();
            let texts = kept.by_tokens.iter();
            let bytes: usize = texts.map(|(key, entry)| bytes_of(key, &entry.states)).sum();
            assert_eq!(kept.bytes, bytes);
            assert!(bytes <= encodings.max_bytes, "{bytes}");
            assert_eq!(kept.by_use.len(), kept.by_tokens.len());
        }
        assert_eq!(encodings.kept().by_tokens.len(), 5, "the room is used");
    }

    #[test]
    fn a_text_larger_than_the_bound_is_returned_and_not_kept() {
        let encodings = Encodings::new(BYTES - 1);
        assert_eq!(*keep(&encodings, 1), text(1).1);
        assert!(!is_kept(&encodings, 1));
        assert_eq!(encodings.kept().bytes, 0);
    }

    #[test]
    fn nothing_is_left_of_what_was_forgotten() {
        let encodings = Encodings::new(4 * BYTES);
        let first = keep(&encodings, 1);
        encodings.forget(&text(1).0);
        assert!(!is_kept(&encodings, 1));
        assert_eq!(encodings.bytes(), 0);
        assert!(encodings.kept().by_use.is_empty());
        assert!(!Arc::ptr_eq(&first, &keep(&encodings, 1)));
    }
}
