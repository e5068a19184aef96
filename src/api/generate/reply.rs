//! What does a client get? OpenAI's reply, and beside it the plan, what was predicted and what came out.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{deadline::LatencySource, request::ON_LATE, spec::Spec};
use crate::{
    catalog::NamedBudgets,
    planner::{Cost, Estimate, Notice, Objective, Plan, Quality, ScoreEstimate},
    runtime::{OnLate, Outcome, Phases, Rendered},
    units::{FileFormat, Flops, ImageSize, Millis, Nfe, Steps},
};

/// The pictures, the plan that made them, and how the prediction did.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct GenerateReply {
    /// Seconds since 1970 UTC.
    pub(in crate::api) created: u64,
    /// One entry for each picture, in the order of their seeds.
    pub(in crate::api) data: Vec<ImageReply>,
    /// The file format of the pictures.
    #[schema(value_type = String, example = "png")]
    pub(in crate::api) output_format: FileFormat,
    /// The size of the pictures.
    #[schema(value_type = String, example = "128x128")]
    pub(in crate::api) size: ImageSize,
    /// The named budget, `auto` if none was named.
    pub(in crate::api) quality: Quality,
    /// Pictures have no transparency.
    #[schema(example = "opaque")]
    pub(in crate::api) background: &'static str,
    /// What was run.
    pub(in crate::api) plan: Plan,
    /// The same in one word, which replays it exactly where a later request has it as `plan_token`.
    pub(in crate::api) plan_token: String,
    /// What was predicted when the plan was chosen.
    pub(in crate::api) estimate: Estimate,
    /// What came out.
    pub(in crate::api) actual: Actual,
    /// The budget as it was understood.
    pub(in crate::api) budget: BudgetReply,
    /// What the client should know.
    pub(in crate::api) warnings: Vec<Notice>,
}

/// One picture.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct ImageReply {
    /// The file, in base64.
    pub(in crate::api) b64_json: String,
    /// The seed that reproduces this picture alone, with `n` = 1.
    pub(in crate::api) seed: u64,
    /// Sampling steps that ran.
    #[schema(value_type = u32)]
    pub(in crate::api) steps_run: Steps,
    /// Whether the picture took fewer steps than its plan has, to be in time.
    degraded: bool,
    /// What it is predicted to be worth: the plan's score; of a degraded picture its own, null where such a
    /// one was never measured.
    score: Option<ScoreEstimate>,
    /// Whether the reply missed `latency_ms`.
    pub(super) late: bool,
}

/// What came out.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Actual {
    /// From the parsed request head to the reply being written.
    latency_ms: f64,
    /// Where the time went.
    phases_ms: PhasesReply,
    /// 10^12 floating-point operations that ran for the whole request; a prompt that came lately costs none.
    tflops: f64,
    /// 10^12 floating-point operations for each picture.
    tflops_per_image: f64,
    /// Network evaluations for each picture.
    #[schema(value_type = u32)]
    nfe: Nfe,
}

/// Milliseconds in each phase.
#[derive(Debug, Serialize, ToSchema)]
struct PhasesReply {
    /// Waiting for the device, before the first step and between steps.
    queue: f64,
    /// Encoding the prompt.
    text: f64,
    /// All network evaluations, and the ranking of candidates.
    denoise: f64,
    /// Latents to pixels.
    decode: f64,
    /// Pixels to files.
    encode: f64,
}

/// The budget as it was understood.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(in crate::api) struct BudgetReply {
    /// The latency limit in force; null for none.
    latency_ms: Option<f64>,
    /// The field or header that set it: the lowest one counts.
    latency_from: Option<LatencySource>,
    /// The limit in force on the operations of the whole request; null for none.
    tflops: Option<f64>,
    /// The field that set it: the lower one counts.
    tflops_from: Option<TflopsSource>,
    /// Which score is maximized.
    objective: Objective,
    /// The score that must be reached.
    min_score: Option<f64>,
    /// Which cost is minimized.
    minimize: Option<Cost>,
    /// What happens when the work takes longer than predicted.
    #[schema(example = "degrade")]
    on_late: &'static str,
}

/// Where the limit on operations came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) enum TflopsSource {
    /// The field `budget.tflops`.
    #[serde(rename = "budget.tflops")]
    Budget,
    /// The field `quality`.
    #[serde(rename = "quality")]
    Quality,
}

impl BudgetReply {
    /// Tells what was granted to a request whose plan needs `estimate`, where `quality` means `named`.
    pub(in crate::api) fn of(spec: &Spec<'_>, named: &NamedBudgets, estimate: &Estimate) -> Self {
        let budget = &spec.plan_request.budget;
        let (tflops, tflops_from) = tflops_in_force(spec, named, estimate).unzip();
        Self {
            tflops,
            tflops_from,
            latency_ms: budget.latency.map(|limit| limit.0),
            latency_from: spec.latency_from,
            objective: budget.objective,
            min_score: budget.min_score,
            minimize: budget.minimize,
            on_late: on_late_name(spec.on_late),
        }
    }
}

/// The lower one of `budget.tflops` and what `quality` stands for. A name that grants less than the
/// cheapest plan needs grants that plan, so a plan above the name's number is the grant.
fn tflops_in_force(
    spec: &Spec<'_>,
    named: &NamedBudgets,
    estimate: &Estimate,
) -> Option<(f64, TflopsSource)> {
    let request = &spec.plan_request;
    let explicit = request.budget.flops.map(Flops::tflops);
    let named = request.budget.quality.and_then(|quality| {
        let per_image = quality.flops_per_image(named)?;
        let granted = per_image * f64::from(request.n_images);
        Some(granted.tflops().max(estimate.tflops))
    });
    match (explicit, named) {
        (Some(explicit), Some(named)) if named < explicit => Some((named, TflopsSource::Quality)),
        (Some(explicit), _) => Some((explicit, TflopsSource::Budget)),
        (None, named) => named.map(|named| (named, TflopsSource::Quality)),
    }
}

fn on_late_name(on_late: OnLate) -> &'static str {
    let known = ON_LATE.iter().find(|(_, kind)| *kind == on_late);
    known.map_or("degrade", |(name, _)| name)
}

impl GenerateReply {
    /// Hands its pictures over, in order.
    pub(super) fn take_images(&mut self) -> Vec<ImageReply> {
        std::mem::take(&mut self.data)
    }

    /// Bytes of the pictures, in base64.
    pub(in crate::api) fn n_bytes(&self) -> usize {
        self.data.iter().map(|image| image.b64_json.len()).sum()
    }
}

impl ImageReply {
    pub(super) fn new(image: &Rendered, score: Option<ScoreEstimate>) -> Self {
        Self {
            b64_json: STANDARD.encode(&image.file),
            seed: image.seed,
            steps_run: image.steps_run,
            degraded: image.rush.is_some(),
            score,
            late: false,
        }
    }
}

impl Actual {
    pub(super) fn new(outcome: &Outcome, n_images: u32, latency: Millis) -> Self {
        Self {
            latency_ms: latency.0,
            phases_ms: PhasesReply::from(outcome.phases),
            tflops: outcome.flops.tflops(),
            tflops_per_image: outcome.flops.tflops() / f64::from(n_images),
            nfe: outcome.nfe / n_images,
        }
    }
}

impl From<Phases> for PhasesReply {
    fn from(phases: Phases) -> Self {
        Self {
            queue: phases.queue.0,
            text: phases.text.0,
            denoise: (phases.denoise + phases.rank).0,
            decode: phases.decode.0,
            encode: phases.encode.0,
        }
    }
}
