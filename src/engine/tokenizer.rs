//! Which numbers is a prompt to the text encoder? CLIP's byte-level BPE.
//!
//! `tokenizer/tokenizer.json` is used where there is one; older folders have `vocab.json` and
//! `merges.txt` only, from which the same tokenizer is built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokenizers::AddedToken;

/// The tokenizer's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// Neither kind of file is there.
    #[error("no tokenizer in {0}: expected tokenizer.json, or vocab.json with merges.txt")]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{file} is not a valid tokenizer file: {reason}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A special token is not in the vocabulary.
    #[error("{folder} has no token {token:?}, which marks the {role} of a prompt")]
    NoSpecialToken {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// The token.
        token: String,
        /// What it is for.
        role: &'static str,
    },
    /// The context has no place for a prompt.
    #[error("a context of {0} tokens has no place for a prompt; at least 3 are needed")]
    ContextTooShort(usize),
    /// A prompt could not be split.
    #[error("the prompt cannot be tokenized: {0}")]
    Prompt(String),
}

/// A tokenized prompt, as long as the text encoder's context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start mark, prompt, end mark, padding.
    pub ids: Vec<u32>,
    /// Tokens at the end of the prompt that had no place.
    pub n_truncated: usize,
}

/// CLIP's tokenizer with the marks and padding of one family.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    padding: u32,
    context: usize,
}

impl Tokenizer {
    /// Loads the tokenizer of a `tokenizer/` folder for a context of so many tokens.
    pub fn load(folder: &Path, context: usize) -> Result<Self, TokenizerError> {
        if context < 3 {
            return Err(TokenizerError::ContextTooShort(context));
        }
        let mut inner = read_tokenizer(folder)?;
        let special = SpecialTokens::read(folder)?;
        // As the reference does: whatever pads or marks is one token wherever it stands in a prompt.
        let tokens = [&special.start, &special.end, &special.padding];
        inner
            .add_special_tokens(tokens.map(|token| AddedToken::from(token.clone(), true)))
            .map_err(|fault| TokenizerError::Prompt(fault.to_string()))?;
        let id = |token: &String, role| {
            inner
                .token_to_id(token)
                .ok_or_else(|| TokenizerError::NoSpecialToken {
                    folder: folder.to_owned(),
                    token: token.clone(),
                    role,
                })
        };
        Ok(Self {
            start: id(&special.start, "start")?,
            end: id(&special.end, "end")?,
            padding: id(&special.padding, "padding")?,
            inner,
            context,
        })
    }

    /// Tokenizes a prompt, cutting what is beyond the context.
    pub fn encode(&self, prompt: &str) -> Result<Tokens, TokenizerError> {
        let encoding = self
            .inner
            .encode_fast(prompt, false)
            .map_err(|fault| TokenizerError::Prompt(fault.to_string()))?;
        let words = encoding.get_ids();
        let kept = words.len().min(self.context - 2);
        let mut ids = Vec::with_capacity(self.context);
        ids.push(self.start);
        ids.extend_from_slice(&words[..kept]);
        ids.push(self.end);
        ids.resize(self.context, self.padding);
        Ok(Tokens {
            ids,
            n_truncated: words.len() - kept,
        })
    }
}

/// The tokens with a meaning of their own, from `special_tokens_map.json` and `tokenizer_config.json`.
struct SpecialTokens {
    start: String,
    end: String,
    padding: String,
}

impl SpecialTokens {
    fn read(folder: &Path) -> Result<Self, TokenizerError> {
        let files = ["special_tokens_map.json", "tokenizer_config.json"];
        let maps: Vec<Value> = files
            .iter()
            .map(|name| folder.join(name))
            .filter(|file| file.is_file())
            .map(|file| read_json(&file))
            .collect::<Result<_, _>>()?;
        let token = |key: &str| {
            maps.iter().find_map(|map| {
                let entry = map.get(key)?;
                let text = entry.as_str().or_else(|| entry.get("content")?.as_str())?;
                Some(text.to_owned())
            })
        };
        let end = token("eos_token").unwrap_or_else(|| "<|endoftext|>".to_owned());
        Ok(Self {
            start: token("bos_token").unwrap_or_else(|| "<|startoftext|>".to_owned()),
            padding: token("pad_token").unwrap_or_else(|| end.clone()),
            end,
        })
    }
}

