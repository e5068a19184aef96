//! How does one job run on the engine? Picture after picture, candidate after candidate, counting what
//! really ran.

use super::{Hosted, step};
use crate::{
    engine::pipeline::{Conditioning, ImageSpec, Trajectory},
    planner::SizeCost,
    runtime::{
        Job,
        executor::{Boundary, DrawError, Drawn, Picture},
    },
    units::{Flops, Nfe, Steps},
};

/// Told of every boundary; an error ends the drawing there.
pub(super) type Reached<'a> = dyn FnMut(Boundary) -> Result<(), DrawError> + 'a;

/// A job on its way.
pub(super) struct Drawing<'a> {
    hosted: &'a Hosted,
    job: &'a Job,
    costs: &'a SizeCost,
    conditioning: Conditioning,
    reached: &'a mut Reached<'a>,
    nfe: Nfe,
    flops: Flops,
}

impl<'a> Drawing<'a> {
    /// Encodes the job's prompt.
    pub(super) fn begin(
        hosted: &'a Hosted,
        job: &'a Job,
        reached: &'a mut Reached<'a>,
    ) -> Result<Self, DrawError> {
        let size = job.plan.size;
        let costs = hosted.costs.at(size);
        let costs =
            costs.ok_or_else(|| DrawError::Failed(format!("size {size} is not on offer")))?;
        let texts = [job.prompt.as_str()];
        let conditioning = hosted.pipeline.encode(&texts, &job.negative_prompt)?;
        let conditioning = conditioning.into_iter().next();
        let conditioning = conditioning.expect("one prompt, one conditioning");
        reached(Boundary::Text)?;
        Ok(Self {
            flops: hosted.costs.text * f64::from(conditioning.n_encoded()),
            nfe: 0,
            hosted,
            job,
            costs,
            conditioning,
            reached,
        })
    }

    /// Draws a picture for each seed.
    pub(super) fn finish(mut self) -> Result<Drawn, DrawError> {
        let seeds = self.job.seeds.iter();
        let pictures: Result<_, _> = seeds.map(|seed| self.picture(*seed)).collect();
        Ok(Drawn {
            pictures: pictures?,
            nfe: self.nfe,
            flops: self.flops,
            texts_encoded: self.conditioning.n_encoded(),
            tokens_cut: self.conditioning.n_truncated(),
        })
    }

    fn picture(&mut self, seed: u64) -> Result<Picture, DrawError> {
        let mut row = self.best_row(seed)?;
        self.advance(&mut row, self.job.plan.steps)?;
        let decoded = self.hosted.pipeline.decode(&[row.latents()])?;
        let pixels = decoded.into_iter().next().expect("one latent, one picture");
        self.flops = self.flops + self.costs.decode;
        (self.reached)(Boundary::Decode)?;
        Ok(Picture {
            width: pixels.size.width,
            height: pixels.size.height,
            rgb: pixels.rgb,
            seed,
            steps_run: row.steps_done(),
        })
    }

    /// The picture to go on with: the one that is begun, or of several the one that suits the prompt best
    /// after the steps that all of them take.
    fn best_row(&mut self, seed: u64) -> Result<Trajectory, DrawError> {
        let Some(candidates) = self.job.plan.candidates else {
            return self.row(seed, 0);
        };
        let shared = candidates.shared_steps(self.job.plan.steps);
        let mut rows = Vec::with_capacity(candidates.n as usize);
        for candidate in 0..candidates.n {
            let mut row = self.row(seed, candidate)?;
            self.advance(&mut row, shared)?;
            rows.push(row);
        }
        let all: Vec<&Trajectory> = rows.iter().collect();
        let best = self.hosted.pipeline.best_of(&self.conditioning, &all)?;
        self.flops = self.flops + self.costs.rank * f64::from(candidates.n);
        (self.reached)(Boundary::Rank)?;
        Ok(rows.swap_remove(best))
    }

    fn row(&self, seed: u64, candidate: u32) -> Result<Trajectory, DrawError> {
        let plan = &self.job.plan;
        let spec = ImageSpec {
            stages: plan.stages.clone(),
            sampler: plan.sampler,
            steps: plan.steps,
            guidance_scale: plan.guidance_scale,
            guidance_interval: plan.guidance_interval,
            seed,
            candidate,
            size: plan.size,
            initial_noise: None,
        };
        let text = self.conditioning.clone();
        Ok(self.hosted.pipeline.begin(&plan.model, &spec, text)?)
    }

    /// Moves a picture on until it has taken so many steps.
    fn advance(&mut self, row: &mut Trajectory, until: Steps) -> Result<(), DrawError> {
        while !row.is_finished() && row.steps_done() < until {
            let evaluations = row.next_nfe();
            let each = self.hosted.evaluation(row.model(), self.costs);
            step(&self.hosted.pipeline, row)?;
            self.nfe += evaluations;
            self.flops = self.flops + each * f64::from(evaluations);
            (self.reached)(Boundary::Step)?;
        }
        Ok(())
    }
}
