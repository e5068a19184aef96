//! What do AUTOMATIC1111's clients say, and what does it mean here?

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::unsupported::{notice, told};
use crate::{
    api::{
        error::ApiError,
        fields::{Fields, MAX_EXACT_INTEGER, shortened},
        generate::{
            BudgetRequest, GenerateRequest,
            request::{MAX_GUIDANCE_SCALE, negative_prompt, prompt},
            spec::named,
        },
        state::AppState,
    },
    catalog::SamplerKind,
    config::Limits,
    planner::Notice,
    units::Steps,
};

/// What to draw, in the web interface's words. Fields that are not listed are told in `info.warnings`, unless
/// they change nothing.
#[derive(Debug, Clone, Default, PartialEq, ToSchema)]
pub(super) struct Txt2ImgRequest {
    /// What to draw.
    #[schema(
        min_length = 1,
        max_length = 2000,
        example = "a red heart above a teal square on grass"
    )]
    prompt: String,
    /// What to steer away from; needs a guided plan.
    #[schema(max_length = 2000)]
    negative_prompt: Option<String>,
    /// The seed of the first picture; -1 for a random one.
    #[schema(minimum = -1, maximum = 9_007_199_254_740_991_i64, default = -1)]
    seed: Option<i64>,
    /// Pins the sampler: one of `GET /sdapi/v1/samplers`. Any other is told in `info.warnings`, and the sampler
    /// is planned.
    #[schema(example = "DDIM")]
    sampler_name: Option<String>,
    /// The older name of `sampler_name`, which counts where both are given.
    sampler_index: Option<String>,
    /// Pictures of each batch.
    #[schema(minimum = 1, maximum = 10, default = 1)]
    batch_size: Option<u32>,
    /// Batches; all their pictures together are at most 10.
    #[schema(minimum = 1, maximum = 10, default = 1)]
    n_iter: Option<u32>,
    /// Pins the number of sampling steps.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    steps: Option<Steps>,
    /// Pins the guidance scale; 1 is unguided and costs half.
    #[schema(minimum = 1, maximum = 30)]
    cfg_scale: Option<f64>,
    /// Width in pixels, of one of the family's sizes; its default if left out.
    #[schema(minimum = 1, maximum = 65535, example = 128)]
    width: Option<u32>,
    /// Height in pixels, of one of the family's sizes; its default if left out.
    #[schema(minimum = 1, maximum = 65535, example = 128)]
    height: Option<u32>,
    /// What differs from `GET /sdapi/v1/options` for this request.
    override_settings: Option<OverrideSettings>,
    /// Whether pictures come back.
    #[schema(default = true)]
    send_images: Option<bool>,
    /// What this request grants, as below `/v1`: the web interface knows no such field.
    budget: Option<BudgetRequest>,
}

/// Settings of one request.
#[derive(Debug, Clone, Default, PartialEq, ToSchema)]
pub(super) struct OverrideSettings {
    /// One of `GET /sdapi/v1/sd-models`: a family, whose models compete for the budget, or one model.
    #[schema(example = "auto")]
    sd_model_checkpoint: Option<String>,
    /// The file format of the pictures.
    #[schema(pattern = "^(png|jpg|jpeg|webp)$")]
    samples_format: Option<String>,
    /// 100 for the best JPEG.
    #[schema(minimum = 0, maximum = 100)]
    jpeg_quality: Option<u32>,
}

const FORMATS: [(&str, &str); 4] = [
    ("png", "png"),
    ("jpg", "jpeg"),
    ("jpeg", "jpeg"),
    ("webp", "webp"),
];

impl Txt2ImgRequest {
    /// Reads the body of a request, and tells of fields that mean nothing here.
    pub(super) fn parse(
        body: Map<String, Value>,
        limits: &Limits,
    ) -> Result<(Self, Vec<Notice>), ApiError> {
        let mut fields = Fields::of_body(body);
        let mut notices = Vec::new();
        let request = Self::take_from(&mut fields, limits, &mut notices)?;
        notices.extend(told(&fields.rest(), ""));
        Ok((request, notices))
    }

