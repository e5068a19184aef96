//! What may a request say? OpenAI's Images fields and ours, each checked on its own.
//!
//! After [`GenerateRequest::parse`] every field has its type and range; what depends on the hosted
//! models is settled in [`super::spec`].

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    api::{
        error::ApiError,
        fields::{Fields, MAX_EXACT_INTEGER, one_of},
    },
    catalog::SamplerKind,
    config::Limits,
    planner::Quality,
    units::{FileFormat, ImageSize, Steps},
};

mod budget;

pub use budget::BudgetRequest;
pub(in crate::api) use budget::{OBJECTIVES, ON_LATE};

/// Guidance scales beyond this only burn the picture.
pub(crate) const MAX_GUIDANCE_SCALE: f64 = 30.0;

/// As many as OpenAI shows.
const MAX_PARTIAL_IMAGES: u64 = 3;

/// What to draw, and what it may cost. Fields that are not listed are refused, never ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// What to draw.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "a red heart above a teal square on grass"
    )]
    pub prompt: String,
    /// `auto` for the default family, or the id of a family, whose models compete for the budget,
    /// or the id of one model, which is then the only one considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = "auto", example = "auto")]
    pub model: Option<String>,
    /// Pictures to make; picture i has the seed `seed + i`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10, default = 1)]
    pub n: Option<u32>,
    /// `WIDTHxHEIGHT` in pixels, one of the family's sizes, or `auto` for its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        default = "auto",
        pattern = "^(auto|[1-9][0-9]*x[1-9][0-9]*)$",
        example = "128x128"
    )]
    pub size: Option<String>,
    /// A named budget: `low` to `xhigh` limit the operations of one picture, `auto` takes the
    /// cheapest plan within 0.01 of the best score, `max` the best. An explicit `budget` without
    /// `quality` is used in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// How pictures are returned; `url` is refused, since the server stores nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = "b64_json", pattern = "^b64_json$")]
    pub response_format: Option<String>,
    /// The file format of the pictures: `png` and `webp` lose nothing, `jpeg` what `output_compression` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = "png", pattern = "^(png|jpeg|webp)$")]
    pub output_format: Option<String>,
    /// From 0 for the smallest file to 100 for the best picture. Below 100 only with `jpeg`, since the other
    /// formats are written without loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, default = 100)]
    pub output_compression: Option<u32>,
    /// `auto` or `opaque`; transparent pictures are not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(auto|opaque)$")]
    pub background: Option<String>,
    /// `auto` or `low`; neither changes anything, since nothing is filtered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(auto|low)$")]
    pub moderation: Option<String>,
    /// Whether the answer is a stream of server-sent events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = false)]
    pub stream: Option<bool>,
    /// Pictures on their way that a stream shows, for each picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 3)]
    pub partial_images: Option<u32>,
    /// What else a stream tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// The client's own name for its user; neither stored nor logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What to steer away from; needs a guided plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub negative_prompt: Option<String>,
    /// Pins the number of sampling steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub num_inference_steps: Option<Steps>,
    /// Pins the guidance scale; 1 is unguided and costs half.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 30)]
    pub guidance_scale: Option<f64>,
    /// The seed of the first picture; chosen and reported when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    pub seed: Option<u64>,
    /// Pins the sampler.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(ddim|dpmpp_2m|euler|euler_ancestral|ddpm|lcm)$")]
    pub sampler: Option<SamplerKind>,
    /// Replays the plan of an earlier reply, exactly: its `plan_token`. Excludes all other fields that pin a part
    /// of the plan; the budget must allow it, and the weights must be the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, pattern = "^[A-Za-z0-9_-]+$")]
    pub plan_token: Option<String>,
    /// What this request grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetRequest>,
}

/// What a stream tells besides pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// An event `image_generation.plan` when the device begins.
    #[serde(default)]
    #[schema(default = false)]
    pub include_plan: bool,
    /// An event `image_generation.progress` for every step.
    #[serde(default)]
    #[schema(default = false)]
    pub include_progress: bool,
}

impl StreamOptions {
    fn take_from(request: &mut Fields) -> Result<Option<Self>, ApiError> {
        let Some(mut fields) = request.object("stream_options", "stream_options.")? else {
            return Ok(None);
        };
        let options = Self {
            include_plan: fields.flag("include_plan")?.unwrap_or_default(),
            include_progress: fields.flag("include_progress")?.unwrap_or_default(),
        };
        fields.finish()?;
        Ok(Some(options))
    }
}

const QUALITIES: [(&str, Quality); 6] = [
    ("auto", Quality::Auto),
    ("low", Quality::Low),
    ("medium", Quality::Medium),
    ("high", Quality::High),
    ("xhigh", Quality::Xhigh),
    ("max", Quality::Max),
];

