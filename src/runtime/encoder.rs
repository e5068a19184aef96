//! Who turns pictures into files? One thread beside the devices, so that none of them waits for it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use super::{
    Drawn, Job, JobError, Outcome, Phases, Rendered, Shared,
    worker::{Reply, fault_text},
};
use crate::{telemetry::Phase, units::Millis};

/// A drawn job on its way to its ticket.
pub(super) struct Encoding {
    pub(super) job: Job,
    pub(super) drawn: Drawn,
    pub(super) phases: Phases,
    pub(super) steps: Vec<Millis>,
    pub(super) reply: Reply,
}

/// Starts the thread; it ends when the last sender is dropped.
pub(super) fn start(
    shared: Arc<Shared>,
    running: tokio::sync::mpsc::Sender<()>,
) -> io::Result<mpsc::Sender<Encoding>> {
    let (sender, inbox) = mpsc::channel::<Encoding>();
    let name = "encoder".to_owned();
    thread::Builder::new().name(name).spawn(move || {
        for encoding in inbox {
            encoding.finish(&shared);
        }
        drop(running);
    })?;
    Ok(sender)
}

impl Encoding {
    fn finish(self, shared: &Shared) {
        let Self {
            job,
            drawn,
            mut phases,
            steps,
            reply,
        } = self;
        let clock = &shared.settings.clock;
        let metrics = &shared.settings.metrics;
        let started = clock.now();
        let encoded = catch_unwind(AssertUnwindSafe(|| encode(shared, &job, &drawn)));
        phases.encode = Millis::from(clock.now().since(started));
        let outcome = match encoded {
            Ok(Ok(images)) => {
                shared.observe(&job, &drawn, &phases);
                Ok(Outcome {
                    images,
                    phases,
                    steps,
                    nfe: drawn.nfe,
                    flops: drawn.flops,
                    texts_encoded: drawn.texts_encoded,
                    tokens_cut: drawn.tokens_cut,
                })
            }
            Ok(Err(reason)) => {
                metrics.failed();
                Err(JobError::Failed(reason))
            }
            Err(fault) => {
                metrics.worker_panicked();
                tracing::error!(
                    fault = fault_text(&*fault),
                    "the encoder failed on a picture"
                );
                Err(JobError::Panicked)
            }
        };
        reply.send(shared, outcome);
    }
}

fn encode(shared: &Shared, job: &Job, drawn: &Drawn) -> Result<Vec<Rendered>, String> {
    let encode_one = |picture| {
        Ok(Rendered {
            file: (shared.settings.encode)(job, picture)?,
            seed: picture.seed,
            steps_run: picture.steps_run,
        })
    };
    drawn.pictures.iter().map(encode_one).collect()
}

impl Shared {
    /// Reports a finished job.
    fn observe(&self, job: &Job, drawn: &Drawn, phases: &Phases) {
        let metrics = &self.settings.metrics;
        metrics.drawn(
            &job.plan.model.0,
            drawn.pictures.len(),
            drawn.nfe,
            drawn.flops,
        );
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
