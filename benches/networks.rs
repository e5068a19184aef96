//! How long do whole networks take, natively at every level of instructions, and on candle?
//!
//! On as many threads as `RAYON_NUM_THREADS` says, or one for each core.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use goldilocks::{
    catalog::DeviceSpec,
    engine::{
        EngineError, device,
        ops::{
            candle::Candle,
            native::{Level, Native},
        },
    },
};

mod family;

use family::Job;

/// Rows of one evaluation: a picture, a guided one, four guided ones.
const ROWS: [usize; 3] = [1, 2, 8];

/// Loads a network on a backend: the level's, or candle where there is none.
type Load<'a> = dyn Fn(Option<Level>) -> Result<Job, EngineError> + 'a;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    let family = family::default_family()?;
    // A student costs what its teacher does.
    for model in family.models.iter().filter(|model| !model.distilled) {
        for rows in ROWS {
            let name = format!("{}-rows{rows}", model.id);
            compare(&mut criterion, "unet", &name, &|level| match level {
                Some(level) => family::evaluation(native(level), &family, model, rows),
                None => family::evaluation(candle()?, &family, model, rows),
            });
        }
    }
    compare(&mut criterion, "decoder", "rows1", &|level| match level {
        Some(level) => family::decode(native(level), &family),
        None => family::decode(candle()?, &family),
    });
    criterion.final_summary();
    Ok(())
}

/// Times one network on every backend.
fn compare(criterion: &mut Criterion, group: &str, name: &str, load: &Load<'_>) {
    let mut group = criterion.benchmark_group(group);
    group.sampling_mode(SamplingMode::Flat);
    let levels = Level::available().into_iter().map(Some);
    for level in levels.chain([None]) {
        let backend = level.map_or("candle".to_owned(), |level| level.to_string());
        group.bench_function(BenchmarkId::new(name, backend), |bencher| {
            let job = load(level).expect("the default family loads");
            bencher.iter(job);
        });
    }
}

fn native(level: Level) -> Native {
    Native::new(level, device::n_threads())
}

fn candle() -> Result<Candle, EngineError> {
    Ok(Candle::new(device::open(DeviceSpec::Cpu)?))
}
