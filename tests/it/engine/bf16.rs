//! How near does the default family come to diffusers when its products are bf16? And is a picture the
//! same in any company then?

use goldilocks::{
    catalog::Dtype,
    engine::ops::native::{Bf16, Level, Native},
};

use super::{
    family::{catalog, draw, hosted_in, unet},
    golden::drawn,
    parity::l2_error,
    sameness::expect_same_bits_of,
};

/// Relative L2 error that the end of a trajectory may have: bf16 has 8 bits, and guidance enlarges what a
/// step rounds off.
const LATENT_TOLERANCE: f64 = 0.05;

/// Whether there is anything to test; says so if not.
fn is_there() -> bool {
    let is_there = Bf16::detect().is_some();
    if !is_there {
        eprintln!("SKIPPED: this processor has no AVX-512 with BF16");
    }
    is_there
}

#[test]
fn trajectories_in_bf16_end_near_those_of_diffusers() {
    if !is_there() {
        return;
    }
    let pipeline = hosted_in(Native::default(), Dtype::Bf16);
    let golden = drawn("emoji");
    for card in &catalog().default_family().models {
        let sampler = card.samplers()[0];
        let facts = &golden.facts;
        let step_counts = if card.distilled {
            &facts.distilled_steps
        } else {
            &facts.steps
        };
        for &steps in step_counts {
            let row = draw(&pipeline, &golden, card, sampler, steps);
            let name = format!("{}.{sampler}.{steps}.latents", unet(card));
            let expected = golden.tensors.read(&name).unwrap().1;
            let error = l2_error(row.latents().unwrap().values(), &expected);
            eprintln!("{name}: {error:.1e}");
            assert!(error < LATENT_TOLERANCE, "{name}: {error:.1e}");
        }
    }
}

#[test]
fn a_trajectory_in_bf16_has_the_same_bits_in_any_company_on_any_threads() {
    if !is_there() {
        return;
    }
    let hosted = |n_threads| hosted_in(Native::new(Level::best(), n_threads), Dtype::Bf16);
    expect_same_bits_of("bf16", hosted, &["c32"]);
}

#[test]
fn models_in_bf16_take_less_memory_and_others_of_the_family_stay_f32() {
    if !is_there() {
        return;
    }
    let [f32s, bf16s] =
        [Dtype::F32, Dtype::Bf16].map(|dtype| hosted_in(Native::new(Level::best(), 1), dtype));
    let (whole, half) = (f32s.memory().packed, bf16s.memory().packed);
    assert!(half < whole && whole < 2 * half, "{half} of {whole} bytes");
    // `auto` that nobody resolved is f32.
    let auto = hosted_in(Native::new(Level::best(), 1), Dtype::Auto);
    assert_eq!(auto.memory().packed, whole);
}
