//! What should a client know about an answer that it gets all the same?

use super::Spec;
use crate::{
    planner::{Notice, PlanWarning},
    telemetry::Metrics,
};

/// The code of every warning in a reply.
pub(in crate::api) const CODES: [&str; 4] = [
    UNKNOWN_WORDS,
    "unmeasured",
    "unmeasured_pin",
    "latency_unlearned",
];

const UNKNOWN_WORDS: &str = "unknown_words";

/// Returns what the client should know about a request and its plan, and counts it.
pub(in crate::api) fn of(
    metrics: &Metrics,
    spec: &Spec<'_>,
    of_plan: impl IntoIterator<Item = Notice>,
) -> Vec<Notice> {
    let mut notices: Vec<Notice> = unknown_words(spec).into_iter().collect();
    notices.extend(of_plan);
    for notice in &notices {
        metrics.warned(notice.code);
    }
    notices
}

/// Returns the planner's warnings as a client reads them.
pub(in crate::api) fn told(warnings: Vec<PlanWarning>) -> impl Iterator<Item = Notice> {
    warnings.into_iter().map(Notice::from)
}

/// A family that says which words it knows was not trained on any other.
fn unknown_words(spec: &Spec<'_>) -> Option<Notice> {
    let vocabulary = spec.family.vocabulary.as_ref()?;
    let unknown = vocabulary.unknown_words(&spec.prompt);
    if unknown.is_empty() {
        return None;
    }
    let quoted: Vec<String> = unknown.iter().map(|word| format!("{word:?}")).collect();
    Some(Notice {
        code: UNKNOWN_WORDS,
        message: format!(
            "family {:?} was not trained on {}; GET /v1/models lists the words it knows",
            spec.family.id,
            quoted.join(", ")
        ),
    })
}
