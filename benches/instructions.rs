//! What does `scripts/instructions.py` count the instructions of? One network, evaluated once on one
//! thread, after it ran often enough to have everything that it keeps.

use anyhow::{Context as _, bail};
use goldilocks::engine::ops::native::{Level, Native};

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
