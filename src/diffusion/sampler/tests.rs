//! Tests of the samplers: the mathematics against an exact solution, the details against diffusers.

use super::*;
use crate::catalog::architecture::{NoiseScheduleConfig, Prediction};

mod diffusers;

use diffusers::golden;

/// Clean latents distributed as a Gaussian: the denoiser and the probability-flow trajectories are
/// known exactly.
const MEAN: f64 = 0.7;
const DEVIATION: f64 = 0.5;

/// Those that follow the probability flow, and draw nothing on the way.
const DETERMINISTIC: [SamplerKind; 3] =
    [SamplerKind::Ddim, SamplerKind::DpmPp2M, SamplerKind::Euler];

/// Those that draw from the posterior of the denoised latent.
const ANCESTRAL: [SamplerKind; 2] = [SamplerKind::EulerAncestral, SamplerKind::Ddpm];

fn deviation(level: Level) -> f64 {
    (level.alpha * DEVIATION).hypot(level.sigma)
}

fn denoise(x: f64, level: Level) -> f64 {
    let share = level.alpha * DEVIATION.powi(2) / deviation(level).powi(2);
    MEAN + share * (x - level.alpha * MEAN)
}

/// Where the trajectory through `x` at `from` passes `to`.
fn exact(x: f64, from: Level, to: Level) -> f64 {
    to.alpha * MEAN + (x - from.alpha * MEAN) * deviation(to) / deviation(from)
}

fn run_updates(kind: SamplerKind, levels: &[Level], start: f64) -> f64 {
    let schedule = NoiseSchedule::new(&golden().configs[0]).unwrap();
    let mut history = [0.0; 3];
    let mut x = start;
    for idx in 0..levels.len() - 1 {
        history = [denoise(x, levels[idx]), history[0], history[1]];
        let update = of_kind(kind).update(&schedule, &levels[..=idx], levels[idx + 1]);
        x = update.apply(x, history, 0.0);
    }
    x
}

/// `n` steps, even in lambda, from -3 to 3.
fn even_levels(n: usize) -> Vec<Level> {
    let level = |idx: usize| {
        let lambda = -3.0 + 6.0 * idx as f64 / n as f64;
        let alpha = (1.0 + (-2.0 * lambda).exp()).recip().sqrt();
        Level {
            alpha,
            sigma: alpha * (-lambda).exp(),
            timestep: 0.0,
        }
    };
    (0..=n).map(level).collect()
}

fn error(kind: SamplerKind, n: usize) -> f64 {
    let levels = even_levels(n);
    let reached = run_updates(kind, &levels, 1.3);
    (reached - exact(1.3, levels[0], levels[n])).abs()
}

#[test]
fn ddim_and_euler_are_of_first_and_dpmpp_2m_of_second_order() {
    for (kind, order) in DETERMINISTIC.into_iter().zip([1.0, 2.0, 1.0]) {
        for n in [80, 160, 320] {
            let slope = (error(kind, n) / error(kind, 2 * n)).log2();
            assert!((slope - order).abs() < 0.1, "{kind} {n}: order {slope}");
        }
    }
}

#[test]
fn every_deterministic_sampler_converges_on_a_training_schedule() {
    for kind in DETERMINISTIC {
        for zero_snr in [false, true] {
            let schedule = NoiseSchedule::new(&trailing_velocity(zero_snr)).unwrap();
            let error = |steps: Steps| {
                let steps = trajectory(kind, &schedule, steps).unwrap();
                let reached = run_velocity(&steps, 1.3);
                (reached - exact(1.3, steps[0].level, Level::CLEAN)).abs()
            };
            let errors = [10, 20, 50, 100, 200, 500].map(error);
            assert!(errors.is_sorted_by(|a, b| a > b), "{kind} {errors:?}");
            assert!(errors[5] < 6e-3, "{kind} {errors:?}");
        }
    }
}

