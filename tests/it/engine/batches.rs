//! Is a picture the same alone and in any company, and does a bad row fail alone?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    diffusion::GuidanceInterval,
    engine::{EngineError, ImageSpec, Latents, Pipeline, Trajectory},
    units::ImageSize,
};

use super::{
    golden::{Golden, unet_id},
    parity::{LATENT_TOLERANCE, l2_error},
};

fn spec(sampler: SamplerKind, steps: u32, guidance_scale: f64, seed: u64) -> ImageSpec {
    ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler,
        steps,
        guidance_scale,
        seed,
        size: ImageSize {
            width: 64,
            height: 64,
        },
        initial_noise: None,
    }
}

fn begin(pipeline: &Pipeline, prompt: &str, spec: &ImageSpec) -> Trajectory {
    let conditioning = pipeline.encode(&[prompt], "").unwrap().remove(0);
    pipeline.begin(&unet_id(), spec, conditioning).unwrap()
}

#[test]
fn a_row_is_the_same_alone_and_among_rows_of_other_plans() {
    let plans = [
        ("a red cat", spec(SamplerKind::Ddim, 2, 7.5, 1)),
        ("grass", spec(SamplerKind::DpmPp2M, 5, 1.0, 2)),
        ("two dogs on a mat", spec(SamplerKind::DpmPp2M, 3, 3.0, 3)),
        ("a red cat", spec(SamplerKind::Lcm, 4, 1.0, 4)),
    ];
    for model in ["sd2", "bk-tiny"] {
        let pipeline = Golden::open(model).pipeline();
        let start = || {
            plans
                .each_ref()
                .map(|(prompt, spec)| begin(&pipeline, prompt, spec))
        };
        let (mut alone, mut together) = (start(), start());
        for row in &mut alone {
            pipeline.finish(&mut [row]).unwrap();
        }
        pipeline.finish(&mut together.each_mut()).unwrap();
        for (one, other) in alone.iter().zip(&together) {
            assert_eq!(
                one.latents().unwrap(),
                other.latents().unwrap(),
                "{model} {}",
                one.seed()
            );
        }
    }
}

#[test]
fn pictures_decoded_together_are_those_decoded_alone() {
    let pipeline = Golden::open("sd1").pipeline();
    let rows = [1, 2, 3].map(|seed| {
        let mut row = begin(&pipeline, "cat", &spec(SamplerKind::Ddim, 1, 1.0, seed));
        pipeline.finish(&mut [&mut row]).unwrap();
        row
    });
    let latents = rows.each_ref().map(|row| row.latents().unwrap());
    let together = pipeline.decode(&latents.each_ref()).unwrap();
    for (row, picture) in rows.iter().zip(together) {
        let alone = pipeline
            .decode(&[&row.latents().unwrap()])
            .unwrap()
            .remove(0);
        assert_eq!(alone.rgb, picture.rgb);
    }
}

/// A device that computes rows together rounds by how many they are.
#[test]
fn on_candle_a_row_is_nearly_the_same_whoever_joins_and_leaves() {
    let golden = Golden::open("sd1");
    let pipeline = golden.pipeline_on_candle();
    let guided_at_first = ImageSpec {
        guidance_interval: Some(GuidanceInterval {
            sigma_low: 1.0,
            sigma_high: None,
        }),
        ..spec(SamplerKind::DpmPp2M, 6, 4.0, 9)
    };
    let samplers = SamplerKind::ALL.into_iter().zip(1..);
    let plans = samplers.map(|(sampler, place)| {
        let guidance = if place % 2 == 0 { 1.0 } else { 3.0 };
        spec(sampler, place + 1, guidance, place.into())
    });
    let plans: Vec<ImageSpec> = plans.chain([guided_at_first]).collect();
    let alone = plans.iter().map(|plan| {
        let mut row = begin(&pipeline, "a red cat", plan);
        pipeline.finish(&mut [&mut row]).unwrap();
        row.latents().unwrap()
    });
    let alone: Vec<Latents> = alone.collect();

    // One more at every step; the shortest ones are gone before the last one comes.
    let mut together: Vec<Trajectory> = Vec::new();
    let mut plans = plans.iter();
    loop {
        let joins = plans.next();
        together.extend(joins.map(|plan| begin(&pipeline, "a red cat", plan)));
        let running = together.iter_mut().filter(|row| !row.is_finished());
        let mut running: Vec<&mut Trajectory> = running.collect();
        if running.is_empty() {
            break;
        }
        for moved in pipeline.step(&mut running).unwrap() {
            moved.unwrap();
        }
    }
    assert_eq!(together.len(), alone.len());
    for (row, alone) in together.iter().zip(&alone) {
        let error = l2_error(row.latents().unwrap().values(), alone.values());
        assert!(error < LATENT_TOLERANCE, "{}: {error:.1e}", row.seed());
    }
}

#[test]
fn a_row_that_is_not_finite_fails_alone() {
    let golden = Golden::open("sd1");
    expect_failure_of_one(&golden.pipeline());
    expect_failure_of_one(&golden.pipeline_on_candle());
}

