//! Does a step allocate nothing? Every allocation of the process is counted, whichever thread makes it,
//! so this is the only test of its binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use goldilocks::{
    catalog::{self, ModelId, SamplerKind},
    engine::{
        ImageSpec, Pipeline, Trajectory,
        ops::native::{Level, Native},
    },
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Steps that may allocate what later ones need.
const WARM_UP: u32 = 2;

const STEPS: u32 = 6;

fn hosted(n_threads: usize) -> Pipeline {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
    let catalog = catalog::load(&config).unwrap();
    let native = Native::new(Level::best(), n_threads);
    Pipeline::load_with(catalog.default_family(), native).unwrap()
}

fn begin(pipeline: &Pipeline, model: &str, sampler: SamplerKind) -> Trajectory {
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler,
        steps: STEPS,
        guidance_scale: 3.0,
        seed: 1,
        size: "128x128".parse().unwrap(),
        initial_noise: None,
    };
    let conditioning = pipeline.encode(&["a red heart"], "").unwrap().remove(0);
    let model = ModelId(model.into());
    pipeline.begin(&model, &spec, conditioning).unwrap()
}

fn steps(pipeline: &Pipeline, row: &mut Trajectory, n: u32) {
    for _ in 0..n {
        pipeline.step(&mut [&mut *row]).unwrap().remove(0).unwrap();
    }
}

#[test]
fn from_the_third_step_on_nothing_is_allocated_on_any_thread() {
    let sites = Path::new(env!("CARGO_TARGET_TMPDIR")).join("allocations.json");
    for n_threads in [1, 2] {
        let pipeline = hosted(n_threads);
        for model in ["emoji-c8", "emoji-c32"] {
            for sampler in SamplerKind::ALL {
                let mut row = begin(&pipeline, model, sampler);
                steps(&pipeline, &mut row, WARM_UP);
                let counting = dhat::Profiler::builder()
                    .testing()
                    .file_name(&sites)
                    .build();
                steps(&pipeline, &mut row, STEPS - WARM_UP);
                let found = dhat::HeapStats::get();
                // Where it fails, `sites` says where the allocations are.
                let what = format!("{model}, {sampler}, {n_threads} threads");
                dhat::assert_eq!((found.total_blocks, found.total_bytes), (0, 0), "{}", what);
                drop(counting);
            }
        }
    }
}
