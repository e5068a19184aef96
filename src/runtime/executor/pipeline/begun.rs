//! A job on the device: what its prompt says, and its trajectories.

use std::collections::HashMap;

use super::Hosted;
use crate::{
    engine::pipeline::{Conditioning, ImageSpec, Latents, Trajectory},
    planner::{Plan, SizeCost},
    runtime::{
        Job,
        executor::{Decoded, DrawError, Picture, Ranked, RowKey, Texts},
    },
};

#[derive(Debug)]
pub(super) struct Begun {
    /// Index into the device's families.
    pub(super) family: usize,
    pub(super) plan: Plan,
    conditioning: Conditioning,
    /// By picture and candidate.
    rows: HashMap<(usize, u32), Trajectory>,
}

impl Begun {
    /// Encodes a job's prompts.
    pub(super) fn new(
        family: usize,
        hosted: &Hosted,
        job: &Job,
        plan: &Plan,
    ) -> Result<(Self, Texts), DrawError> {
        let texts = [job.prompt.as_str()];
        let encoded = hosted.pipeline.encode(&texts, &job.negative_prompt)?;
        let conditioning = encoded.into_iter().next();
        let conditioning = conditioning.expect("one prompt, one conditioning");
        let texts = Texts {
            n_encoded: conditioning.n_encoded(),
            tokens_cut: conditioning.n_truncated(),
            flops: hosted.costs.text * f64::from(conditioning.n_encoded()),
        };
        let begun = Self {
            family,
            plan: plan.clone(),
            conditioning,
            rows: HashMap::new(),
        };
        begun.costs(hosted)?;
        Ok((begun, texts))
    }

    /// What its pictures cost.
    pub(super) fn costs<'h>(&self, hosted: &'h Hosted) -> Result<&'h SizeCost, DrawError> {
        let size = self.plan.size;
        let costs = hosted.costs.at(size);
        costs.ok_or_else(|| DrawError(format!("size {size} is not on offer")))
    }

    pub(super) fn begin(
        &mut self,
        hosted: &Hosted,
        row: RowKey,
        seed: u64,
    ) -> Result<(), DrawError> {
        let plan = &self.plan;
        let spec = ImageSpec {
            candidate: row.candidate,
            ..ImageSpec::new(plan.route(), plan.size, seed)
        };
        let text = self.conditioning.clone();
        let trajectory = hosted.pipeline.begin(&plan.model, &spec, text)?;
        self.put(row, trajectory);
        Ok(())
    }

    pub(super) fn row(&mut self, row: RowKey) -> Result<&mut Trajectory, DrawError> {
        let missing = || DrawError(format!("there is no trajectory of {row:?}"));
        self.rows
            .get_mut(&(row.picture, row.candidate))
            .ok_or_else(missing)
    }

    pub(super) fn take(&mut self, row: RowKey) -> Option<Trajectory> {
        self.rows.remove(&(row.picture, row.candidate))
    }

    pub(super) fn put(&mut self, row: RowKey, trajectory: Trajectory) {
        self.rows.insert((row.picture, row.candidate), trajectory);
    }

    /// Compares candidates by what they are heading for, and keeps the best one.
    pub(super) fn rank(
        &mut self,
        hosted: &Hosted,
        picture: usize,
        candidates: &[u32],
    ) -> Result<Ranked, DrawError> {
        let costs = self.costs(hosted)?;
        let rows = candidates.iter().map(|candidate| {
            let row = self.rows.get(&(picture, *candidate));
            row.ok_or_else(|| DrawError(format!("there is no candidate {candidate}")))
        });
        let rows: Vec<&Trajectory> = rows.collect::<Result<_, _>>()?;
        let best = hosted.pipeline.best_of(&self.conditioning, &rows)?;
        let best = candidates[best];
        self.rows
            .retain(|(its, candidate), _| *its != picture || *candidate == best);
        Ok(Ranked {
            best,
            flops: costs.rank * candidates.len() as f64,
        })
    }

    /// Decodes a trajectory and lets go of it; returns what was decoded too.
    pub(super) fn decode(
        &mut self,
        hosted: &Hosted,
        row: RowKey,
    ) -> Result<(Decoded, Latents), DrawError> {
        let flops = self.costs(hosted)?.decode;
        let missing = || DrawError(format!("there is no trajectory of {row:?}"));
        let trajectory = self.take(row).ok_or_else(missing)?;
        let latents = trajectory.heading_for()?;
        let pixels = hosted.pipeline.decode(&[&latents])?;
        let pixels = pixels.into_iter().next().expect("one latent, one picture");
        let picture = Picture {
            width: pixels.size.width,
            height: pixels.size.height,
            rgb: pixels.rgb,
            seed: trajectory.seed(),
            steps_run: trajectory.steps_done(),
        };
        Ok((Decoded { picture, flops }, latents))
    }

    pub(super) fn preview(&self, hosted: &Hosted, row: RowKey) -> Option<Picture> {
        let trajectory = self.rows.get(&(row.picture, row.candidate))?;
        let size = self.plan.size;
        let estimate = trajectory.heading_for().ok()?;
        let shown = hosted.colors.show(&estimate, size)?;
        Some(Picture {
            width: size.width,
            height: size.height,
            rgb: shown.rgb,
            seed: trajectory.seed(),
            steps_run: trajectory.steps_done(),
        })
    }
}
