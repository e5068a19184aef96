//! What do AUTOMATIC1111's clients get? Pictures, what they asked for, and JSON in a string about what was done.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::request::Txt2ImgRequest;
use crate::{
    api::generate::{
        Spec,
        reply::{Actual, BudgetReply, GenerateReply, ImageReply},
    },
    planner::{Estimate, Notice, Plan},
    runtime::Parameters,
};

/// The pictures, and what made them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Txt2ImgReply {
    /// The files, in base64; empty with `send_images` false.
    images: Vec<String>,
    /// The request as it came.
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// JSON in a string: seeds, the plan as the web interface tells it (`sampler_name`, `cfg_scale`, ...), a text
    /// for each picture that reproduces it (`infotexts`), and, as below `/v1`, `plan`, `plan_token`, `estimate`,
    /// `actual`, `budget` and `warnings`.
    info: String,
}

/// What `info` holds. What this program does not have is there with the value that says so, since clients
/// look for it.
#[derive(Serialize)]
struct Info<'a> {
    prompt: &'a str,
    all_prompts: Vec<&'a str>,
    negative_prompt: &'a str,
    all_negative_prompts: Vec<&'a str>,
    seed: u64,
    all_seeds: Vec<u64>,
    subseed: i64,
    all_subseeds: Vec<i64>,
    subseed_strength: f64,
    width: u32,
    height: u32,
    sampler_name: &'static str,
    cfg_scale: f64,
    steps: u32,
    batch_size: u32,
    restore_faces: bool,
    face_restoration_model: Option<&'static str>,
    sd_model_name: &'a str,
    sd_model_hash: &'a str,
    sd_vae_name: Option<&'static str>,
    sd_vae_hash: Option<&'static str>,
    seed_resize_from_w: i64,
    seed_resize_from_h: i64,
    denoising_strength: Option<f64>,
    extra_generation_params: Map<String, Value>,
    index_of_first_image: usize,
    infotexts: Vec<String>,
    styles: [&'static str; 0],
    job_timestamp: String,
    clip_skip: u32,
    is_using_inpainting_conditioning: bool,
    version: &'static str,
    plan: &'a Plan,
    plan_token: &'a str,
    estimate: &'a Estimate,
    actual: &'a Actual,
    budget: &'a BudgetReply,
    warnings: Vec<Notice>,
}

impl Txt2ImgReply {
    /// Tells what was drawn; `notices` stand before the warnings of the plan and the run.
    pub(super) fn new(
        spec: &Spec<'_>,
        asked: &Txt2ImgRequest,
        mut drawn: GenerateReply,
        mut notices: Vec<Notice>,
        parameters: Map<String, Value>,
    ) -> Self {
        notices.append(&mut drawn.warnings);
        let info = Info::new(spec, asked, &drawn, notices);
        let info = serde_json::to_string(&info).expect("texts and numbers can be written");
        let files = drawn.data.into_iter().filter(|_| asked.sends_images());
        Self {
            images: files.map(|image| image.b64_json).collect(),
            parameters,
            info,
        }
    }
}

impl<'a> Info<'a> {
    fn new(
        spec: &'a Spec<'_>,
        asked: &Txt2ImgRequest,
        drawn: &'a GenerateReply,
        warnings: Vec<Notice>,
    ) -> Self {
        let (n, plan) = (drawn.data.len(), &drawn.plan);
        let seeds: Vec<u64> = drawn.data.iter().map(|image| image.seed).collect();
        let text_of = |image: &ImageReply| {
            let parameters = Parameters {
                prompt: &spec.prompt,
                negative_prompt: &spec.negative_prompt,
                plan,
                steps_run: image.steps_run,
                seed: image.seed,
            };
            parameters.text()
        };
        Self {
            prompt: &spec.prompt,
            all_prompts: vec![&spec.prompt; n],
            negative_prompt: &spec.negative_prompt,
            all_negative_prompts: vec![&spec.negative_prompt; n],
            seed: seeds.first().copied().unwrap_or_default(),
            all_seeds: seeds,
            subseed: -1,
            all_subseeds: vec![-1; n],
            subseed_strength: 0.0,
            width: plan.size.width,
            height: plan.size.height,
            sampler_name: plan.sampler.title(),
            cfg_scale: plan.guidance_scale,
            steps: plan.steps,
            batch_size: asked.batch_size(),
            restore_faces: false,
            face_restoration_model: None,
            sd_model_name: &plan.model.0,
            sd_model_hash: short_hash(&spec.family.digest),
            sd_vae_name: None,
            sd_vae_hash: None,
            seed_resize_from_w: -1,
            seed_resize_from_h: -1,
            denoising_strength: None,
            extra_generation_params: Map::new(),
            index_of_first_image: 0,
            infotexts: drawn.data.iter().map(text_of).collect(),
            styles: [],
            job_timestamp: drawn.created.to_string(),
            clip_skip: 1,
            is_using_inpainting_conditioning: false,
            version: concat!("goldilocks ", env!("CARGO_PKG_VERSION")),
            plan,
            plan_token: &drawn.plan_token,
            estimate: &drawn.estimate,
            actual: &drawn.actual,
            budget: &drawn.budget,
            warnings,
        }
    }
}

/// The digits of a digest that people read: as many as the web interface shows.
pub(super) fn short_hash(digest: &str) -> &str {
    let digits = whole_hash(digest);
    digits.get(..10).unwrap_or(digits)
}

/// All digits of a digest, `sha256:<hex>`.
pub(super) fn whole_hash(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
