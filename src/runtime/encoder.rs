//! Who turns pictures into files? One thread beside the devices, so that none of them waits for it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use super::{
    Event, Finished, Job, JobError, Outcome, Picture, Rendered, Shared, agenda::Run, lane::Reply,
    worker::fault_text,
};
use crate::{
    planner::Plan,
    telemetry::{JobEnd, Phase, Wasted},
    units::{Millis, Moment},
};

/// What the thread is asked to do, in order.
pub(super) enum Chore {
    /// Show a picture on its way.
    Partial(Showing, u32),
    /// Write a finished picture.
    Picture(Showing, Run),
    /// Answer a job whose pictures are all written.
    Answer(Box<Finished>, Reply),
}

/// A picture and who wants to see it.
pub(super) struct Showing {
    pub(super) job: Arc<Job>,
    pub(super) plan: Plan,
    /// Its place among the job's.
    pub(super) place: usize,
    pub(super) picture: Picture,
    pub(super) files: Arc<Files>,
    pub(super) events: tokio::sync::mpsc::UnboundedSender<Event>,
}

/// The files of one job.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    /// With their places: pictures may be finished in another order.
    images: Vec<(usize, Rendered)>,
    took: Millis,
    fault: Option<JobError>,
}

impl Files {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread; it ends when the last sender is dropped.
pub(super) fn start(
    shared: Arc<Shared>,
    running: tokio::sync::mpsc::Sender<()>,
) -> io::Result<mpsc::Sender<Chore>> {
    let (sender, inbox) = mpsc::channel::<Chore>();
    let name = "encoder".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        for chore in inbox {
            match chore {
                Chore::Partial(showing, number) => shared.show(&showing, number),
                Chore::Picture(showing, run) => shared.write(&showing, run),
                Chore::Answer(finished, reply) => shared.answer(*finished, reply),
            }
        }
        drop(running);
    })?;
    Ok(sender)
}

impl Shared {
    fn encode(&self, showing: &Showing) -> Result<Vec<u8>, JobError> {
        let Showing {
            job, plan, picture, ..
        } = showing;
        let encode = self.settings.encode;
        match catch_unwind(AssertUnwindSafe(|| encode(job, plan, picture))) {
            Ok(encoded) => encoded.map_err(JobError::Failed),
            Err(fault) => {
                self.settings.metrics.worker_panicked();
                let fault = fault_text(&*fault);
                tracing::error!(fault, "the encoder failed on a picture");
                Err(JobError::Panicked)
            }
        }
    }

    /// A picture on its way that cannot be shown is no fault of the finished one.
    fn show(&self, showing: &Showing, number: u32) {
        if let Ok(file) = self.encode(showing) {
            let picture = showing.place;
            let partial = Event::Partial {
                picture,
                number,
                file,
            };
            showing.events.send(partial).ok();
        }
    }

    fn write(&self, showing: &Showing, run: Run) {
        let started = self.settings.clock.now();
        let encoded = self.encode(showing);
        let took = Millis::from(self.settings.clock.now().since(started));
        let mut files = showing.files.lock();
        files.took = files.took + took;
        match encoded {
            Ok(file) => {
                let rendered = Rendered {
                    file,
                    seed: showing.picture.seed,
                    steps_run: run.steps,
                    rush: run.rush,
                };
                if showing.job.wants_events {
                    let picture = showing.place;
                    let rendered = rendered.clone();
                    showing
                        .events
                        .send(Event::Picture { picture, rendered })
                        .ok();
                }
                files.images.push((showing.place, rendered));
            }
            Err(fault) => files.fault = Some(fault),
        }
    }

    fn answer(&self, finished: Finished, reply: Reply) {
        let files = Arc::clone(&reply.files);
        let mut files = files.lock();
        let metrics = &self.settings.metrics;
        let nfe = finished.tally.nfe;
        let outcome = match files.fault.take() {
            // Too late to stop it, but whoever cancelled was told that there will be nothing.
            _ if reply.is_unwanted() => Err(JobError::Cancelled),
            None => {
                let mut images = std::mem::take(&mut files.images);
                images.sort_by_key(|(place, _)| *place);
                let images = images.into_iter().map(|(_, image)| image).collect();
                let now = self.settings.clock.now();
                let outcome = outcome(finished, images, files.took, now);
                self.observe(&outcome);
                Ok(outcome)
            }
            Some(fault) => Err(fault),
        };
        drop(files);
        // Counted before it is sent, so that whoever has the reply finds it counted.
        let end = match &outcome {
            Err(JobError::Cancelled) => JobEnd::Cancelled,
            Err(_) => JobEnd::Failed,
            Ok(_) => JobEnd::Finished,
        };
        metrics.job_ended(end);
        match end {
            JobEnd::Failed => metrics.wasted(Wasted::Failed, nfe),
            JobEnd::Cancelled => metrics.wasted(Wasted::Cancelled, nfe),
            _ => {}
        }
        reply.send(outcome);
    }

    /// Reports a finished job.
    fn observe(&self, outcome: &Outcome) {
        let metrics = &self.settings.metrics;
        let images = outcome.images.iter();
        let degraded = images.filter(|image| image.rush.is_some()).count();
        let model = &outcome.decision.plan.model;
        metrics.drawn(&model.0, outcome.images.len(), degraded);
        let phases = outcome.phases;
        for (phase, took) in [
            (Phase::Text, phases.text),
            (Phase::Denoise, phases.denoise + phases.rank),
            (Phase::Decode, phases.decode),
            (Phase::Encode, phases.encode),
        ] {
            metrics.phase(phase, took);
        }
    }
}

fn outcome(finished: Finished, images: Vec<Rendered>, encode: Millis, answered: Moment) -> Outcome {
    let Finished {
        decision, tally, ..
    } = finished;
    let mut phases = tally.phases;
    phases.encode = encode;
    Outcome {
        images,
        decision,
        phases,
        answered,
        steps: tally.steps,
        nfe: tally.nfe,
        flops: tally.flops,
        texts_encoded: tally.texts_encoded,
        n_ranked: tally.n_ranked,
        tokens_cut: tally.tokens_cut,
    }
}
