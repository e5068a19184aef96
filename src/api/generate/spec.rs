//! What does a request mean on this server? Names become families and models, sizes and seeds are settled.
//!
//! A [`Spec`] holds no unchecked input: what remains to be decided is the plan.

use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderMap;

use super::{
    deadline::{self, LatencySource},
    request::{BudgetRequest, GenerateRequest, ON_LATE},
};
use crate::{
    api::{
        error::ApiError,
        fields::{MAX_EXACT_INTEGER, shortened},
        texts::KnownTexts,
    },
    catalog::{Catalog, Family, ModelId},
    config::Limits,
    planner::{Budget, Pins, PlanRequest, PlanToken, Quality},
    runtime::OnLate,
    units::{FileFormat, Flops, ImageSize, Millis},
};

/// A request that can be planned.
#[derive(Debug, Clone)]
pub(in crate::api) struct Spec<'a> {
    /// Whose models compete.
    pub(in crate::api) family: &'a Family,
    /// What the planner is asked.
    pub(in crate::api) plan_request: PlanRequest,
    /// What to draw.
    pub(in crate::api) prompt: String,
    /// What to steer away from; empty for none.
    pub(in crate::api) negative_prompt: String,
    /// What each picture becomes.
    pub(in crate::api) format: FileFormat,
    /// The seed of the first picture, if the client chose one.
    seed: Option<u64>,
    /// Who limited the latency.
    pub(in crate::api) latency_from: Option<LatencySource>,
    /// What happens when that limit cannot be kept.
    pub(in crate::api) on_late: OnLate,
}

impl<'a> Spec<'a> {
    /// Settles a request against what is hosted.
    pub(in crate::api) fn new(
        request: GenerateRequest,
        headers: &HeaderMap,
        catalog: &'a Catalog,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let format = format(&request)?;
        let token = token(request.plan_token.as_deref())?;
        let (family, model) = match &token {
            Some(token) => replayed(token, request.model.as_deref(), catalog)?,
            None => named(request.model.as_deref(), catalog)?,
        };
        let asked = request.size.as_deref().filter(|text| *text != "auto");
        let own = token.as_ref().map(|token| token.plan().size.to_string());
        let size = size(asked.or(own.as_deref()), family, limits)?;
        let n_images = request.n.unwrap_or(1);
        within_seeds(request.seed, n_images)?;
        within_training(&request, family)?;
        let granted = request.budget.unwrap_or_default();
        let latency = deadline::in_force(granted.latency_ms.map(Millis), headers)?;
        let negative_prompt = request.negative_prompt.unwrap_or_default();
        let pins = Pins {
            model,
            sampler: request.sampler,
            steps: request.num_inference_steps,
            guidance_scale: request.guidance_scale,
            plan: token.map(PlanToken::into_plan),
        };
        Ok(Self {
            family,
            plan_request: PlanRequest {
                size,
                n_images,
                budget: budget(&granted, latency.map(|(limit, _)| limit), request.quality),
                pins,
                has_negative_prompt: !negative_prompt.trim().is_empty(),
                kept_texts: 0,
            },
            prompt: request.prompt,
            negative_prompt,
            format,
            seed: request.seed,
            latency_from: latency.map(|(_, source)| source),
            on_late: on_late(granted.on_late.as_deref()),
        })
    }

    /// The same for a server that knows some of its texts already.
    pub(in crate::api) fn with_known(mut self, texts: &KnownTexts) -> Self {
        self.plan_request.kept_texts = texts.count(&self.family.id, &self.texts());
        self
    }

    /// What has to be encoded for it, if it was not before.
    pub(in crate::api) fn texts(&self) -> Vec<&str> {
        let negative = Some(self.negative_prompt.as_str());
        let negative = negative.filter(|_| self.plan_request.has_negative_prompt);
        [self.prompt.as_str()].into_iter().chain(negative).collect()
    }

    /// Returns one seed for each picture. Without one from the client the first is random, and of 32
    /// bits, so that people can write it down.
    pub(in crate::api) fn seeds(&self) -> Vec<u64> {
        let first = self
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(()) >> 32);
        (0..u64::from(self.plan_request.n_images))
            .map(|image_idx| first + image_idx)
            .collect()
    }
}

fn on_late(name: Option<&str>) -> OnLate {
    let known = ON_LATE.iter().find(|(known, _)| Some(*known) == name);
    known.map(|(_, kind)| *kind).unwrap_or_default()
}

/// Only one format has anything to lose.
fn format(request: &GenerateRequest) -> Result<FileFormat, ApiError> {
    let quality = request.output_compression.unwrap_or(100).min(100) as u8;
    let format = match request.output_format.as_deref() {
        Some("jpeg") => return Ok(FileFormat::Jpeg { quality }),
        Some("webp") => FileFormat::Webp,
        _ => FileFormat::Png,
    };
    if quality == 100 {
        return Ok(format);
    }
    Err(ApiError::ConflictingFields {
        param: "output_compression".to_owned(),
        message: format!(
            "output_compression {quality} is for output_format \"jpeg\"; {format} pictures are written without \
             loss, so ask for jpeg or leave output_compression out"
        ),
    })
}

