//! How does a plan's picture come about in a calibration? Many at once, without a server.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{captions::EvaluationCaption, price, sweep::Judge};
use crate::{
    catalog::{Family, ModelCard, ModelId, digest},
    engine::{ImageSpec, Latents, Pipeline, Pixels, Trajectory},
    evaluator::{Assessment, Evaluator},
    planner::{CostTable, Plan},
};

/// A loaded family with its evaluator.
#[derive(Debug)]
pub struct Studio<'a> {
    family: &'a Family,
    pipeline: Pipeline,
    evaluator: Evaluator,
    digests: BTreeMap<ModelId, String>,
    costs: CostTable,
}

impl<'a> Studio<'a> {
    /// Loads every model of the family, and its evaluator.
    pub fn load(family: &'a Family) -> Result<Self> {
        let judged_by = evaluator_digest(family)?;
        let captions = file_digest(&family.path.join("evaluation/captions.json"))?;
        let digest_of = |card: &ModelCard| {
            let alone = Family {
                models: vec![card.clone()],
                ..family.clone()
            };
            let weights = digest::of_family(&alone)?;
            Ok((card.id.clone(), format!("{weights} {judged_by} {captions}")))
        };
        let digests = family.models.iter().map(digest_of);
        Ok(Self {
            family,
            evaluator: Evaluator::load(&family.path.join("evaluator"))?,
            digests: digests.collect::<Result<_>>()?,
            pipeline: Pipeline::load(family)?,
            costs: CostTable::of(family),
        })
    }

    /// Who judges.
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Draws one picture for each caption.
    pub fn draw(&self, plan: &Plan, captions: &[EvaluationCaption]) -> Result<Vec<Pixels>> {
        draw(&self.pipeline, plan, captions)
    }
}

impl Judge for Studio<'_> {
    fn judge(&self, plan: &Plan, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>> {
        let pictures = self.draw(plan, captions)?;
        Ok(self.evaluator.evaluate(&pictures)?)
    }

    fn weights(&self, plan: &Plan) -> String {
        self.digests[&plan.model].clone()
    }

    /// Millions of operations.
    fn cost(&self, plan: &Plan) -> f64 {
        let flops = price::of_picture(self.family, &self.costs, plan);
        flops
            .expect("plans are of this family's models and sizes")
            .0
            / 1e6
    }
}

/// Draws one picture for each caption, all in the same evaluations.
pub fn draw(
    pipeline: &Pipeline,
    plan: &Plan,
    captions: &[EvaluationCaption],
) -> Result<Vec<Pixels>> {
    let prompts: Vec<&str> = captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    let conditionings = pipeline.encode(&prompts, "")?;
    let begin = |(caption, conditioning): (&EvaluationCaption, _)| {
        let spec = ImageSpec {
            stages: plan.stages.clone(),
            sampler: plan.sampler,
            steps: plan.steps,
            guidance_scale: plan.guidance_scale,
            guidance_interval: plan.guidance_interval,
            candidate: 0,
            seed: caption.seed,
            size: plan.size,
            initial_noise: None,
        };
        pipeline.begin(&plan.model, &spec, conditioning)
    };
    let mut rows: Vec<Trajectory> = captions
        .iter()
        .zip(conditionings)
        .map(begin)
        .collect::<Result<_, _>>()?;
    pipeline.finish(&mut rows.iter_mut().collect::<Vec<_>>())?;
    let latents: Vec<&Latents> = rows.iter().map(Trajectory::latents).collect();
    Ok(pipeline.decode(&latents)?)
}

/// Returns `sha256:<hex>` of the weights that judge a family's pictures.
pub fn evaluator_digest(family: &Family) -> Result<String> {
    file_digest(&family.path.join("evaluator/model.safetensors"))
}

fn file_digest(path: &Path) -> Result<String> {
    Ok(format!("sha256:{}", digest::of_file(path)?))
}
