//! What does `scripts/instructions.py` count the instructions of? One network, evaluated once on one
//! thread, or a hundred choices of a plan, after they ran often enough to have everything that is kept.

use std::hint::black_box;

use anyhow::{Context as _, bail};
use goldilocks::{
    engine::ops::native::{Level, Native},
    planner::{LatencyModel, Menus},
};

mod choices;
mod family;

use family::Job;

/// Evaluations before the one that counts: tables and memory are made in the first.
const WARM_UPS: usize = 2;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut job = match words.as_slice() {
        [level, "decode"] => family::decode(native(level)?, &family::default_family()?)?,
        [level, "unet", model, rows] => {
            let family = family::default_family()?;
            let model = family
                .model(model)
                .with_context(|| format!("no model {model:?}"))?;
            family::evaluation(native(level)?, &family, model, rows.parse()?)?
        }
        [_, "choices", n_candidates] => choices_of(n_candidates.parse()?)?,
        _ => {
            eprintln!("run by scripts/instructions.py, as `instructions LEVEL unet MODEL ROWS`");
            return Ok(());
        }
    };
    for _ in 0..WARM_UPS {
        job();
    }
    counted_evaluation(&mut job);
    Ok(())
}

/// A hundred mixed requests, from menus that are kept.
fn choices_of(n_candidates: usize) -> anyhow::Result<Job> {
    let scene = choices::scene(n_candidates);
    anyhow::ensure!(scene.n_candidates >= n_candidates, "too few candidates");
    let menus = Menus::new(&scene.planner, &scene.phases);
    let latency = LatencyModel::new(scene.phases);
    let requests = choices::requests(100);
    Ok(Box::new(move || {
        for (request, load) in &requests {
            drop(black_box(menus.choose(request, &latency, *load)));
        }
    }))
}

/// Callgrind counts from entering this function to leaving it, and finds it by its name.
#[inline(never)]
fn counted_evaluation(job: &mut Job) {
    job();
}

fn native(level: &str) -> anyhow::Result<Native> {
    let levels = Level::available();
    let Some(found) = levels.iter().find(|found| found.to_string() == level) else {
        bail!("level {level:?} is not one of {levels:?}");
    };
    Ok(Native::new(*found, 1))
}
