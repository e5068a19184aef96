//! What does every plan draw where a family brings no captions? A list of prompts: one that is built in,
//! or the operator's own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::captions::EvaluationCaption;
use crate::evaluator::Attributes;

/// Sixty-four prompts as people type them: things, places, people, styles, short and long.
const BUILT_IN: &str = include_str!("prompts.txt");

/// Prompts, each with a seed of its own: its place in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompts {
    /// The prompts; nobody says what must be seen in their pictures.
    pub captions: Vec<EvaluationCaption>,
    /// `sha256:<hex>` of the whole list, one prompt a line, however many of them are drawn.
    pub digest: String,
}

impl Prompts {
    /// The list that is part of the program.
    pub fn built_in() -> Self {
        Self::of_lines(BUILT_IN)
    }

    /// Reads a file with one prompt a line; empty lines do not count.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::of_lines(&text))
    }

    /// Keeps the first `count`, or all of them.
    pub fn first(mut self, count: Option<usize>) -> Result<Self> {
        let available = self.captions.len();
        let count = count.unwrap_or(available);
        ensure!(
            (2..=available).contains(&count),
            "{count} prompts were asked for; the list has {available}, and at least 2 are needed"
        );
        self.captions.truncate(count);
        Ok(self)
    }

    fn of_lines(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut hash = Sha256::new();
        let mut captions = Vec::new();
        for (seed, line) in (0..).zip(lines) {
            hash.update(line.as_bytes());
            hash.update(b"\n");
            captions.push(EvaluationCaption {
                text: line.to_owned(),
                seed,
                attributes: Attributes::new(),
            });
        }
        let hex = hash.finalize();
        let hex = hex.iter().map(|byte| format!("{byte:02x}"));
        Self {
            captions,
            digest: format!("sha256:{}", hex.collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_built_in_prompts_are_64_different_ones() {
        let captions = Prompts::built_in().captions;
        let texts: BTreeSet<&str> = captions.iter().map(|caption| &*caption.text).collect();
        let seeds: BTreeSet<u64> = captions.iter().map(|caption| caption.seed).collect();
        assert_eq!((captions.len(), texts.len(), seeds.len()), (64, 64, 64));
    }

    #[test]
    fn the_digest_is_that_of_the_list_whatever_part_of_it_is_drawn() {
        let all = Prompts::of_lines("a cat\n\n  a dog \r\na hen\n");
        assert_eq!(all.captions[1].text, "a dog");
        let some = all.clone().first(Some(2)).unwrap();
        assert_eq!((some.captions.len(), &some.digest), (2, &all.digest));
        assert_ne!(all.digest, Prompts::of_lines("a cat\na dog\n").digest);
        // printf 'a cat\na dog\na hen\n' | sha256sum
        assert_eq!(&all.digest[..23], "sha256:e77c33ab1dc03063");
    }

    #[test]
    fn more_prompts_than_there_are_and_a_single_one_are_refused() {
        for count in [1, 65] {
            let message = Prompts::built_in()
                .first(Some(count))
                .unwrap_err()
                .to_string();
            assert!(message.contains("the list has 64"), "{message}");
        }
    }
}
