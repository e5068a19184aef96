//! How does a job run on a real device? The families that live there, each a pipeline of the engine.
//!
//! The pictures of a job run one after another: on a CPU a batch gains nothing, and a cancelled job
//! stops after the step of one picture.

use std::ops::ControlFlow;

use super::{Boundary, DrawError, Drawn, Executor, LoadExecutor, OnBoundary, OnLoaded, Picture};
use crate::{
    catalog::{Catalog, DeviceSpec, Family, ModelId},
    engine::{
        EngineError,
        image::{Parameters, Pixels},
        ops::native::Level,
        pipeline::{Conditioning, ImageSpec, Pipeline, Trajectory},
    },
    planner::{CostTable, SizeCost},
    runtime::Job,
    units::{Flops, ImageSize, Memory},
};

/// Which implementation does the arithmetic on the processor; part of what a measured latency is valid
/// for.
pub fn backend() -> String {
    format!("native {}", Level::best())
}

/// The families of one device.
#[derive(Debug)]
struct PipelineExecutor {
    hosted: Vec<Hosted>,
}

#[derive(Debug)]
struct Hosted {
    family: Family,
    pipeline: Pipeline,
    costs: CostTable,
}

/// Returns every device that the catalog names, with the families that live there.
pub fn devices(catalog: &Catalog) -> Vec<(DeviceSpec, Vec<Family>)> {
    let mut devices: Vec<(DeviceSpec, Vec<Family>)> = Vec::new();
    for family in &catalog.families {
        // All models of a family share a device; the catalog checks it.
        let device = family.models[0].device;
        match devices.iter_mut().find(|(known, _)| *known == device) {
            Some((_, families)) => families.push(family.clone()),
            None => devices.push((device, vec![family.clone()])),
        }
    }
    devices
}

/// Returns what loads these families, on the thread that will draw with them.
pub fn loading(families: Vec<Family>) -> LoadExecutor {
    Box::new(move |on_loaded| {
        let hosted: Result<_, String> = families
            .into_iter()
            .map(|family| Hosted::load(family, on_loaded))
            .collect();
        Ok(Box::new(PipelineExecutor { hosted: hosted? }))
    })
}

/// Encodes a picture as PNG, with the parameters that reproduce it.
pub fn encode_png(job: &Job, picture: &Picture) -> Result<Vec<u8>, String> {
    let size = ImageSize {
        width: picture.width,
        height: picture.height,
    };
    let parameters = Parameters {
        prompt: &job.prompt,
        negative_prompt: &job.negative_prompt,
        steps: picture.steps_run,
        sampler: job.plan.sampler,
        guidance_scale: job.plan.guidance_scale,
        seed: picture.seed,
        size,
        model: &job.plan.model.0,
    };
    let pixels = Pixels {
        size,
        rgb: picture.rgb.clone(),
    };
    let file = pixels.to_png(Some(&parameters.text()));
    file.map_err(|error| error.to_string())
}

impl Executor for PipelineExecutor {
    fn draw(&mut self, job: &Job, on_boundary: &mut OnBoundary<'_>) -> Result<Drawn, DrawError> {
        let model = &job.plan.model;
        let hosts = |hosted: &&Hosted| hosted.family.model(&model.0).is_some();
        let hosted = self.hosted.iter().find(hosts);
        let hosted = hosted
            .ok_or_else(|| DrawError::Failed(format!("model {model} is not on this device")))?;
        hosted.draw(job, on_boundary)
    }

    fn rank(&mut self, family: &str, prompt: &str, size: ImageSize) -> Result<(), DrawError> {
        let hosted = self.hosted.iter().find(|hosted| hosted.family.id == family);
        let missing = || DrawError::Failed(format!("family {family:?} is not on this device"));
        hosted.ok_or_else(missing)?.rank(prompt, size)
    }

    fn forget(&mut self) {
        for hosted in &self.hosted {
            hosted.pipeline.forget_texts();
        }
    }

    fn memory(&self) -> Memory {
        let hosted = self.hosted.iter();
        hosted.map(|hosted| hosted.pipeline.memory()).sum()
    }
}

impl Hosted {
    fn load(family: Family, on_loaded: &mut OnLoaded<'_>) -> Result<Self, String> {
        let pipeline = Pipeline::load(&family)
            .map_err(|error| format!("family {:?} cannot be loaded: {error}", family.id))?;
        family.models.iter().for_each(|model| on_loaded(&model.id));
        Ok(Self {
            costs: CostTable::of(&family),
            pipeline,
            family,
        })
    }

    fn draw(&self, job: &Job, on_boundary: &mut OnBoundary<'_>) -> Result<Drawn, DrawError> {
        let mut reached = |boundary| match on_boundary(boundary) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(DrawError::Stopped),
        };
        let size = job.plan.size;
        let costs = self.costs.at(size);
        let costs =
            costs.ok_or_else(|| DrawError::Failed(format!("size {size} is not on offer")))?;
        let conditioning = self
            .pipeline
            .encode(&[&job.prompt], &job.negative_prompt)?
            .remove(0);
        reached(Boundary::Text)?;
        let mut pictures = Vec::with_capacity(job.seeds.len());
        let (mut nfe, mut flops) = (0, self.costs.text * f64::from(conditioning.n_encoded()));
        for seed in &job.seeds {
            let mut row = self.begin(job, *seed, conditioning.clone())?;
            while !row.is_finished() {
                nfe += row.next_nfe();
                flops = flops + self.evaluation(row.model(), costs) * f64::from(row.next_nfe());
                self.step(&mut row)?;
                reached(Boundary::Step)?;
            }
            let pixels = self.pipeline.decode(&[row.latents()])?.remove(0);
            flops = flops + costs.decode;
            reached(Boundary::Decode)?;
            pictures.push(Picture {
                width: pixels.size.width,
                height: pixels.size.height,
                rgb: pixels.rgb,
                seed: *seed,
                steps_run: row.steps_done(),
            });
        }
        Ok(Drawn {
            flops,
            pictures,
            nfe,
            texts_encoded: conditioning.n_encoded(),
            tokens_cut: conditioning.n_truncated(),
        })
    }

    fn begin(&self, job: &Job, seed: u64, text: Conditioning) -> Result<Trajectory, DrawError> {
        let spec = ImageSpec {
            stages: job.plan.stages.clone(),
            sampler: job.plan.sampler,
            steps: job.plan.steps,
            guidance_scale: job.plan.guidance_scale,
            guidance_interval: job.plan.guidance_interval,
            seed,
            candidate: 0,
            size: job.plan.size,
            initial_noise: None,
        };
        Ok(self.pipeline.begin(&job.plan.model, &spec, text)?)
    }

    fn step(&self, row: &mut Trajectory) -> Result<(), DrawError> {
        let moved = self.pipeline.step(&mut [row])?;
        moved.into_iter().try_for_each(|row| Ok(row?))
    }

    fn rank(&self, prompt: &str, size: ImageSize) -> Result<(), DrawError> {
        let conditioning = self.pipeline.encode(&[prompt], "")?.remove(0);
        let latents = self.pipeline.blank(size)?;
        self.pipeline.rank(&conditioning, &[&latents])?;
        Ok(())
    }

    /// Operations of one evaluation of a model.
    fn evaluation(&self, model: &ModelId, costs: &SizeCost) -> Flops {
        let mut models = self.family.models.iter();
        let place = models.position(|card| card.id == *model);
        costs.evaluations[place.expect("a trajectory's models are the family's")]
    }
}

impl From<EngineError> for DrawError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.to_string())
    }
}