    fn take_from(
        fields: &mut Fields,
        limits: &Limits,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, ApiError> {
        let count = |fields: &mut Fields, name| {
            let count = fields.integer(name, 1..=u64::from(limits.max_images))?;
            Ok::<_, ApiError>(count.map(|n| n as u32))
        };
        let side = |fields: &mut Fields, name| {
            let side = fields.integer(name, 1..=u64::from(u16::MAX))?;
            Ok::<_, ApiError>(side.map(|n| n as u32))
        };
        Ok(Self {
            prompt: prompt(fields, limits)?,
            negative_prompt: negative_prompt(fields, limits)?,
            seed: seed(fields)?,
            sampler_name: fields.text("sampler_name")?,
            sampler_index: fields.text("sampler_index")?,
            batch_size: count(fields, "batch_size")?,
            n_iter: count(fields, "n_iter")?,
            steps: fields.integer("steps", 1..=1000)?.map(|n| n as Steps),
            cfg_scale: fields.number("cfg_scale", "a number from 1 (unguided) to 30", |scale| {
                (1.0..=MAX_GUIDANCE_SCALE).contains(&scale)
            })?,
            width: side(fields, "width")?,
            height: side(fields, "height")?,
            override_settings: OverrideSettings::take_from(fields, notices)?,
            send_images: fields.flag("send_images")?,
            budget: BudgetRequest::take_from(fields)?,
        })
    }

    /// Says the same in the words of `/v1`.
    pub(super) fn understood(
        &self,
        state: &AppState,
        notices: &mut Vec<Notice>,
    ) -> Result<GenerateRequest, ApiError> {
        let settings = self.override_settings.clone().unwrap_or_default();
        let model = settings.sd_model_checkpoint.filter(|name| !name.is_empty());
        let is_jpeg = settings.samples_format.as_deref() == Some("jpeg");
        Ok(GenerateRequest {
            prompt: self.prompt.clone(),
            size: self.size(model.as_deref(), state)?,
            n: Some(self.n_images(state.limits().max_images)?),
            negative_prompt: self.negative_prompt.clone(),
            num_inference_steps: self.steps,
            guidance_scale: self.cfg_scale,
            seed: self.seed.and_then(|seed| u64::try_from(seed).ok()),
            sampler: self.sampler(notices),
            budget: self.budget.clone(),
            output_format: settings.samples_format,
            output_compression: settings.jpeg_quality.filter(|_| is_jpeg),
            model,
            ..GenerateRequest::default()
        })
    }

    /// Whether pictures come back.
    pub(super) fn sends_images(&self) -> bool {
        self.send_images.unwrap_or(true)
    }

    /// Pictures of each batch.
    pub(super) fn batch_size(&self) -> u32 {
        self.batch_size.unwrap_or(1)
    }

    fn n_images(&self, most: u32) -> Result<u32, ApiError> {
        let n_iter = self.n_iter.unwrap_or(1);
        let n_images = self.batch_size().saturating_mul(n_iter);
        if n_images <= most {
            return Ok(n_images);
        }
        let message = format!(
            "n_iter {n_iter} times batch_size {} is more than the {most} pictures that one request may have",
            self.batch_size()
        );
        let param = "n_iter".to_owned();
        Err(ApiError::InvalidValue { param, message })
    }

    /// A side that is left out is the family's usual one.
    fn size(&self, model: Option<&str>, state: &AppState) -> Result<Option<String>, ApiError> {
        if self.width.is_none() && self.height.is_none() {
            return Ok(None);
        }
        let (family, _) = named(model, state.catalog())?;
        let usual = family.default_size();
        let width = self.width.unwrap_or(usual.width);
        let height = self.height.unwrap_or(usual.height);
        Ok(Some(format!("{width}x{height}")))
    }

    /// A sampler that is not here is told and not pinned, and so is how its noise levels are spread.
    fn sampler(&self, notices: &mut Vec<Notice>) -> Option<SamplerKind> {
        let mut names = [&self.sampler_name, &self.sampler_index]
            .into_iter()
            .flatten();
        let name = names.find(|name| !name.is_empty())?;
        if name.eq_ignore_ascii_case("automatic") {
            return None;
        }
        let (found, spacing) = sampler_of(name);
        if found.is_none() {
            notices.push(notice(format!(
                "sampler_name {:?} is not here, so the sampler was planned; GET /sdapi/v1/samplers lists those \
                 that are",
                shortened(name)
            )));
        } else if let Some(spacing) = spacing {
            notices.push(notice(format!(
                "{spacing:?} in sampler_name means nothing here and was left out"
            )));
        }
        found
    }
}

/// The sampler of a name, and how it says that noise levels are to be spread: `DPM++ 2M Karras`.
fn sampler_of(name: &str) -> (Option<SamplerKind>, Option<&'static str>) {
    const SPACINGS: [&str; 4] = ["Karras", "Exponential", "Polyexponential", "SGM Uniform"];
    let spacing = SPACINGS
        .into_iter()
        .find(|spacing| name.ends_with(&format!(" {spacing}")));
    let bare = spacing.map_or(name, |spacing| &name[..name.len() - spacing.len() - 1]);
    let is_called = |kind: &SamplerKind| {
        kind.title().eq_ignore_ascii_case(bare) || kind.name().eq_ignore_ascii_case(bare)
    };
    (SamplerKind::ALL.into_iter().find(is_called), spacing)
}

fn seed(fields: &mut Fields) -> Result<Option<i64>, ApiError> {
    let fits = |seed: f64| seed.fract() == 0.0 && (-1.0..=MAX_EXACT_INTEGER as f64).contains(&seed);
    let expected = format!("-1 for a random seed, or an integer from 0 to {MAX_EXACT_INTEGER}");
    let seed = fields.number("seed", &expected, fits)?;
    Ok(seed.map(|seed| seed as i64))
}

impl OverrideSettings {
    fn take_from(
        request: &mut Fields,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Self>, ApiError> {
        const PREFIX: &str = "override_settings.";
        let Some(mut fields) = request.object("override_settings", PREFIX)? else {
            return Ok(None);
        };
        let quality = fields.integer("jpeg_quality", 0..=100)?;
        let settings = Self {
            sd_model_checkpoint: fields.text("sd_model_checkpoint")?,
            samples_format: fields
                .choice("samples_format", &FORMATS)?
                .map(str::to_owned),
            jpeg_quality: quality.map(|quality| quality as u32),
        };
        notices.extend(told(&fields.rest(), PREFIX));
        Ok(Some(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_go_by_their_titles_and_names_and_the_rest_of_a_name_is_told() {
        use SamplerKind::{Ddim, DpmPp2M, EulerAncestral};
        for (name, expected) in [
            ("DDIM", (Some(Ddim), None)),
            ("ddim", (Some(Ddim), None)),
            ("Euler a", (Some(EulerAncestral), None)),
            ("euler_ancestral", (Some(EulerAncestral), None)),
            ("DPM++ 2M Karras", (Some(DpmPp2M), Some("Karras"))),
            ("DPM++ SDE Karras", (None, Some("Karras"))),
            ("Karras", (None, None)),
            ("é Karras", (None, Some("Karras"))),
        ] {
            assert_eq!(sampler_of(name), expected, "{name}");
        }
    }
}
