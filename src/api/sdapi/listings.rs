//! What may AUTOMATIC1111's clients choose from?

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    DetailReply,
    reply::{short_hash, whole_hash},
};
use crate::{
    api::state::AppState,
    catalog::{Family, SamplerKind},
};

/// What `sd_model_checkpoint` may say.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Checkpoint {
    /// What to say: `auto`, a family, whose models compete for the budget, or one model.
    #[schema(example = "emoji-c16")]
    title: String,
    /// The same.
    #[schema(example = "emoji-c16")]
    model_name: String,
    /// The first digits of `sha256`.
    hash: String,
    /// SHA-256 of all weights and configurations of the family.
    sha256: String,
    /// The name once more: where files lie is not told.
    filename: String,
    /// Not here.
    config: Option<String>,
}

/// What `sampler_name` may say.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SamplerReply {
    /// What to say.
    #[schema(example = "DPM++ 2M")]
    name: &'static str,
    /// Its name below `/v1`, which is understood too.
    #[schema(value_type = Vec<String>, example = json!(["dpmpp_2m"]))]
    aliases: [&'static str; 1],
    /// None.
    #[schema(value_type = Object)]
    options: Map<String, Value>,
}

/// How noise levels may be spread.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NoiseSpacing {
    /// What to say.
    #[schema(example = "automatic")]
    name: &'static str,
    /// The same for people.
    #[schema(example = "Automatic")]
    label: &'static str,
    /// None.
    aliases: Option<Vec<String>>,
    /// Not here.
    #[schema(example = -1.0)]
    default_rho: f64,
    /// Not here.
    need_inner_model: bool,
}

/// Models, for AUTOMATIC1111's clients.
#[utoipa::path(
    get,
    path = "/sdapi/v1/sd-models",
    operation_id = "sdModels",
    tag = "automatic1111",
    responses(
        (status = 200, description = "Families and models", body = Vec<Checkpoint>),
        (status = 401, description = "No key, if the server has keys", body = DetailReply)
    )
)]
pub(in crate::api) async fn models(State(state): State<AppState>) -> Json<Vec<Checkpoint>> {
    let catalog = state.catalog();
    let mut found = vec![checkpoint("auto", catalog.default_family())];
    for family in &catalog.families {
        found.push(checkpoint(&family.id, family));
        let models = family.models.iter();
        found.extend(models.map(|card| checkpoint(&card.id.0, family)));
    }
    Json(found)
}

fn checkpoint(name: &str, family: &Family) -> Checkpoint {
    Checkpoint {
        title: name.to_owned(),
        model_name: name.to_owned(),
        hash: short_hash(&family.digest).to_owned(),
        sha256: whole_hash(&family.digest).to_owned(),
        filename: name.to_owned(),
        config: None,
    }
}

/// Samplers, for AUTOMATIC1111's clients.
#[utoipa::path(
    get,
    path = "/sdapi/v1/samplers",
    operation_id = "sdSamplers",
    tag = "automatic1111",
    responses(
        (status = 200, description = "Every sampler", body = Vec<SamplerReply>),
        (status = 401, description = "No key, if the server has keys", body = DetailReply)
    )
)]
pub(in crate::api) async fn samplers() -> Json<Vec<SamplerReply>> {
    let reply = |kind: SamplerKind| SamplerReply {
        name: kind.title(),
        aliases: [kind.name()],
        options: Map::new(),
    };
    Json(SamplerKind::ALL.map(reply).into())
}

/// Noise spacings, for AUTOMATIC1111's clients.
///
/// Each sampler spreads its noise levels as the family was trained, so there is one entry.
#[utoipa::path(
    get,
    path = "/sdapi/v1/schedulers",
    operation_id = "sdNoiseSpacings",
    tag = "automatic1111",
    responses(
        (status = 200, description = "The one there is", body = Vec<NoiseSpacing>),
        (status = 401, description = "No key, if the server has keys", body = DetailReply)
    )
)]
pub(in crate::api) async fn noise_spacings() -> Json<Vec<NoiseSpacing>> {
    let automatic = NoiseSpacing {
        name: "automatic",
        label: "Automatic",
        aliases: None,
        default_rho: -1.0,
        need_inner_model: false,
    };
    Json(vec![automatic])
}