fn expect_failure_of_one(pipeline: &Pipeline) {
    let good = spec(SamplerKind::Ddim, 2, 3.0, 1);
    let bad = ImageSpec {
        initial_noise: Some(vec![f32::INFINITY; 256]),
        seed: 13,
        ..good.clone()
    };
    let (mut good, mut bad) = (begin(pipeline, "cat", &good), begin(pipeline, "cat", &bad));
    let moved = pipeline.step(&mut [&mut good, &mut bad]).unwrap();
    assert!(moved[0].is_ok());
    let fault = moved[1].as_ref().unwrap_err();
    assert!(
        matches!(fault, EngineError::NonFinite { seed: 13, .. }),
        "{fault}"
    );
    let latents = good.latents().unwrap();
    assert!(latents.values().iter().all(|value| value.is_finite()));
}

#[test]
fn a_trajectory_is_moved_on_by_the_backend_that_began_it() {
    let golden = Golden::open("sd1");
    let plan = spec(SamplerKind::Ddim, 2, 3.0, 1);
    let mut row = begin(&golden.pipeline(), "cat", &plan);
    let fault = golden.pipeline_on_candle().step(&mut [&mut row]);
    let fault = fault.unwrap_err();
    assert!(matches!(fault, EngineError::OtherBackend), "{fault}");
    assert_eq!(row.steps_done(), 0);
}

#[test]
fn the_same_seed_starts_from_the_same_noise_under_every_plan() {
    let pipeline = Golden::open("sd1").pipeline();
    let one = begin(&pipeline, "cat", &spec(SamplerKind::Ddim, 2, 3.0, 7));
    let other = begin(&pipeline, "dog", &spec(SamplerKind::DpmPp2M, 9, 1.0, 7));
    assert_eq!(one.latents().unwrap(), other.latents().unwrap());
}

#[test]
fn the_noise_of_a_step_depends_on_seed_and_step_alone() {
    let pipeline = Golden::open("sd1").pipeline();
    let draw = |seed: u64, steps: u32| {
        let plan = spec(SamplerKind::Lcm, 3, 1.0, seed);
        // The same start, so that only what is added on the way differs.
        let plan = ImageSpec {
            initial_noise: Some(vec![0.5; 256]),
            ..plan
        };
        let mut row = begin(&pipeline, "cat", &plan);
        for _ in 0..steps {
            pipeline.step(&mut [&mut row]).unwrap().remove(0).unwrap();
        }
        row.latents().unwrap()
    };
    assert_eq!(draw(7, 3), draw(7, 3));
    assert_ne!(draw(7, 1), draw(8, 1));
}

#[test]
fn what_cannot_be_drawn_is_refused_before_it_starts() {
    let pipeline = Golden::open("sd1").pipeline();
    let fine = spec(SamplerKind::Ddim, 2, 3.0, 1);
    let refuse = |model: &str, spec: &ImageSpec| {
        let conditioning = pipeline.encode(&["cat"], "").unwrap().remove(0);
        let fault = pipeline.begin(&ModelId(model.into()), spec, conditioning);
        fault.unwrap_err().to_string()
    };
    assert!(refuse("other", &fine).contains("loaded: unet"));
    let size = |width, height| ImageSpec {
        size: ImageSize { width, height },
        ..fine.clone()
    };
    assert!(refuse("unet", &size(60, 64)).contains("multiples of 8"));
    assert!(refuse("unet", &size(64, 0)).contains("multiples of 8"));
    let guidance = spec(SamplerKind::Ddim, 2, f64::NAN, 1);
    assert!(refuse("unet", &guidance).contains("guidance"));
    let steps = spec(SamplerKind::Ddim, 0, 3.0, 1);
    assert!(refuse("unet", &steps).contains("step count 0"));
    let steps = spec(SamplerKind::Lcm, 51, 1.0, 1);
    assert!(refuse("unet", &steps).contains("step count 51 is outside 1..=50"));
    let noise = ImageSpec {
        initial_noise: Some(vec![0.0; 3]),
        ..fine
    };
    assert!(refuse("unet", &noise).contains("256"));
}

#[test]
fn rows_that_cannot_share_an_evaluation_are_refused_together() {
    let pipeline = Golden::open("sd1").pipeline();
    let square = spec(SamplerKind::Ddim, 1, 3.0, 1);
    let wide = ImageSpec {
        size: ImageSize {
            width: 128,
            height: 64,
        },
        ..square.clone()
    };
    let (mut square, mut wide) = (
        begin(&pipeline, "cat", &square),
        begin(&pipeline, "cat", &wide),
    );
    let fault = pipeline.step(&mut [&mut square, &mut wide]).unwrap_err();
    assert!(matches!(fault, EngineError::MixedBatch { .. }), "{fault}");
    pipeline.finish(&mut [&mut square]).unwrap();
    let fault = pipeline.step(&mut [&mut square]).unwrap_err();
    assert!(matches!(fault, EngineError::Finished { .. }), "{fault}");
    assert!(pipeline.step(&mut []).unwrap().is_empty());
}