fn run_velocity(steps: &[Step], start: f64) -> f64 {
    let mut history = [0.0; 3];
    let mut x = start;
    for step in steps {
        let Level { alpha, sigma, .. } = step.level;
        let velocity = (alpha * x - denoise(x, step.level)) / sigma;
        history = [step.denoise.denoised(x, velocity), history[0], history[1]];
        x = step.update.apply(x, history, 0.0);
    }
    x
}

fn trailing_velocity(zero_snr: bool) -> NoiseScheduleConfig {
    NoiseScheduleConfig {
        prediction_type: Prediction::Velocity,
        rescale_betas_zero_snr: zero_snr,
        timestep_spacing: Some(TimestepSpacing::Trailing),
        ..golden().configs[0].clone()
    }
}

#[test]
fn every_step_is_one_evaluation() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for kind in SamplerKind::ALL {
        for steps in [1, 2, 7, schedule.max_steps(kind) as Steps] {
            let n = trajectory(kind, &schedule, steps).unwrap().len();
            assert_eq!(n as Nfe, of_kind(kind).nfe(steps), "{kind}");
        }
    }
}

#[test]
fn coefficients_are_finite_and_reach_no_further_back_than_the_trajectory() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for kind in SamplerKind::ALL {
        for (idx, step) in trajectory(kind, &schedule, 20).unwrap().iter().enumerate() {
            let Update {
                a,
                b: [b0, b1, b2],
                c,
            } = step.update;
            assert!([a, b0, b1, b2, c].iter().all(|weight| weight.is_finite()));
            assert!(step.update.n_denoised() <= idx + 1, "{kind} {step:?}");
            let draws = !DETERMINISTIC.contains(&kind) && idx < 19;
            assert_eq!(step.update.is_stochastic(), draws, "{kind} {idx}");
        }
    }
}

#[test]
fn a_second_order_step_out_of_pure_noise_falls_back_to_first_order() {
    let pure_noise = Level {
        alpha: 0.0,
        sigma: 1.0,
        timestep: 999.0,
    };
    let [from, next] = [even_levels(4)[1], even_levels(4)[2]];
    let schedule = NoiseSchedule::new(&golden().configs[0]).unwrap();
    let update = of_kind(SamplerKind::DpmPp2M).update(&schedule, &[pure_noise, from], next);
    assert_eq!(update.a, ddim::first_order(from, next).a);
    assert_eq!(update.b[0], ddim::first_order(from, next).b[0]);
    assert_eq!(update.b[1], 0.0);
}

#[test]
fn refuses_step_counts_outside_the_schedule() {
    let schedule = NoiseSchedule::new(&golden().configs[0]).unwrap();
    for (kind, max) in SamplerKind::ALL
        .into_iter()
        .zip([1000, 1000, 1000, 1000, 1000, 50])
    {
        for steps in [0, max as Steps + 1, Steps::MAX] {
            let error = trajectory(kind, &schedule, steps).unwrap_err();
            assert_eq!(error, SamplerError::StepsOutOfRange { steps, max });
        }
    }
    let message = trajectory(SamplerKind::Ddim, &schedule, 0)
        .unwrap_err()
        .to_string();
    assert_eq!(message, "step count 0 is outside 1..=1000");
}

#[test]
fn refuses_to_read_noise_out_of_pure_noise() {
    let schedule = NoiseSchedule::new(&NoiseScheduleConfig {
        prediction_type: Prediction::Epsilon,
        ..trailing_velocity(true)
    })
    .unwrap();
    let error = trajectory(SamplerKind::Ddim, &schedule, 4).unwrap_err();
    assert!(matches!(
        error,
        SamplerError::NoSignal {
            timestep: 999.0,
            ..
        }
    ));
}

// === Ancestral ===