fn read_tokenizer(folder: &Path) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let whole = folder.join("tokenizer.json");
    let vocabulary = folder.join("vocab.json");
    let merges = folder.join("merges.txt");
    let (file, text) = if whole.is_file() {
        (whole.clone(), read(&whole)?)
    } else if vocabulary.is_file() && merges.is_file() {
        let json = clip_tokenizer(&read_json(&vocabulary)?, &read(&merges)?);
        (vocabulary, json.to_string())
    } else {
        return Err(TokenizerError::Missing(folder.to_owned()));
    };
    let fault = |fault: tokenizers::Error| TokenizerError::Malformed {
        file: file.clone(),
        reason: fault.to_string(),
    };
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(text).map_err(fault)?;
    // Cutting and padding are done here, where what was cut can be counted.
    tokenizer.with_truncation(None).map_err(fault)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// The `tokenizer.json` that transformers makes of CLIP's two files.
fn clip_tokenizer(vocabulary: &Value, merges: &str) -> Value {
    let merges: Vec<&str> = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.trim().is_empty())
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {
                "type": "Split",
                "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"},
                "behavior": "Removed",
                "invert": true,
            },
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": "<|endoftext|>",
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    })
}

fn read(file: &Path) -> Result<String, TokenizerError> {
    fs::read_to_string(file).map_err(|source| TokenizerError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

fn read_json(file: &Path) -> Result<Value, TokenizerError> {
    serde_json::from_str(&read(file)?).map_err(|fault| TokenizerError::Malformed {
        file: file.to_owned(),
        reason: fault.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(special: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = r#"{"!": 0, "c": 1, "a": 2, "t</w>": 3, "ca": 4, "cat</w>": 5, "s</w>": 6,
            "!</w>": 7, "<|startoftext|>": 8, "<|endoftext|>": 9}"#;
        fs::write(folder.path().join("vocab.json"), vocabulary).unwrap();
        let merges = "#version: 0.2\nc a\nca t</w>\n";
        fs::write(folder.path().join("merges.txt"), merges).unwrap();
        fs::write(folder.path().join("special_tokens_map.json"), special).unwrap();
        folder
    }

    #[test]
    fn a_prompt_is_marked_and_padded_with_the_end_mark() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::load(folder.path(), 6).unwrap();
        let tokens = tokenizer.encode("CAT  cat").unwrap();
        assert_eq!(tokens.ids, [8, 5, 5, 9, 9, 9]);
        assert_eq!(tokens.n_truncated, 0);
    }

    #[test]
    fn another_padding_token_is_used_and_counts_as_one_in_a_prompt() {
        let folder = folder(r#"{"pad_token": {"content": "!"}}"#);
        let tokenizer = Tokenizer::load(folder.path(), 6).unwrap();
        assert_eq!(tokenizer.encode("cat").unwrap().ids, [8, 5, 9, 0, 0, 0]);
        assert_eq!(tokenizer.encode("cat!").unwrap().ids, [8, 5, 0, 9, 0, 0]);
    }

    #[test]
    fn what_has_no_place_is_cut_and_counted() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::load(folder.path(), 4).unwrap();
        let tokens = tokenizer.encode("cat cat cat cat cat").unwrap();
        assert_eq!(tokens.ids, [8, 5, 5, 9]);
        assert_eq!(tokens.n_truncated, 3);
    }

    #[test]
    fn an_empty_prompt_is_two_marks() {
        let folder = folder("{}");
        let tokenizer = Tokenizer::load(folder.path(), 4).unwrap();
        assert_eq!(tokenizer.encode(" \n").unwrap().ids, [8, 9, 9, 9]);
    }

    #[test]
    fn damaged_and_missing_files_are_named() {
        let folder = folder("{}");
        fs::write(folder.path().join("vocab.json"), "{\"a\": ").unwrap();
        let fault = Tokenizer::load(folder.path(), 8).unwrap_err();
        assert!(fault.to_string().contains("vocab.json"), "{fault}");
        fs::write(folder.path().join("tokenizer.json"), "[]").unwrap();
        let fault = Tokenizer::load(folder.path(), 8).unwrap_err();
        assert!(fault.to_string().contains("tokenizer.json"), "{fault}");
        let empty = tempfile::tempdir().unwrap();
        let fault = Tokenizer::load(empty.path(), 8).unwrap_err();
        assert!(matches!(fault, TokenizerError::Missing(_)));
    }
}
