//! Does the default family understand what people type? Over `tests/prompts.json`: 200 prompts, written by
//! hand, each with what it means and the words in it that the family does not know.

use std::{collections::BTreeMap, path::Path};

use goldilocks::{
    catalog::{self, Family, architecture::read_json},
    evaluator::Attributes,
};
use serde::Deserialize;
use serde_json::Value;

mod meaning;
mod text;

/// One prompt as somebody typed it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    prompt: String,
    /// What a reader takes it to mean, in the words of the evaluator's answers; null where it does not say,
    /// or means what the family cannot draw.
    means: BTreeMap<String, Value>,
    unknown_words: Vec<String>,
    /// Whether it is longer than the text encoder reads.
    #[serde(default)]
    cut: bool,
}

impl Typed {
    /// What must be seen in its picture.
    fn attributes(&self) -> Attributes {
        let said = |(question, answer): (&String, &Value)| match answer {
            Value::Null => None,
            Value::String(name) => Some((question.clone(), name.clone())),
            number => Some((question.clone(), number.to_string())),
        };
        self.means.iter().filter_map(said).collect()
    }

    /// Whether it asks for something that the family can draw, in words that the family knows.
    fn is_within_the_family(&self) -> bool {
        self.unknown_words.is_empty() && !self.means["object"].is_null()
    }
}

fn typed_prompts() -> Vec<Typed> {
    read_json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prompts.json")).unwrap()
}

fn default_family() -> Family {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
    let catalog = catalog::load(&config).unwrap();
    catalog.default_family().clone()
}

#[test]
fn there_are_200_prompts_most_of_them_within_the_family() {
    let mut prompts = typed_prompts();
    let questions = ["background", "color", "count", "object", "size"];
    for typed in &prompts {
        assert!(typed.means.keys().eq(questions), "{:?}", typed.prompt);
    }
    let n_within = prompts.iter().filter(|typed| typed.is_within_the_family());
    assert!(n_within.count() >= 150);
    prompts.sort_by(|one, other| one.prompt.cmp(&other.prompt));
    prompts.dedup_by(|one, other| one.prompt == other.prompt);
    assert_eq!(prompts.len(), 200, "different ones");
}
