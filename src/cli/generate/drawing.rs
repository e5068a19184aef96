//! How does a plan become pictures here? Step by step, all pictures in the same evaluations.

use anyhow::{Result, bail};

use super::{Args, noises::Noises};
use crate::{
    calibrate::studio,
    engine::{Conditioning, ImageSpec, Pipeline, Trajectory},
    planner::Plan,
    progress::Progress,
};

/// Draws a picture for each noise, up to its last step.
pub(super) fn draw(
    pipeline: &Pipeline,
    args: &Args,
    plan: &Plan,
    noises: Noises,
) -> Result<Vec<Trajectory>> {
    let texts = [args.prompt.as_str()];
    let text = pipeline.encode(&texts, &args.negative_prompt)?.remove(0);
    if text.n_truncated() > 0 {
        let cut = text.n_truncated();
        eprintln!("warning: the prompt is too long; its last {cut} tokens are ignored");
    }
    let texts = vec![text.clone(); noises.of_pictures.len()];
    let mut rows = begin(pipeline, args, plan, noises, &text)?;
    let compared_at = plan.candidates.map(|them| them.shared_steps(plan.steps));
    let progress = Progress::new("drawing", u64::from(plan.steps));
    for step in 1..=plan.steps {
        progress.say(format!("step {step} of {}", plan.steps));
        studio::step(pipeline, &mut rows, 1)?;
        if compared_at == Some(step) {
            rows = studio::best_rows(pipeline, rows, &texts)?;
        }
        progress.advance(1);
    }
    progress.finish();
    Ok(rows)
}

/// Begins every picture, as often as the plan has candidates.
fn begin(
    pipeline: &Pipeline,
    args: &Args,
    plan: &Plan,
    noises: Noises,
    text: &Conditioning,
) -> Result<Vec<Trajectory>> {
    let mut rows = Vec::new();
    for (index, initial_noise) in (0..).zip(noises.of_pictures) {
        let seed = args.seed.wrapping_add(index);
        if initial_noise.is_some() && plan.candidates.is_some() {
            bail!(
                "the plan keeps the best of {} pictures, which would all start from the noise of --latents; leave it out",
                plan.n_begun()
            );
        }
        for candidate in 0..plan.n_begun() {
            let spec = ImageSpec {
                candidate,
                initial_noise: initial_noise.clone(),
                ..ImageSpec::new(plan.route(), noises.size, seed)
            };
            rows.push(pipeline.begin(&plan.model, &spec, text.clone())?);
        }
    }
    Ok(rows)
}