impl GenerateRequest {
    /// Reads the body of a request. Every field is checked on its own; unknown ones are refused.
    pub(in crate::api) fn parse(
        body: Map<String, Value>,
        limits: &Limits,
    ) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body);
        let request = Self::take_from(&mut fields, limits)?;
        fields.finish()?;
        request.refuse_unshown()?;
        Ok(request)
    }

    fn take_from(fields: &mut Fields, limits: &Limits) -> Result<Self, ApiError> {
        let samplers = SamplerKind::ALL.map(|kind| (kind.name(), kind));
        refuse_style(fields)?;
        Ok(Self {
            prompt: prompt(fields, limits)?,
            model: fields.text("model")?,
            n: fields
                .integer("n", 1..=u64::from(limits.max_images))?
                .map(|n| n as u32),
            size: size(fields)?,
            quality: fields.choice("quality", &QUALITIES)?,
            response_format: only(
                fields,
                "response_format",
                &["b64_json"],
                "b64_json",
                &["url"],
            )?,
            output_format: only(fields, "output_format", &FileFormat::NAMES, "png", &[])?,
            output_compression: fields
                .integer("output_compression", 0..=100)?
                .map(|quality| quality as u32),
            background: only(
                fields,
                "background",
                &["auto", "opaque"],
                "auto",
                &["transparent"],
            )?,
            moderation: only(fields, "moderation", &["auto", "low"], "auto", &[])?,
            stream: fields.flag("stream")?,
            partial_images: fields
                .integer("partial_images", 0..=MAX_PARTIAL_IMAGES)?
                .map(|n| n as u32),
            stream_options: StreamOptions::take_from(fields)?,
            user: fields.text("user")?,
            negative_prompt: negative_prompt(fields, limits)?,
            num_inference_steps: fields
                .integer("num_inference_steps", 1..=1000)?
                .map(|steps| steps as Steps),
            guidance_scale: fields.number(
                "guidance_scale",
                "a number from 1 (unguided) to 30",
                |scale| (1.0..=MAX_GUIDANCE_SCALE).contains(&scale),
            )?,
            seed: fields.integer("seed", 0..=MAX_EXACT_INTEGER)?,
            sampler: fields.choice("sampler", &samplers)?,
            plan_token: fields.text("plan_token")?,
            budget: BudgetRequest::take_from(fields)?,
        })
    }
}

impl GenerateRequest {
    /// Without a stream there is no place for pictures on their way, and none to wait for what else it tells.
    fn refuse_unshown(&self) -> Result<(), ApiError> {
        let shown = [
            ("partial_images", self.partial_images.unwrap_or(0) > 0),
            ("stream_options", self.stream_options.is_some()),
        ];
        match shown.iter().find(|(_, is_asked)| *is_asked) {
            Some((param, _)) if self.stream != Some(true) => Err(ApiError::ConflictingFields {
                param: (*param).to_owned(),
                message: format!("{param} needs stream: true; add that, or leave {param} out"),
            }),
            _ => Ok(()),
        }
    }
}

pub(in crate::api) fn prompt(fields: &mut Fields, limits: &Limits) -> Result<String, ApiError> {
    let missing = || ApiError::MissingField {
        param: "prompt".to_owned(),
        message: "prompt is missing; say what to draw, for example \"a red heart on grass\""
            .to_owned(),
    };
    let prompt = fields.text("prompt")?.ok_or_else(missing)?;
    if prompt.trim().is_empty() {
        return Err(ApiError::InvalidValue {
            param: "prompt".to_owned(),
            message: "prompt is empty; say what to draw".to_owned(),
        });
    }
    within_length("prompt", &prompt, limits)?;
    Ok(prompt)
}

pub(in crate::api) fn negative_prompt(
    fields: &mut Fields,
    limits: &Limits,
) -> Result<Option<String>, ApiError> {
    let negative = fields.text("negative_prompt")?;
    if let Some(text) = &negative {
        within_length("negative_prompt", text, limits)?;
    }
    Ok(negative)
}

fn within_length(param: &str, text: &str, limits: &Limits) -> Result<(), ApiError> {
    let found = text.chars().count();
    let longest = limits.max_prompt_chars;
    if found <= longest {
        return Ok(());
    }
    Err(ApiError::InvalidValue {
        param: param.to_owned(),
        message: format!("{param} has {found} characters; at most {longest} are read"),
    })
}

/// Checks the spelling; which sizes there are depends on the family.
fn size(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let Some(text) = fields.text("size")? else {
        return Ok(None);
    };
    match text.parse::<ImageSize>() {
        Ok(_) => Ok(Some(text)),
        Err(_) if text == "auto" => Ok(Some(text)),
        Err(error) => Err(ApiError::InvalidValue {
            param: "size".to_owned(),
            message: format!("size: {error}, or \"auto\""),
        }),
    }
}

/// Takes a field of which only some values are implemented; `later` ones are refused as such.
fn only(
    fields: &mut Fields,
    name: &'static str,
    accepted: &'static [&'static str],
    neutral: &str,
    later: &'static [&'static str],
) -> Result<Option<String>, ApiError> {
    let choices: Vec<(&str, &str)> = accepted
        .iter()
        .chain(later)
        .map(|choice| (*choice, *choice))
        .collect();
    let param = fields.path(name);
    let chosen = match fields.choice(name, &choices) {
        Ok(chosen) => chosen,
        // The list in the message should hold what works, not what is merely known.
        Err(ApiError::InvalidValue { param, .. }) => {
            let message = format!("{param} must be {}", one_of(accepted));
            return Err(ApiError::InvalidValue { param, message });
        }
        Err(other) => return Err(other),
    };
    match chosen {
        Some(value) if later.contains(&value) => Err(ApiError::NotImplemented {
            message: format!(
                "{param} {value:?} is not implemented yet; leave it out or send {neutral:?}"
            ),
            param,
        }),
        chosen => Ok(chosen.map(str::to_owned)),
    }
}

/// `style` belongs to OpenAI's request, but no value of it would change nothing here.
fn refuse_style(fields: &mut Fields) -> Result<(), ApiError> {
    match fields.unlisted("style") {
        None => Ok(()),
        Some(_) => Err(ApiError::NotImplemented {
            param: "style".to_owned(),
            message: "style is not implemented; leave it out and describe the style in the prompt"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