/// Mean and deviation of what trajectories from pure noise end in with the exact denoiser.
fn moments(steps: &[Step]) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, 1.0);
    for step in steps {
        // Everything is linear in x: the coefficients of x' are those of one and of no x.
        let update = |x: f64| {
            step.update
                .apply(x, [denoise(x, step.level), 0.0, 0.0], 0.0)
        };
        let slope = update(1.0) - update(0.0);
        mean = update(mean);
        variance = variance * slope.powi(2) + step.update.c.powi(2);
    }
    (mean, variance.sqrt())
}

#[test]
fn ancestral_samplers_approach_the_data_s_mean_and_deviation() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for kind in ANCESTRAL {
        let apart = |steps: Steps| {
            let (mean, deviation) = moments(&trajectory(kind, &schedule, steps).unwrap());
            // The mean is right at any number of steps; the posterior of a point is too narrow.
            assert!((mean - MEAN).abs() < 1e-3, "{kind} {steps}: {mean}");
            assert!(deviation < DEVIATION, "{kind} {steps}: {deviation}");
            DEVIATION - deviation
        };
        let apart = [10, 20, 50, 100, 200, 500, 1000].map(apart);
        assert!(apart.is_sorted_by(|a, b| a > b), "{kind} {apart:?}");
        assert!(apart[6] < 6e-3, "{kind} {apart:?}");
    }
}

/// SplitMix64 (Steele et al., OOPSLA 2014), and Box and Muller's transform of it.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn gaussian(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[test]
fn many_ancestral_draws_have_the_mean_and_the_deviation_that_their_coefficients_say() {
    const DRAWS: usize = 20_000;
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for kind in ANCESTRAL {
        let steps = trajectory(kind, &schedule, 200).unwrap();
        let mut random = Random(11);
        let mut xs: Vec<f64> = (0..DRAWS).map(|_| random.gaussian()).collect();
        for step in &steps {
            let Level { alpha, sigma, .. } = step.level;
            for x in &mut xs {
                let velocity = (alpha * *x - denoise(*x, step.level)) / sigma;
                let denoised = step.denoise.denoised(*x, velocity);
                *x = step
                    .update
                    .apply(*x, [denoised, 0.0, 0.0], random.gaussian());
            }
        }
        let n = DRAWS as f64;
        let mean = xs.iter().sum::<f64>() / n;
        let variance = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let (expected, deviation) = moments(&steps);
        // Four standard errors.
        let limit = 4.0 * deviation / n.sqrt();
        assert!((mean - expected).abs() < limit, "{kind}: {mean}");
        assert!((mean - MEAN).abs() < limit, "{kind}: {mean}");
        let limit = 4.0 * deviation.powi(2) * (2.0 / n).sqrt();
        let apart = variance - deviation.powi(2);
        assert!(apart.abs() < limit, "{kind}: {variance}");
        // Two hundred steps leave the deviation within a twentieth of the data's.
        assert!((variance.sqrt() / DEVIATION - 1.0).abs() < 0.05, "{kind}");
    }
}

#[test]
fn euler_s_ancestral_steps_go_down_and_up_as_k_diffusion_s_do() {
    let [from, to] = [even_levels(4)[1], even_levels(4)[2]];
    let ratio = |level: Level| level.sigma / level.alpha;
    let (s, next) = (ratio(from), ratio(to));
    let up = (next.powi(2) * (s.powi(2) - next.powi(2)) / s.powi(2)).sqrt();
    let down = (next.powi(2) - up.powi(2)).sqrt();
    let (y, denoised, noise) = (1.7, 0.4, -0.9);
    let expected = y + (y - denoised) / s * (down - s) + up * noise;
    let schedule = NoiseSchedule::new(&golden().configs[0]).unwrap();
    let update = of_kind(SamplerKind::EulerAncestral).update(&schedule, &[from], to);
    let found = update.apply(y * from.alpha, [denoised, 0.0, 0.0], noise) / to.alpha;
    assert!((found - expected).abs() < 1e-14, "{found} {expected}");
}

