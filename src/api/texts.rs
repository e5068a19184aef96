//! Which texts need no encoding again? Those of the requests that were answered last.
//!
//! The engine keeps what texts say, by the bytes they take. Somewhat fewer are known here, so that what is
//! known is kept, unless the device's worker had to start anew.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Share of what the engine keeps that is known: two requests may be encoded in one order and answered in another.
const KNOWN: f64 = 0.9;

/// The texts used last, as hashes: nothing of a prompt stays here.
#[derive(Debug)]
pub(super) struct KnownTexts {
    hasher: RandomState,
    families: HashMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    most: usize,
    /// The one used last is the last one.
    hashes: Mutex<VecDeque<u64>>,
}

impl KnownTexts {
    /// Takes each family with the number of its texts that the engine keeps.
    pub(super) fn new(kept: impl Iterator<Item = (String, usize)>) -> Self {
        let family = |(id, kept)| {
            let most = (kept as f64 * KNOWN) as usize;
            let hashes = Mutex::default();
            (id, Family { most, hashes })
        };
        Self {
            hasher: RandomState::new(),
            families: kept.map(family).collect(),
        }
    }

    /// Returns how many of a family's texts are known.
    pub(super) fn count(&self, family: &str, texts: &[&str]) -> u32 {
        let Some(family) = self.families.get(family) else {
            return 0;
        };
        let hashes = family.hashes();
        let known = |text: &&&str| hashes.contains(&self.hasher.hash_one(text));
        texts.iter().filter(known).count() as u32
    }

    /// Takes the texts of a request that was answered.
    pub(super) fn remember(&self, family: &str, texts: &[&str]) {
        let Some(family) = self.families.get(family) else {
            return;
        };
        let mut hashes = family.hashes();
        for text in texts {
            let hash = self.hasher.hash_one(text);
            // What was used lately is used again the soonest, and found from behind.
            if let Some(place) = hashes.iter().rposition(|known| *known == hash) {
                hashes.remove(place);
            }
            hashes.push_back(hash);
            let too_many = hashes.len().saturating_sub(family.most);
            hashes.drain(..too_many);
        }
    }
}

impl Family {
    fn hashes(&self) -> MutexGuard<'_, VecDeque<u64>> {
        // No change of it can stop half-way, so a poisoned lock is sound.
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> KnownTexts {
        KnownTexts::new([("a".to_owned(), 10), ("b".to_owned(), 10)].into_iter())
    }

    #[test]
    fn a_text_is_known_to_its_family_once_it_was_used() {
        let texts = texts();
        assert_eq!(texts.count("a", &["red", "blue"]), 0);
        texts.remember("a", &["red"]);
        assert_eq!(texts.count("a", &["red", "blue"]), 1);
        assert_eq!(texts.count("b", &["red"]), 0);
        assert_eq!(texts.count("c", &["red"]), 0, "a family that is not hosted");
    }

    #[test]
    fn the_text_unused_the_longest_is_forgotten_first() {
        let texts = texts();
        texts.remember("a", &["first", "second"]);
        for i in 0..7 {
            texts.remember("a", &[&format!("text {i}")]);
        }
        texts.remember("a", &["first"]);
        assert_eq!(texts.count("a", &["first", "second"]), 2, "nine of ten");
        texts.remember("a", &["one more"]);
        assert_eq!(texts.count("a", &["first"]), 1);
        assert_eq!(texts.count("a", &["second"]), 0);
    }

    #[test]
    fn where_nothing_is_kept_nothing_is_known() {
        let texts = KnownTexts::new([("a".to_owned(), 0)].into_iter());
        texts.remember("a", &["red"]);
        assert_eq!(texts.count("a", &["red"]), 0);
    }
}
