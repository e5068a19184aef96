//! How does a job run on a real device? The families that live there, each a pipeline of the engine.
//!
//! The pictures of a job run one after another: on a CPU a batch gains nothing, and a cancelled job
//! stops after the step of one picture.

use std::ops::ControlFlow;

use super::{DrawError, Drawn, Executor, LoadExecutor, OnBoundary, OnLoaded, Picture};
use crate::{
    catalog::{Catalog, DeviceSpec, Family, ModelId},
    engine::{
        EngineError,
        image::Pixels,
        ops::native::Level,
        pipeline::{Pipeline, Trajectory},
    },
    planner::{CostTable, SizeCost},
    runtime::{Job, Parameters},
    units::{Flops, ImageSize, Memory},
};

mod drawing;

use drawing::Drawing;

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

/// Writes a picture as the file that its job asks for, with the parameters that reproduce it.
pub fn encode_file(job: &Job, picture: &Picture) -> Result<Vec<u8>, String> {
    let parameters = Parameters::of(job, picture.seed, picture.steps_run);
    let pixels = Pixels {
        size: ImageSize {
            width: picture.width,
            height: picture.height,
        },
        rgb: picture.rgb.clone(),
    };
    let file = pixels.to_file(job.format, Some(&parameters.text()));
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
        Drawing::begin(self, job, &mut reached)?.finish()
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

/// Moves one picture one step on.
fn step(pipeline: &Pipeline, row: &mut Trajectory) -> Result<(), DrawError> {
    let moved = pipeline.step(&mut [row])?;
    moved.into_iter().try_for_each(|row| Ok(row?))
}

impl From<EngineError> for DrawError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.to_string())
    }
}
