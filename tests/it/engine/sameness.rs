//! Is a whole picture the same, bit for bit, alone, in any batch and at any number of threads?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    engine::{
        ImageSpec, Pipeline, Trajectory,
        ops::native::{Level, Native},
    },
    units::Steps,
};

use super::family::hosted_with;

/// One picture: its sampler, steps, guidance and how many steps it is ahead when the others join.
type Plan = (SamplerKind, Steps, f64, Steps);

const PLANS: [Plan; 8] = [
    (SamplerKind::DpmPp2M, 4, 3.0, 2),
    (SamplerKind::Lcm, 4, 1.0, 1),
    (SamplerKind::Ddim, 5, 7.5, 1),
    (SamplerKind::DpmPp2M, 2, 1.0, 1),
    (SamplerKind::DpmPp2M, 6, 5.0, 0),
    (SamplerKind::Ddim, 4, 3.0, 3),
    (SamplerKind::Lcm, 3, 3.0, 0),
    (SamplerKind::Ddim, 2, 0.0, 0),
];

const PROMPTS: [&str; 3] = ["a red heart", "two dogs on grass", ""];

/// One of the plans at its start.
fn begin(pipeline: &Pipeline, model: &ModelId, index: usize) -> Trajectory {
    let (sampler, steps, guidance_scale, _) = PLANS[index];
    let prompts = [PROMPTS[index % PROMPTS.len()]];
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler,
        steps,
        guidance_scale,
        seed: index as u64,
        size: "128x128".parse().unwrap(),
        initial_noise: None,
    };
    let conditioning = pipeline.encode(&prompts, "blue").unwrap().remove(0);
    pipeline.begin(model, &spec, conditioning).unwrap()
}

/// Draws the first plans together, each from its own step on.
fn together(pipeline: &Pipeline, model: &ModelId, n: usize) -> Vec<Trajectory> {
    let mut rows: Vec<_> = (0..n).map(|row| begin(pipeline, model, row)).collect();
    for (row, (.., ahead)) in rows.iter_mut().zip(PLANS) {
        for _ in 0..ahead {
            pipeline.step(&mut [row]).unwrap().remove(0).unwrap();
        }
    }
    let mut all: Vec<_> = rows.iter_mut().collect();
    pipeline.finish(&mut all).unwrap();
    rows
}

fn expect_same_bits(level: Level, widths: &[&str]) {
    let hosted = |n_threads| hosted_with(Native::new(level, n_threads));
    expect_same_bits_of(&level.to_string(), hosted, widths);
}

/// Draws every plan alone on one thread, then in batches on one and two.
pub(crate) fn expect_same_bits_of(kind: &str, hosted: impl Fn(usize) -> Pipeline, widths: &[&str]) {
    let pipelines = [1, 2].map(hosted);
    for width in widths {
        let model = ModelId(format!("emoji-{width}"));
        let alone: Vec<_> = (0..PLANS.len())
            .map(|index| {
                let mut row = begin(&pipelines[0], &model, index);
                pipelines[0].finish(&mut [&mut row]).unwrap();
                row
            })
            .collect();
        for (n_threads, pipeline) in (1..).zip(&pipelines) {
            for n in [1, 2, 3, 8] {
                let rows = together(pipeline, &model, n);
                for (index, (row, alone)) in rows.iter().zip(&alone).enumerate() {
                    let same = row.latents().unwrap() == alone.latents().unwrap();
                    let what = format!("{kind} {width}, row {index} of {n}");
                    assert!(same, "{what}, {n_threads} threads");
                }
            }
        }
        expect_same_pictures(&pipelines, &alone);
    }
}

/// Decodes rows alone and together, on every number of threads.
fn expect_same_pictures(pipelines: &[Pipeline], rows: &[Trajectory]) {
    let latents = rows.iter().map(|row| row.latents().unwrap());
    let latents: Vec<_> = latents.collect();
    let latents: Vec<_> = latents.iter().collect();
    for pipeline in pipelines {
        let together = pipeline.decode(&latents).unwrap();
        for (latents, picture) in latents.iter().zip(together) {
            let alone = pipelines[0].decode(&[latents]).unwrap().remove(0);
            assert_eq!(alone.rgb, picture.rgb);
        }
    }
}

#[test]
fn a_trajectory_has_the_same_bits_in_any_company_on_any_threads() {
    expect_same_bits(Level::best(), &["c8", "c16", "c32"]);
}

#[test]
fn so_it_has_with_the_instructions_of_lesser_machines() {
    for level in Level::available().into_iter().skip(1) {
        expect_same_bits(level, &["c8"]);
    }
}
