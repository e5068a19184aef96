//! What may be asked for? OpenAI's list of models, with what this server knows of each.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{AnyRouteErrors, ApiError, ErrorReply},
    state::AppState,
};
use crate::{
    catalog::{Catalog, Dtype, Family, ModelCard, SamplerKind},
    planner::{
        Profile, SizeCost,
        cost::{Grid, unet},
        profile::ProfileKind,
    },
    units::{ImageSize, Steps},
};

/// Every hosted model and family.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// OpenAI's name for a list.
    #[schema(example = "list")]
    object: &'static str,
    /// The models, smallest first in each family.
    data: Vec<Model>,
    /// The families; the first one is what `auto` means.
    families: Vec<FamilyReply>,
}

/// One hosted model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Model {
    /// What `model` says to have only this one considered.
    #[schema(example = "emoji-c16")]
    id: String,
    /// OpenAI's name for a model.
    #[schema(example = "model")]
    object: &'static str,
    /// OpenAI's field; always 0, since weights carry no date.
    created: u64,
    /// OpenAI's field; the family's id.
    owned_by: String,
    /// The family whose models compete with this one.
    family: String,
    /// Whether its weights are in memory and its speed is known.
    loaded: bool,
    /// Trained numbers of the U-Net.
    parameters: u64,
    /// Where it runs.
    #[schema(example = "cpu")]
    device: String,
    /// Precision of its products, `f32` or `bf16`; what `auto` in the operator's file became here.
    #[schema(value_type = String, pattern = "^(f32|bf16)$", example = "f32")]
    dtype: Dtype,
    /// Whether guidance is baked in.
    distilled: bool,
    /// Samplers that its plans are offered with, the usual one first; `sampler` may insist on another.
    #[schema(value_type = Vec<String>, example = json!(["ddim", "dpmpp_2m", "euler", "euler_ancestral", "ddpm"]))]
    samplers: &'static [SamplerKind],
    /// 10^12 operations of each kind of work, by picture size.
    costs: Vec<CostReply>,
    /// What was measured of it; empty if nothing was.
    measured: Measured,
}

/// What one picture of this size costs.
#[derive(Debug, Serialize, ToSchema)]
struct CostReply {
    /// The size of the picture.
    #[schema(value_type = String, example = "128x128")]
    size: ImageSize,
    /// One network evaluation: an unguided step has one, a guided step two.
    tflops_per_evaluation: f64,
    /// Latents to pixels.
    tflops_decode: f64,
}

/// The plans whose scores were measured; step counts between them are interpolated.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Measured {
    /// Step counts.
    #[schema(value_type = Vec<u32>)]
    steps: Vec<Steps>,
    /// Guidance scales.
    guidance_scales: Vec<f64>,
    /// Samplers.
    #[schema(value_type = Vec<String>)]
    samplers: Vec<SamplerKind>,
}

/// Models that share autoencoder, text encoder and training data.
#[derive(Debug, Serialize, ToSchema)]
struct FamilyReply {
    /// What `model` says to have all its models compete.
    #[schema(example = "emoji")]
    id: String,
    /// Its models, smallest first.
    models: Vec<String>,
    /// Picture sizes on offer, the default first.
    #[schema(value_type = Vec<String>)]
    sizes: Vec<ImageSize>,
    /// SHA-256 of weights and configurations.
    weights_digest: String,
    /// 10^12 operations of one picture behind the names in `quality`; where the operator set none they are
    /// spread from the cheapest plan to the one that `auto` takes.
    quality_tflops: NamedBudgetsReply,
    /// Where the scores of its plans come from; null if none were measured, and then no reply has one.
    profile: Option<ProfileReply>,
    /// The words it was trained on; null if it does not say.
    vocabulary: Option<Vec<String>>,
}

/// What a family's scores mean.
#[derive(Debug, Serialize, ToSchema)]
struct ProfileReply {
    /// `measured`: an evaluator looked at the pictures, so that there are alignment, fidelity to real
    /// pictures, and their mean. `self`: fidelity to the family's own dearest plan is all there is;
    /// `balanced` and `fidelity` both mean it, and the objective `alignment` is refused. Scores are not
    /// comparable between families.
    #[schema(value_type = String, pattern = "^(measured|self)$", example = "measured")]
    kind: ProfileKind,
    /// The day of the measurement.
    #[schema(example = "2026-11-27")]
    date: String,
    /// Captions that every plan drew.
    captions: usize,
}

/// What `quality` grants for one picture, in 10^12 operations.
#[derive(Debug, Serialize, ToSchema)]
struct NamedBudgetsReply {
    /// `low`.
    low: f64,
    /// `medium`.
    medium: f64,
    /// `high`.
    high: f64,
    /// `xhigh`.
    xhigh: f64,
}

