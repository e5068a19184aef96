//! Which words does a family know? A prompt with others is drawn all the same, with a warning.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use serde::Deserialize;

mod spelling;

/// Unknown words that are told one by one; a client that sent a novel is not sent it back.
const MOST_TOLD: usize = 8;

/// Letters of an unknown word that are told.
const LONGEST_TOLD: usize = 40;

/// Splits a prompt as CLIP's tokenizer does, save that a number, a word with its marks and an emoji made of
/// several characters stay whole: they are told to people. What is not captured (punctuation, spaces, what
/// is split off behind an apostrophe) is no word of its own. The tokenizer takes `'red'` for `'re` and `d`,
/// so that one is no known word either.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?xi)
        ['’](?:s|t|re|ve|m|ll|d)\b
        | (?<word>
            '(?:s|t|re|ve|m|ll|d)\p{L}+
            | \p{L}[\p{L}\p{M}\u{200C}\u{200D}]*
            | [0-9\#*]\u{FE0F}?\u{20E3}
            | \p{N}+
            | \p{Regional_Indicator}{1,2}
            | \p{Extended_Pictographic}[\u{FE0F}\p{Emoji_Modifier}]*
              (?:\u{200D}\p{Extended_Pictographic}[\u{FE0F}\p{Emoji_Modifier}]*)*
        )";
    Regex::new(pattern).expect("the pattern is valid")
});

/// The words that a family was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    words: BTreeSet<String>,
    /// The file that it was read from.
    path: Option<PathBuf>,
}

/// `vocabulary.json`; what else it holds is for people and for the playground.
#[derive(Deserialize)]
struct RawVocabulary {
    words: Vec<String>,
    /// Words of the tokenizer that the pictures never showed.
    #[serde(default)]
    unsupported: Vec<String>,
}

impl Vocabulary {
    /// Knows these words and no others; their case does not matter.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            words: words.into_iter().map(str::to_lowercase).collect(),
            path: None,
        }
    }

    /// Reads a `vocabulary.json`, or says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
        let raw: RawVocabulary = serde_json::from_str(&text)
            .map_err(|error| format!("{name} is not a vocabulary: {error}"))?;
        let mut vocabulary = Self::new(raw.words.iter().map(String::as_str));
        for word in raw.unsupported {
            vocabulary.words.remove(&word.to_lowercase());
        }
        vocabulary.path = Some(path.to_owned());
        Ok(vocabulary)
    }

    /// Returns the file that the words come from, if they come from one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the known words in alphabetical order.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// Returns the words of a prompt that are not known, each once, in lower case, in the prompt's order.
    /// Numbers and emoji count as words: "5" is as unknown as "five". Punctuation is always known.
    pub fn unknown_words(&self, prompt: &str) -> Vec<String> {
        let mut met = BTreeSet::new();
        WORDS
            .captures_iter(prompt)
            .filter_map(|split| Some(split.name("word")?.as_str().to_lowercase()))
            .filter(|word| !self.words.contains(word) && met.insert(word.clone()))
            .collect()
    }

    /// Returns the known word that somebody who typed this one may have meant: its singular, or one that is
    /// spelled nearly so.
    pub fn nearest(&self, word: &str) -> Option<&str> {
        let word = word.to_lowercase();
        let singular = spelling::singulars(&word)
            .into_iter()
            .flatten()
            .find_map(|singular| self.words.get(&singular));
        let nearest = singular.map(String::as_str);
        nearest.or_else(|| spelling::nearest(&word, self.words()))
    }

    /// Returns what a warning says of a prompt's unknown words. `None` if it has none.
    pub fn told(&self, prompt: &str) -> Option<Told<'_>> {
        let unknown = self.unknown_words(prompt);
        let more = unknown.len().saturating_sub(MOST_TOLD);
        let with_suggestion = |word: String| {
            if let Some((end, _)) = word.char_indices().nth(LONGEST_TOLD) {
                return (format!("{}...", &word[..end]), None);
            }
            let suggestion = self.nearest(&word);
            (word, suggestion)
        };
        let first = unknown.into_iter().take(MOST_TOLD);
        let words: Vec<_> = first.map(with_suggestion).collect();
        (!words.is_empty()).then_some(Told { words, more })
    }
}

/// Unknown words as a warning names them: `"zebra", "pinapple" (did you mean "pineapple"?)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'v> {
    /// The first ones, eight at most and the very long ones cut, each with the known one that may have been meant.
    pub words: Vec<(String, Option<&'v str>)>,
    /// How many there are besides.
    more: usize,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (word, suggestion)) in self.words.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}\"{word}\"")?;
            if let Some(known) = suggestion {
                write!(f, " (did you mean \"{known}\"?)")?;
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