fn budget(granted: &BudgetRequest, latency: Option<Millis>, quality: Option<Quality>) -> Budget {
    Budget {
        latency,
        flops: granted.tflops.map(Flops::from_tflops),
        quality,
        objective: granted.objective.unwrap_or_default(),
        min_score: granted.min_score,
        minimize: granted.minimize,
    }
}

fn token(text: Option<&str>) -> Result<Option<PlanToken>, ApiError> {
    text.map(str::parse)
        .transpose()
        .map_err(ApiError::InvalidPlanToken)
}

/// Finds the family of a plan that is to be replayed. `model` may name that family too; a model there is one
/// pin too many, which the planner refuses as it does the others.
fn replayed<'a>(
    token: &PlanToken,
    name: Option<&str>,
    catalog: &'a Catalog,
) -> Result<(&'a Family, Option<ModelId>), ApiError> {
    let id = &token.plan().model;
    let (family, _) = catalog
        .model(&id.0)
        .ok_or_else(|| unknown_model(&id.0, catalog))?;
    let (asked, model) = named(name, catalog)?;
    let is_named = !matches!(name, None | Some("auto"));
    if is_named && asked.id != family.id {
        return Err(ApiError::ConflictingFields {
            param: "model".to_owned(),
            message: format!(
                "the plan of plan_token is one of family {:?}; leave model out",
                family.id
            ),
        });
    }
    if !token.suits(family) {
        let family = family.id.clone();
        return Err(ApiError::StalePlanToken { family });
    }
    Ok((family, model))
}

/// Finds the family, and the model if one was named.
pub(in crate::api) fn named<'a>(
    name: Option<&str>,
    catalog: &'a Catalog,
) -> Result<(&'a Family, Option<ModelId>), ApiError> {
    let name = match name {
        None | Some("auto") => return Ok((catalog.default_family(), None)),
        Some(name) => name,
    };
    if let Some(family) = catalog.family(name) {
        return Ok((family, None));
    }
    catalog
        .model(name)
        .map(|(family, card)| (family, Some(card.id.clone())))
        .ok_or_else(|| unknown_model(name, catalog))
}

fn unknown_model(name: &str, catalog: &Catalog) -> ApiError {
    ApiError::UnknownModel {
        asked: shortened(name),
        known: known_names(catalog),
    }
}

/// Lists everything that `model` may say.
pub(in crate::api) fn known_names(catalog: &Catalog) -> Vec<String> {
    let mut names = vec!["auto".to_owned()];
    for family in &catalog.families {
        names.push(family.id.clone());
        names.extend(family.models.iter().map(|card| card.id.0.clone()));
    }
    names
}

pub(in crate::api) fn size(
    text: Option<&str>,
    family: &Family,
    limits: &Limits,
) -> Result<ImageSize, ApiError> {
    let size = match text {
        None | Some("auto") => family.default_size(),
        Some(text) => {
            let offered = || {
                let sizes = family.sizes.iter().map(ToString::to_string);
                sizes.collect::<Vec<_>>().join(", ")
            };
            text.parse()
                .ok()
                .filter(|size| family.sizes.contains(size))
                .ok_or_else(|| ApiError::InvalidValue {
                    param: "size".to_owned(),
                    message: format!(
                        "size {} is not offered by family {:?}; choose one of {}",
                        shortened(text),
                        family.id,
                        offered()
                    ),
                })?
        }
    };
    if size.pixels() > limits.max_pixels {
        return Err(ApiError::InvalidValue {
            param: "size".to_owned(),
            message: format!(
                "size {size} has more than the {} pixels this server allows",
                limits.max_pixels
            ),
        });
    }
    Ok(size)
}

fn within_seeds(seed: Option<u64>, n_images: u32) -> Result<(), ApiError> {
    let last = MAX_EXACT_INTEGER - u64::from(n_images - 1);
    match seed {
        Some(seed) if seed > last => Err(ApiError::InvalidValue {
            param: "seed".to_owned(),
            message: format!("seed must be at most {last} for {n_images} pictures; got {seed}"),
        }),
        _ => Ok(()),
    }
}

/// A trajectory cannot stop at more noise levels than the family was trained on.
fn within_training(request: &GenerateRequest, family: &Family) -> Result<(), ApiError> {
    let trained = family.noise_schedule.num_train_timesteps;
    match request.num_inference_steps {
        Some(steps) if steps as usize > trained => Err(ApiError::InvalidValue {
            param: "num_inference_steps".to_owned(),
            message: format!(
                "num_inference_steps must be at most {trained}, the levels that family {:?} was trained on; got {steps}",
                family.id
            ),
        }),
        _ => Ok(()),
    }
}
