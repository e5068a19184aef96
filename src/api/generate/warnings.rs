//! What should a client know about an answer that it gets all the same?

use super::Spec;
use crate::{
    planner::{Notice, PlanWarning, UnknownWord},
    telemetry::Metrics,
};

/// The code of every warning in a reply.
pub(in crate::api) const CODES: [&str; 6] = [
    UNKNOWN_WORDS,
    PROMPT_TRUNCATED,
    UNSUPPORTED_FIELD,
    "unmeasured",
    "unmeasured_pin",
    "latency_unlearned",
];

/// Of AUTOMATIC1111's fields, one that says something which nothing here can do.
pub(in crate::api) const UNSUPPORTED_FIELD: &str = "unsupported_field";
const UNKNOWN_WORDS: &str = "unknown_words";
const PROMPT_TRUNCATED: &str = "prompt_truncated";

/// Returns what the client should know about a request and its plan, and counts it.
pub(in crate::api) fn of(
    metrics: &Metrics,
    spec: &Spec<'_>,
    others: impl IntoIterator<Item = Notice>,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = unknown_words(spec).into_iter().collect();
    notices.extend(others);
    for notice in &notices {
        metrics.warned(notice.code);
    }
    notices
}

/// Returns the planner's warnings and those of the run as a client reads them.
pub(super) fn told(warnings: Vec<PlanWarning>, tokens_cut: usize) -> impl Iterator<Item = Notice> {
    let truncated = (tokens_cut > 0).then(|| {
        let message = format!(
            "the prompt is longer than the text encoder reads; its last {tokens_cut} tokens were left out"
        );
        Notice::new(PROMPT_TRUNCATED, message)
    });
    truncated
        .into_iter()
        .chain(warnings.into_iter().map(Notice::from))
}

/// A family that says which words it knows was not trained on any other.
fn unknown_words(spec: &Spec<'_>) -> Option<Notice> {
    let vocabulary = spec.family.vocabulary.as_ref()?;
    let told = vocabulary.told(&spec.prompt)?;
    let message = format!(
        "family {:?} was not trained on {told}; GET /v1/models lists the words it knows",
        spec.family.id
    );
    let words = told
        .words
        .into_iter()
        .map(|(word, suggestion)| UnknownWord {
            word,
            suggestion: suggestion.map(str::to_owned),
        });
    Some(Notice {
        words: words.collect(),
        ..Notice::new(UNKNOWN_WORDS, message)
    })
}
