//! How far is a plan's picture from the dearest plan's? Two judges: one keeps latents, one compares with
//! them. Nothing is decoded.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};

use super::score;
use crate::{
    calibrate::{
        captions::EvaluationCaption,
        price,
        sweep::{Judge, Measured},
        trial::Trial,
    },
    catalog::{Dtype, Family, ModelCard, ModelId, digest},
    engine::{ImageSpec, Pipeline, Trajectory},
    evaluator::{Assessment, Attributes},
    planner::{CostTable, Plan},
};

/// A loaded family. As a judge it answers with the latents themselves, in channel, line, column order.
#[derive(Debug)]
pub(super) struct Drawing<'a> {
    family: &'a Family,
    pipeline: Pipeline,
    digests: BTreeMap<ModelId, String>,
    prompts_digest: &'a str,
    costs: CostTable,
}

impl<'a> Drawing<'a> {
    /// Loads every model of the family.
    pub(super) fn load(family: &'a Family, prompts_digest: &'a str) -> Result<Self> {
        let digest_of = |card: &ModelCard| {
            let alone = Family {
                models: vec![card.clone()],
                ..family.clone()
            };
            let mut digest = digest::of_family(&alone)?;
            if card.dtype == Dtype::Bf16 {
                digest += " bf16";
            }
            Ok((card.id.clone(), digest))
        };
        let digests = family.models.iter().map(digest_of);
        Ok(Self {
            family,
            digests: digests.collect::<Result<_>>()?,
            prompts_digest,
            pipeline: Pipeline::load(family)?,
            costs: CostTable::of(family),
        })
    }

    /// Draws one row of latents for each caption, all in the same evaluations.
    fn latents(&self, plan: &Plan, captions: &[EvaluationCaption]) -> Result<Vec<Vec<f32>>> {
        let texts = captions.iter().map(|caption| caption.text.as_str());
        let texts = self.pipeline.encode(&texts.collect::<Vec<_>>(), "")?;
        let begin = |(caption, text): (&EvaluationCaption, _)| {
            let spec = ImageSpec::new(plan.route(), plan.size, caption.seed);
            self.pipeline.begin(&plan.model, &spec, text)
        };
        let rows = captions.iter().zip(texts).map(begin);
        let mut rows: Vec<Trajectory> = rows.collect::<Result<_, _>>()?;
        self.pipeline
            .finish(&mut rows.iter_mut().collect::<Vec<_>>())?;
        let latents = rows.iter().map(|row| Ok(row.latents()?.values().to_vec()));
        latents.collect()
    }

    fn digests(&self, plan: &Plan) -> String {
        let models = plan.models().map(|model| self.digests[model].as_str());
        models.collect::<Vec<_>>().join(" ")
    }
}

impl Judge for Drawing<'_> {
    fn judge(&self, trial: &Trial, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>> {
        let rows = self.latents(&trial.plan, captions)?;
        Ok(rows.into_iter().map(row).collect())
    }

    fn weights(&self, trial: &Trial) -> String {
        format!(
            "latents {} {}",
            self.digests(&trial.plan),
            self.prompts_digest
        )
    }

    /// Millions of operations; the decoder is counted with them and does not run.
    fn cost(&self, trial: &Trial) -> f64 {
        let flops = price::of_trial(self.family, &self.costs, trial);
        flops
            .expect("plans are of this family's models and sizes")
            .0
            / 1e6
    }
}

/// Compares with the latents of the dearest plan: one number for each caption.
#[derive(Debug)]
pub(super) struct Distances<'a> {
    drawing: &'a Drawing<'a>,
    /// By the seed of the caption.
    latents: HashMap<u64, Vec<f32>>,
    /// Names the dearest plan and everything its latents depend on.
    dearest: String,
}

impl<'a> Distances<'a> {
    /// Takes what the dearest plan drew for these captions.
    pub(super) fn to(
        drawing: &'a Drawing<'a>,
        captions: &[EvaluationCaption],
        dearest: &Measured,
    ) -> Self {
        let rows = captions.iter().zip(&dearest.assessments);
        Self {
            drawing,
            latents: rows
                .map(|(caption, drawn)| (caption.seed, drawn.features.clone()))
                .collect(),
            dearest: format!("{} {}", drawing.weights(&dearest.trial), dearest.trial),
        }
    }
}

impl Judge for Distances<'_> {
    fn judge(&self, trial: &Trial, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>> {
        let rows = self.drawing.latents(&trial.plan, captions)?;
        let compare = |(caption, latents): (&EvaluationCaption, Vec<f32>)| {
            let dearest = self.latents.get(&caption.seed);
            let dearest = dearest.context("the dearest plan drew other captions")?;
            let distance = score::distance(&latents, dearest).with_context(|| {
                format!(
                    "nothing can be compared with the picture of {:?}",
                    caption.text
                )
            })?;
            Ok(row(vec![distance as f32]))
        };
        captions.iter().zip(rows).map(compare).collect()
    }

    fn weights(&self, trial: &Trial) -> String {
        let (own, prompts) = (
            self.drawing.digests(&trial.plan),
            self.drawing.prompts_digest,
        );
        format!("distance {own} {prompts} to {}", self.dearest)
    }

    fn cost(&self, trial: &Trial) -> f64 {
        self.drawing.cost(trial)
    }
}

fn row(features: Vec<f32>) -> Assessment {
    Assessment {
        features,
        attributes: Attributes::new(),
    }
}
