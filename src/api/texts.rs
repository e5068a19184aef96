//! Which texts need no encoding again? Those of the requests that were answered last.
//!
//! The engine keeps what texts say, by the bytes they take: of the widest text encoder that it loads 106, of
//! the default family's 2000. Fewer are known here, so that what is known is kept, unless the device's worker
//! had to start anew.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

/// Texts that are known.
const MOST: usize = 48;

/// The texts used last, as hashes: nothing of a prompt stays here.
#[derive(Debug, Default)]
pub(super) struct KnownTexts {
    hasher: RandomState,
    /// The one used last is the last one.
    hashes: Mutex<VecDeque<u64>>,
}

impl KnownTexts {
    /// Returns how many of a family's texts are known.
    pub(super) fn count(&self, family: &str, texts: &[&str]) -> u32 {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |text: &&&str| hashes.contains(&self.hasher.hash_one((family, **text)));
        texts.iter().filter(known).count() as u32
    }

    /// Takes the texts of a request that was answered.
    pub(super) fn remember(&self, family: &str, texts: &[&str]) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts {
            let hash = self.hasher.hash_one((family, *text));
            hashes.retain(|known| *known != hash);
            if hashes.len() == MOST {
                hashes.pop_front();
            }
            hashes.push_back(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_to_its_family_once_it_was_used() {
        let texts = KnownTexts::default();
        assert_eq!(texts.count("a", &["red", "blue"]), 0);
        texts.remember("a", &["red"]);
        assert_eq!(texts.count("a", &["red", "blue"]), 1);
        assert_eq!(texts.count("b", &["red"]), 0);
    }

    #[test]
    fn the_text_unused_the_longest_is_forgotten_first() {
        let texts = KnownTexts::default();
        texts.remember("a", &["first", "second"]);
        for i in 0..MOST - 2 {
            texts.remember("a", &[&format!("text {i}")]);
        }
        texts.remember("a", &["first"]);
        assert_eq!(texts.count("a", &["first", "second"]), 2);
        texts.remember("a", &["one more"]);
        assert_eq!(texts.count("a", &["first"]), 1);
        assert_eq!(texts.count("a", &["second"]), 0);
    }
}
