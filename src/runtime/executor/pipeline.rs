//! How does the work run on a real device? The families that live there, each a pipeline of the engine, and
//! the trajectories that are on their way.

use std::collections::HashMap;

use super::{
    Decoded, DrawError, Executor, LoadExecutor, OnLoaded, Picture, Ranked, RowKey, Stepped, Texts,
};
use crate::{
    catalog::{Catalog, DeviceSpec, Family, ModelId},
    engine::{
        EngineError,
        image::Pixels,
        ops::native::Level,
        pipeline::{Pipeline, Trajectory},
        preview::LatentColors,
    },
    planner::{CostTable, Plan, SizeCost},
    runtime::{Job, JobId, Parameters},
    units::{Flops, ImageSize, Memory, Steps},
};

mod begun;

use begun::Begun;

/// Which implementation does the arithmetic on the processor; part of what a measured latency is valid
/// for.
pub fn backend() -> String {
    format!("native {}", Level::best())
}

/// The families of one device, and what is on its way there.
#[derive(Debug)]
struct PipelineExecutor {
    hosted: Vec<Hosted>,
    jobs: HashMap<JobId, Begun>,
}

#[derive(Debug)]
struct Hosted {
    family: Family,
    pipeline: Pipeline,
    costs: CostTable,
    colors: LatentColors,
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
        Ok(Box::new(PipelineExecutor {
            hosted: hosted?,
            jobs: HashMap::new(),
        }))
    })
}

/// Writes a picture as the file that its job asks for, with the parameters that reproduce it.
pub fn encode_file(job: &Job, plan: &Plan, picture: &Picture) -> Result<Vec<u8>, String> {
    let parameters = Parameters::of(job, plan, picture.seed, picture.steps_run);
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
    fn encode_text(&mut self, id: JobId, job: &Job, plan: &Plan) -> Result<Texts, DrawError> {
        let model = &plan.model;
        let mut hosted = self.hosted.iter();
        let family = hosted.position(|hosted| hosted.family.model(&model.0).is_some());
        let family =
            family.ok_or_else(|| DrawError(format!("model {model} is not on this device")))?;
        let (begun, texts) = Begun::new(family, &self.hosted[family], job, plan)?;
        self.jobs.insert(id, begun);
        Ok(texts)
    }

    fn begin(&mut self, row: RowKey, seed: u64) -> Result<(), DrawError> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, row.job)?;
        begun.begin(hosted, row, seed)
    }

    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let (begun, _) = found(&mut self.jobs, &self.hosted, first.job)?;
        let hosted = &self.hosted[begun.family];
        // Out of the books for the step: one evaluation borrows rows of several jobs.
        let mut out: Vec<Trajectory> = Vec::with_capacity(rows.len());
        for row in rows {
            let begun = self.jobs.get_mut(&row.job);
            let Some(trajectory) = begun.and_then(|begun| begun.take(*row)) else {
                self.put_back(rows, out);
                return Err(DrawError(format!("there is no trajectory of {row:?}")));
            };
            out.push(trajectory);
        }
        let costs = self.jobs[&first.job].costs(hosted)?;
        let charges: Vec<Stepped> = out.iter().map(|row| hosted.charge(row, costs)).collect();
        let moved = hosted
            .pipeline
            .step(&mut out.iter_mut().collect::<Vec<_>>());
        self.put_back(rows, out);
        let moved = moved?.into_iter().zip(charges);
        Ok(moved
            .map(|(moved, charge)| moved.map(|()| charge).map_err(DrawError::from))
            .collect())
    }

    fn rank(
        &mut self,
        job: JobId,
        picture: usize,
        candidates: &[u32],
    ) -> Result<Ranked, DrawError> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, job)?;
        begun.rank(hosted, picture, candidates)
    }

    fn decode(&mut self, row: RowKey) -> Result<Decoded, DrawError> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, row.job)?;
        let (decoded, latents) = begun.decode(hosted, row)?;
        let pixels = Pixels {
            size: begun.plan.size,
            rgb: decoded.picture.rgb.clone(),
        };
        let family = begun.family;
        self.hosted[family].colors.learn(&latents, &pixels);
        Ok(decoded)
    }

    fn shorten(&mut self, row: RowKey, left: Steps) -> Result<(), DrawError> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, row.job)?;
        Ok(hosted.pipeline.shorten(begun.row(row)?, left)?)
    }

    fn move_up(&mut self, row: RowKey, plan: &Plan) -> Result<(), DrawError> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, row.job)?;
        let pipeline = &hosted.pipeline;
        pipeline.restage(begun.row(row)?, &plan.stages, &plan.model)?;
        begun.plan = plan.clone();
        Ok(())
    }

    fn preview(&mut self, row: RowKey) -> Option<Picture> {
        let (begun, hosted) = found(&mut self.jobs, &self.hosted, row.job).ok()?;
        begun.preview(hosted, row)
    }

    fn end(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    fn forget(&mut self, prompt: &str) {
        for hosted in &self.hosted {
            hosted.pipeline.forget_text(prompt);
        }
    }

    fn memory(&self) -> Memory {
        let hosted = self.hosted.iter();
        hosted.map(|hosted| hosted.pipeline.memory()).sum()
    }
}

impl PipelineExecutor {
    fn put_back(&mut self, rows: &[RowKey], out: Vec<Trajectory>) {
        for (row, trajectory) in rows.iter().zip(out) {
            if let Some(begun) = self.jobs.get_mut(&row.job) {
                begun.put(*row, trajectory);
            }
        }
    }
}

/// A job that has begun, and its family.
fn found<'a>(
    jobs: &'a mut HashMap<JobId, Begun>,
    hosted: &'a [Hosted],
    id: JobId,
) -> Result<(&'a mut Begun, &'a Hosted), DrawError> {
    let missing = || DrawError(format!("the device knows no job {}", id.0));
    let begun = jobs.get_mut(&id).ok_or_else(missing)?;
    let hosted = &hosted[begun.family];
    Ok((begun, hosted))
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
            colors: LatentColors::default(),
        })
    }

    /// What a trajectory's next step costs.
    fn charge(&self, row: &Trajectory, costs: &SizeCost) -> Stepped {
        let nfe = row.next_nfe();
        Stepped {
            nfe,
            flops: self.evaluation(row.model(), costs) * f64::from(nfe),
        }
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
        Self(error.to_string())
    }
}
