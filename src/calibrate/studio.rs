//! How does a plan's picture come about in a calibration? Many at once, without a server.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};

use super::{captions::EvaluationCaption, price, sweep::Judge, trial::Trial};
use crate::{
    catalog::{Dtype, Family, ModelCard, ModelId, digest},
    engine::{Conditioning, ImageSpec, Latents, Pipeline, Pixels, Trajectory},
    evaluator::{Assessment, Evaluator},
    planner::{CostTable, profile::Rush},
    units::Steps,
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
            let precision = match card.dtype {
                Dtype::F32 | Dtype::Auto => "",
                Dtype::Bf16 => " bf16",
            };
            let all = format!("{weights} {judged_by} {captions}{precision}");
            Ok((card.id.clone(), all))
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
}

impl Judge for Studio<'_> {
    fn judge(&self, trial: &Trial, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>> {
        let pictures = draw(&self.pipeline, trial, captions)?;
        Ok(self.evaluator.evaluate(&pictures)?)
    }

    fn weights(&self, trial: &Trial) -> String {
        let models = trial.plan.models();
        let mut digests: Vec<&str> = models.map(|model| &*self.digests[model]).collect();
        if trial.plan.candidates.is_some() {
            digests.extend(self.family.image_encoder_digest.as_deref());
        }
        digests.join(" ")
    }

    /// Millions of operations.
    fn cost(&self, trial: &Trial) -> f64 {
        let flops = price::of_trial(self.family, &self.costs, trial);
        flops
            .expect("trials are of this family's models and sizes")
            .0
            / 1e6
    }
}

/// Draws one picture for each caption, all in the same evaluations.
pub fn draw(
    pipeline: &Pipeline,
    trial: &Trial,
    captions: &[EvaluationCaption],
) -> Result<Vec<Pixels>> {
    let texts = captions.iter().map(|caption| caption.text.as_str());
    let conditionings = pipeline.encode(&texts.collect::<Vec<_>>(), "")?;
    let n_begun = trial.plan.n_begun();
    let mut rows: Vec<Trajectory> = Vec::with_capacity(captions.len() * n_begun as usize);
    for (caption, conditioning) in captions.iter().zip(&conditionings) {
        for candidate in 0..n_begun {
            let spec = ImageSpec {
                candidate,
                ..ImageSpec::new(trial.plan.route(), trial.plan.size, caption.seed)
            };
            rows.push(pipeline.begin(&trial.plan.model, &spec, conditioning.clone())?);
        }
    }
    if let Some(candidates) = trial.plan.candidates {
        step(
            pipeline,
            &mut rows,
            candidates.shared_steps(trial.plan.steps),
        )?;
        rows = best_rows(pipeline, rows, &conditionings)?;
    }
    let latents = match trial.rush {
        None => finished(pipeline, rows)?,
        Some(rush) => rushed(pipeline, rows, rush)?,
    };
    Ok(pipeline.decode(&latents.iter().collect::<Vec<_>>())?)
}

/// Moves every row as many steps on.
pub fn step(pipeline: &Pipeline, rows: &mut [Trajectory], steps: Steps) -> Result<()> {
    for _ in 0..steps {
        for moved in pipeline.step(&mut rows.iter_mut().collect::<Vec<_>>())? {
            moved?;
        }
    }
    Ok(())
}

/// Keeps of every caption's candidates, as many of each and one caption's after the other's, the one that
/// suits it best.
pub fn best_rows(
    pipeline: &Pipeline,
    rows: Vec<Trajectory>,
    conditionings: &[Conditioning],
) -> Result<Vec<Trajectory>> {
    let n_begun = rows.len() / conditionings.len().max(1);
    let mut rows = rows.into_iter();
    let mut kept = Vec::with_capacity(conditionings.len());
    for conditioning in conditionings {
        let candidates: Vec<Trajectory> = rows.by_ref().take(n_begun).collect();
        let best = pipeline.best_of(conditioning, &candidates.iter().collect::<Vec<_>>())?;
        kept.extend(candidates.into_iter().nth(best));
    }
    Ok(kept)
}

fn finished(pipeline: &Pipeline, mut rows: Vec<Trajectory>) -> Result<Vec<Latents>> {
    pipeline.finish(&mut rows.iter_mut().collect::<Vec<_>>())?;
    Ok(rows
        .iter()
        .map(Trajectory::latents)
        .collect::<Result<_, _>>()?)
}

/// As the runtime does where time runs out: fewer steps, or none and the estimate as it stands.
fn rushed(pipeline: &Pipeline, mut rows: Vec<Trajectory>, rush: Rush) -> Result<Vec<Latents>> {
    step(pipeline, &mut rows, rush.after)?;
    if rush.then > 0 {
        for row in &mut rows {
            pipeline.shorten(row, rush.then)?;
        }
        return finished(pipeline, rows);
    }
    let estimate = |row: &Trajectory| {
        row.denoised()?
            .context("there is no estimate before a step")
    };
    rows.iter().map(estimate).collect()
}

/// Returns `sha256:<hex>` of the weights that judge a family's pictures.
pub fn evaluator_digest(family: &Family) -> Result<String> {
    file_digest(&family.path.join("evaluator/model.safetensors"))
}

fn file_digest(path: &Path) -> Result<String> {
    Ok(format!("sha256:{}", digest::of_file(path)?))
}
