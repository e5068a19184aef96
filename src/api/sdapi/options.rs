//! What settings are there? Those of a request that says nothing. None of them can be changed for everybody:
//! two clients would change each other's pictures.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DetailReply, reply::whole_hash};
use crate::api::{body::JsonObject, error::ApiError, fields::shortened, state::AppState};

/// The settings of a request without `override_settings`.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct OptionsReply {
    /// The models of the first family compete for the budget.
    #[schema(example = "auto")]
    sd_model_checkpoint: &'static str,
    /// SHA-256 of all weights and configurations of the first family.
    sd_checkpoint_hash: String,
    /// The file format of the pictures.
    #[schema(example = "png")]
    samples_format: &'static str,
    /// The quality of JPEG pictures.
    #[schema(example = 100)]
    jpeg_quality: u32,
    /// WebP is written without loss.
    webp_lossless: bool,
    /// The text encoder's last layer counts.
    #[serde(rename = "CLIP_stop_at_last_layers")]
    clip_stop_at_last_layers: u32,
    /// The family's own decoder.
    #[schema(example = "Automatic")]
    sd_vae: &'static str,
}

impl OptionsReply {
    fn new(state: &AppState) -> Self {
        let family = state.catalog().default_family();
        Self {
            sd_model_checkpoint: "auto",
            sd_checkpoint_hash: whole_hash(&family.digest).to_owned(),
            samples_format: "png",
            jpeg_quality: 100,
            webp_lossless: true,
            clip_stop_at_last_layers: 1,
            sd_vae: "Automatic",
        }
    }
}

/// Settings, for AUTOMATIC1111's clients.
#[utoipa::path(
    get,
    path = "/sdapi/v1/options",
    operation_id = "sdOptions",
    tag = "automatic1111",
    responses(
        (status = 200, description = "What is in force", body = OptionsReply),
        (status = 401, description = "No key, if the server has keys", body = DetailReply)
    )
)]
pub(in crate::api) async fn read(State(state): State<AppState>) -> Json<OptionsReply> {
    Json(OptionsReply::new(&state))
}

/// Set settings, for AUTOMATIC1111's clients.
///
/// Accepts settings as they are, for clients that send back what they read. A change is refused: send it in
/// `override_settings` of a request.
#[utoipa::path(
    post,
    path = "/sdapi/v1/options",
    operation_id = "sdSetOptions",
    tag = "automatic1111",
    request_body = std::collections::HashMap<String, serde_json::Value>,
    responses(
        (status = 200, description = "Nothing was changed, and nothing had to be"),
        (status = 400, description = "A setting would be changed, or the body is not a JSON object", body = DetailReply),
        (status = 401, description = "No key, if the server has keys", body = DetailReply),
        (status = 408, description = "The body did not arrive in time", body = DetailReply),
        (status = 413, description = "The body is too long", body = DetailReply),
        (status = 415, description = "The body is not JSON", body = DetailReply)
    )
)]
pub(in crate::api) async fn write(
    State(state): State<AppState>,
    JsonObject(asked): JsonObject,
) -> Result<Json<()>, ApiError> {
    let in_force = serde_json::to_value(OptionsReply::new(&state));
    let in_force = in_force.expect("texts and numbers can be written");
    let changed = asked
        .iter()
        .find(|(name, value)| in_force.get(name.as_str()) != Some(value));
    match changed {
        None => Ok(Json(())),
        Some((name, _)) => {
            let param = shortened(name);
            let message = format!(
                "{param} cannot be changed for everybody here; send it in override_settings of a request"
            );
            Err(ApiError::NotImplemented { param, message })
        }
    }
}