/// Models.
///
/// OpenAI's list of models; cost, measured plans and vocabulary stand beside its fields.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "listModels",
    tag = "models",
    responses((status = 200, description = "Every hosted model", body = ModelList), AnyRouteErrors)
)]
pub(super) async fn list(State(state): State<AppState>) -> Json<ModelList> {
    let families = &state.catalog().families;
    let models = families.iter().flat_map(|family| {
        let cards = family.models.iter();
        cards.map(|card| Model::new(&state, family, card))
    });
    Json(ModelList {
        object: "list",
        data: models.collect(),
        families: families
            .iter()
            .map(|family| FamilyReply::new(&state, family))
            .collect(),
    })
}

/// One model.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    operation_id = "retrieveModel",
    tag = "models",
    params(("id" = String, Path, description = "A model's id", example = "emoji-c16")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 404, description = "model_not_found; `known` lists what is hosted", body = ErrorReply),
        AnyRouteErrors
    )
)]
pub(super) async fn retrieve(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let catalog = state.catalog();
    // A path that is not UTF-8 names no model either.
    let id = id.map_or_else(|_| char::REPLACEMENT_CHARACTER.to_string(), |Path(id)| id);
    let (family, card) = catalog.model(&id).ok_or_else(|| ApiError::UnknownModel {
        asked: super::fields::shortened(&id),
        known: ids(catalog),
    })?;
    Ok(Json(Model::new(&state, family, card)))
}

fn ids(catalog: &Catalog) -> Vec<String> {
    let models = catalog.families.iter().flat_map(|family| &family.models);
    models.map(|card| card.id.0.clone()).collect()
}

impl Model {
    fn new(state: &AppState, family: &Family, card: &ModelCard) -> Self {
        Self {
            id: card.id.0.clone(),
            object: "model",
            created: 0,
            owned_by: family.id.clone(),
            family: family.id.clone(),
            loaded: state.runtime().readiness().is_ready(),
            parameters: parameters(family, card),
            device: card.device.to_string(),
            dtype: card.dtype,
            distilled: card.distilled,
            samplers: card.samplers(),
            costs: costs(state, family, card),
            measured: measured(state, family, card),
        }
    }
}

impl FamilyReply {
    fn new(state: &AppState, family: &Family) -> Self {
        let menus = state.menus(family);
        let budgets = menus.budgets();
        Self {
            id: family.id.clone(),
            models: family.models.iter().map(|card| card.id.0.clone()).collect(),
            sizes: family.sizes.clone(),
            weights_digest: family.digest.clone(),
            quality_tflops: NamedBudgetsReply {
                low: budgets.low.tflops(),
                medium: budgets.medium.tflops(),
                high: budgets.high.tflops(),
                xhigh: budgets.xhigh.tflops(),
            },
            profile: state
                .known_of(family)
                .profile
                .as_ref()
                .map(ProfileReply::new),
            vocabulary: family
                .vocabulary
                .as_ref()
                .map(|known| known.words().map(str::to_owned).collect()),
        }
    }
}

impl ProfileReply {
    fn new(profile: &Profile) -> Self {
        Self {
            kind: profile.kind,
            date: profile.provenance.date.clone(),
            captions: profile.provenance.n_captions,
        }
    }
}

/// The picture's size does not change how many there are.
fn parameters(family: &Family, card: &ModelCard) -> u64 {
    let latents = Grid::of_latents(family.default_size(), family.vae.downscale());
    let n_tokens = family.text_encoder.max_position_embeddings;
    unet::cost(&card.unet, latents, n_tokens).parameters
}

fn costs(state: &AppState, family: &Family, card: &ModelCard) -> Vec<CostReply> {
    let place = family.models.iter().position(|model| model.id == card.id);
    let of_size = |cost: &SizeCost| {
        Some(CostReply {
            size: cost.size,
            tflops_per_evaluation: cost.evaluations.get(place?)?.tflops(),
            tflops_decode: cost.decode.tflops(),
        })
    };
    let sizes = &state.known_of(family).costs.sizes;
    sizes.iter().filter_map(of_size).collect()
}

fn measured(state: &AppState, family: &Family, card: &ModelCard) -> Measured {
    let Some(profile) = &state.known_of(family).profile else {
        return Measured::default();
    };
    let plans = profile.cells.iter().map(|cell| &cell.plan);
    let plans = || plans.clone().filter(|plan| plan.model == card.id);
    let steps: BTreeSet<Steps> = plans().map(|plan| plan.steps).collect();
    let samplers: BTreeSet<SamplerKind> = plans().map(|plan| plan.sampler).collect();
    let mut guidance_scales: Vec<f64> = plans().map(|plan| plan.guidance_scale).collect();
    guidance_scales.sort_by(f64::total_cmp);
    guidance_scales.dedup();
    Measured {
        steps: steps.into_iter().collect(),
        guidance_scales,
        samplers: samplers.into_iter().collect(),
    }
}
