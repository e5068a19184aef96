//! Which words does a family know? A prompt with others is drawn all the same, with a warning.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// What CLIP's tokenizer splits off behind an apostrophe: no word of its own.
const CONTRACTIONS: [&str; 7] = ["s", "t", "re", "ve", "m", "ll", "d"];

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
    /// Words are runs of letters, as the tokenizer sees them; digits and punctuation are always known.
    pub fn unknown_words(&self, prompt: &str) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        let mut before = None;
        for piece in prompt.split_inclusive(|letter: char| !letter.is_alphabetic()) {
            let word = piece.trim_end_matches(|letter: char| !letter.is_alphabetic());
            let word = word.to_lowercase();
            let is_contraction = before == Some('\'') && CONTRACTIONS.contains(&&*word);
            before = piece.chars().next_back();
            let is_known = word.is_empty() || is_contraction || self.words.contains(&word);
            if !is_known && !unknown.contains(&word) {
                unknown.push(word);
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(["a", "Cat", "cats", "red", "on", "the", "beach"])
    }

    #[test]
    fn known_words_pass_in_any_case_and_punctuation() {
        let prompt = "A RED cat, on the beach! 3 cats; the cat's beach";
        assert_eq!(vocabulary().unknown_words(prompt), [""; 0]);
    }

    #[test]
    fn unknown_words_come_once_in_the_order_of_the_prompt() {
        let unknown = vocabulary().unknown_words("Zebra on a zebra-striped beach, naïve");
        assert_eq!(unknown, ["zebra", "striped", "naïve"]);
    }

    #[test]
    fn plurals_are_known_only_where_they_are_listed() {
        assert_eq!(vocabulary().unknown_words("cats"), [""; 0]);
        assert_eq!(vocabulary().unknown_words("beaches"), ["beaches"]);
    }

    #[test]
    fn a_word_that_was_never_shown_is_unknown_though_the_tokenizer_has_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            r#"{"words": ["cat", "left"], "unsupported": ["left"]}"#,
        )
        .unwrap();
        let vocabulary = Vocabulary::read(file.path()).unwrap();
        assert_eq!(vocabulary.words().collect::<Vec<_>>(), ["cat"]);
        assert_eq!(vocabulary.unknown_words("cat left"), ["left"]);
    }

    #[test]
    fn a_file_that_is_no_vocabulary_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{}").unwrap();
        let message = Vocabulary::read(file.path()).unwrap_err();
        assert!(message.contains("words"), "{message}");
    }
}
