//! What is every plan asked to draw? The fixed captions and seeds that training never saw.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::evaluator::Attributes;

/// One picture that every plan draws.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationCaption {
    /// The prompt.
    pub text: String,
    /// The seed of its noise, the same in every cell.
    pub seed: u64,
    /// What must be seen; questions the caption leaves open are absent.
    pub attributes: Attributes,
}

#[derive(Deserialize)]
struct Document {
    captions: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    caption: String,
    seed: u64,
    #[serde(flatten)]
    labels: BTreeMap<String, Value>,
}

/// Reads the first `count` captions of `evaluation/captions.json`; the rest stay held out.
pub fn read(path: &Path, count: usize) -> Result<Vec<EvaluationCaption>> {
    Ok(split(path, (count, 0), 1)?.0)
}

/// Reads the first captions, as many as scores shall rest on, and the last ones, `held_out` of them: those
/// stay the same however many the others become. A score rests on two at least.
pub fn read_split(
    path: &Path,
    count: usize,
    held_out: usize,
) -> Result<(Vec<EvaluationCaption>, Vec<EvaluationCaption>)> {
    split(path, (count, held_out), 2)
}

fn split(
    path: &Path,
    (count, held_out): (usize, usize),
    least: usize,
) -> Result<(Vec<EvaluationCaption>, Vec<EvaluationCaption>)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document: Document = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a list of captions", path.display()))?;
    let available = document.captions.len();
    let asked = count.saturating_add(held_out);
    ensure!(
        count >= least && asked <= available,
        "{asked} captions were asked for; {} has {available}, and {least} or more are needed",
        path.display()
    );
    let mut known: Vec<EvaluationCaption> = document
        .captions
        .into_iter()
        .map(EvaluationCaption::from)
        .collect();
    let last = known.split_off(available - held_out);
    known.truncate(count);
    Ok((known, last))
}

impl From<Entry> for EvaluationCaption {
    fn from(entry: Entry) -> Self {
        let named = |(question, label): (String, Value)| match label {
            Value::String(answer) => Some((question, answer)),
            Value::Number(answer) => Some((question, answer.to_string())),
            _ => None,
        };
        Self {
            text: entry.caption,
            seed: entry.seed,
            attributes: entry.labels.into_iter().filter_map(named).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"version": 1, "held_out_pairs": [["dog", "blue"]], "captions": [
        {"caption": "three teal dogs on grass", "object": "dog", "count": 3, "color": "teal",
         "background": "grass", "size": null, "seed": 710000},
        {"caption": "a cat at night", "object": "cat", "count": 1, "color": null,
         "background": "night", "size": null, "seed": 710001}]}"#;

    fn read_document(count: usize) -> Result<Vec<EvaluationCaption>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.json");
        std::fs::write(&path, DOCUMENT).unwrap();
        read(&path, count)
    }

    #[test]
    fn what_a_caption_leaves_open_is_not_an_attribute() {
        let captions = read_document(2).unwrap();
        let cat: Vec<(&str, &str)> = captions[1]
            .attributes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            cat,
            [("background", "night"), ("count", "1"), ("object", "cat")]
        );
        assert_eq!(
            (captions[0].seed, captions[0].attributes["count"].as_str()),
            (710_000, "3")
        );
    }

    #[test]
    fn the_last_captions_are_held_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.json");
        let captions: Vec<_> = (0..7)
            .map(|seed| serde_json::json!({"caption": "a dog", "seed": seed}))
            .collect();
        let document = serde_json::json!({ "captions": captions });
        std::fs::write(&path, document.to_string()).unwrap();
        let (known, held_out) = read_split(&path, 3, 2).unwrap();
        let seeds = |captions: Vec<EvaluationCaption>| -> Vec<u64> {
            captions.iter().map(|caption| caption.seed).collect()
        };
        assert_eq!(seeds(known), [0, 1, 2]);
        assert_eq!(seeds(held_out), [5, 6]);
        assert!(read_split(&path, 6, 2).is_err(), "no caption is in both");
    }

    #[test]
    fn refuses_more_captions_than_there_are() {
        let message = read_document(3).unwrap_err().to_string();
        assert!(
            message.contains("3 captions") && message.contains("has 2"),
            "{message}"
        );
    }
}