#[test]
fn euler_starts_from_its_first_sigma_but_for_leading_spacing() {
    let first = Level {
        alpha: 0.8,
        sigma: 0.6,
        timestep: 500.0,
    };
    for (config, scale) in golden().configs.iter().zip([1.0, 1.0, 1.0, 1.0, 0.6]) {
        let schedule = NoiseSchedule::new(config).unwrap();
        for kind in [SamplerKind::Euler, SamplerKind::EulerAncestral] {
            assert_eq!(initial_scale(kind, &schedule, first), scale);
        }
        for kind in [SamplerKind::Ddim, SamplerKind::DpmPp2M, SamplerKind::Ddpm] {
            assert_eq!(initial_scale(kind, &schedule, first), 1.0);
        }
    }
}

// === Consistency ===

/// Mean and variance of what a trajectory from pure noise ends in, if the network is a perfect
/// consistency model of the Gaussian: it says where the probability flow through x ends.
fn spread(steps: &[Step]) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, 1.0);
    for step in steps {
        let end = |x: f64| exact(x, step.level, Level::CLEAN);
        // Everything is linear in x: the coefficients of x' are those of one and of no x.
        let update = |x: f64| step.update.apply(x, [end(x), 0.0, 0.0], 0.0);
        let slope = update(1.0) - update(0.0);
        mean = update(mean);
        variance = variance * slope.powi(2) + step.update.c.powi(2);
    }
    (mean, variance)
}

#[test]
fn a_perfect_consistency_model_draws_from_the_data_at_any_number_of_steps() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for steps in [1, 2, 3, 4, 8, 50] {
        let (mean, variance) = spread(&trajectory(SamplerKind::Lcm, &schedule, steps).unwrap());
        // The boundary condition lets a little of the noise through, most at the lowest timestep.
        assert!((mean - MEAN).abs() < 1e-4, "{steps}: {mean}");
        let deviation = variance.sqrt();
        assert!((deviation - DEVIATION).abs() < 1e-4, "{steps}: {deviation}");
    }
}

#[test]
fn at_timestep_0_a_consistency_model_is_what_it_is_given() {
    let schedule = NoiseSchedule::new(&NoiseScheduleConfig {
        original_inference_steps: Some(1000),
        ..trailing_velocity(true)
    })
    .unwrap();
    let steps = trajectory(SamplerKind::Lcm, &schedule, 1000).unwrap();
    let last = steps[999];
    assert_eq!(last.timestep, 0.0);
    assert_eq!((last.update.a, last.update.b), (1.0, [0.0; 3]));
}

#[test]
fn a_shortened_trajectory_keeps_what_is_behind_it_and_still_ends_clean() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    for kind in SamplerKind::ALL {
        let whole = trajectory(kind, &schedule, 16).unwrap();
        let rushed = shortened(kind, &schedule, &whole, 8, 3).unwrap();
        assert_eq!(rushed.len(), 11);
        assert_eq!(rushed[..8], whole[..8], "{kind}");
        assert_eq!(rushed[8].level, whole[8].level, "it goes on where it stood");
        assert_eq!(rushed[10].to, whole[15].to);
        for pair in rushed[8..].windows(2) {
            assert_eq!(pair[0].to, pair[1].level, "{kind}");
            assert!(pair[0].level.timestep > pair[1].level.timestep);
        }
        let same = shortened(kind, &schedule, &whole, 8, 8).unwrap();
        assert_eq!(same, whole, "as many steps as there are change nothing");
    }
}

#[test]
fn a_trajectory_can_be_shortened_more_than_once() {
    let schedule = NoiseSchedule::new(&trailing_velocity(true)).unwrap();
    let whole = trajectory(SamplerKind::DpmPp2M, &schedule, 16).unwrap();
    let once = shortened(SamplerKind::DpmPp2M, &schedule, &whole, 4, 6).unwrap();
    let twice = shortened(SamplerKind::DpmPp2M, &schedule, &once, 6, 1).unwrap();
    assert_eq!(twice.len(), 7);
    assert_eq!(twice[..6], once[..6]);
    assert_eq!(twice[6].to, Level::CLEAN);
}
