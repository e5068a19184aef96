//! Tests of the noise schedule.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    alpha_bars: AlphaBars,
}

/// Made by `scripts/golden/samplers.py`: (timestep, alpha-bar in f32).
#[derive(Deserialize)]
struct AlphaBars {
    plain: Vec<(usize, f64)>,
    zero_snr: Vec<(usize, f64)>,
}

fn golden() -> AlphaBars {
    let text = include_str!("../../../tests/golden/samplers.json");
    serde_json::from_str::<Golden>(text).unwrap().alpha_bars
}

fn stable_diffusion() -> NoiseScheduleConfig {
    serde_json::from_str(
        r#"{"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
            "beta_schedule": "scaled_linear", "steps_offset": 1, "set_alpha_to_one": false,
            "clip_sample": false}"#,
    )
    .unwrap()
}

fn close(ours: f64, theirs: f64, relative: f64) {
    let error = (ours - theirs).abs() / theirs.abs();
    assert!(error < relative, "{ours} is not {theirs}: {error:e}");
}

#[test]
fn alpha_bar_is_that_of_diffusers() {
    let schedule = NoiseSchedule::new(&stable_diffusion()).unwrap();
    for (timestep, alpha_bar) in golden().plain {
        close(schedule.level(timestep).alpha.powi(2), alpha_bar, 2e-6);
    }
}

#[test]
fn rescaled_alpha_bar_is_that_of_diffusers() {
    let schedule = NoiseSchedule::new(&NoiseScheduleConfig {
        rescale_betas_zero_snr: true,
        ..stable_diffusion()
    })
    .unwrap();
    for (timestep, alpha_bar) in golden().zero_snr {
        // Near the end the f32 of diffusers cancels: 1e-4 of an alpha-bar below 1e-6.
        let tolerance = if timestep > 990 { 2e-3 } else { 1e-5 };
        close(schedule.level(timestep).alpha.powi(2), alpha_bar, tolerance);
    }
    assert_eq!(schedule.level(999).alpha, 0.0);
    assert_eq!(schedule.level(999).sigma, 1.0);
    assert_eq!(schedule.level(999).lambda(), f64::NEG_INFINITY);
    assert_eq!(schedule.clamped_level(999).alpha, 2f64.powi(-12));
    assert_eq!(schedule.clamped_level(998), schedule.level(998));
}

#[test]
fn levels_preserve_variance_and_get_noisier() {
    for rescale_betas_zero_snr in [false, true] {
        let schedule = NoiseSchedule::new(&NoiseScheduleConfig {
            rescale_betas_zero_snr,
            ..stable_diffusion()
        })
        .unwrap();
        let levels: Vec<Level> = (0..1000).map(|t| schedule.level(t)).collect();
        for level in &levels {
            let variance = level.alpha.powi(2) + level.sigma.powi(2);
            assert!((variance - 1.0).abs() < 1e-15, "{level:?}");
        }
        assert!(levels.is_sorted_by(|a, b| a.lambda() > b.lambda()));
    }
}

#[test]
fn the_end_of_a_trajectory_is_clean_or_timestep_0() {
    let config = stable_diffusion();
    let schedule = NoiseSchedule::new(&config).unwrap();
    assert_eq!(schedule.final_level(), schedule.level(0));
    let set_alpha_to_one = NoiseScheduleConfig {
        set_alpha_to_one: true,
        ..config
    };
    let schedule = NoiseSchedule::new(&set_alpha_to_one).unwrap();
    assert_eq!(schedule.final_level().lambda(), f64::INFINITY);
}

#[test]
fn timesteps_are_spread_as_in_table_2() {
    let schedule = NoiseSchedule::new(&stable_diffusion()).unwrap();
    let four = |spacing| schedule.timesteps(spacing, 4);
    assert_eq!(four(TimestepSpacing::Leading), [751.0, 501.0, 251.0, 1.0]);
    assert_eq!(
        four(TimestepSpacing::Trailing),
        [999.0, 749.0, 499.0, 249.0]
    );
    assert_eq!(four(TimestepSpacing::Linspace), [999.0, 666.0, 333.0, 0.0]);
    // Halves go to the even number: 937.5 -> 938, 812.5 -> 812.
    let sixteen = schedule.timesteps(TimestepSpacing::Trailing, 16);
    assert_eq!(sixteen[..4], [999.0, 937.0, 874.0, 811.0]);
}

#[test]
fn between_timesteps_the_noise_to_signal_ratio_is_a_straight_line() {
    let schedule = NoiseSchedule::new(&stable_diffusion()).unwrap();
    let ratio = |level: Level| level.sigma / level.alpha;
    let [low, high] = [499, 500].map(|timestep| ratio(schedule.level(timestep)));
    let level = schedule.interpolated_level(499.25);
    close(ratio(level), 0.75 * low + 0.25 * high, 1e-14);
    close(level.alpha.hypot(level.sigma), 1.0, 1e-14);
    assert_eq!(level.timestep, 499.25);
    assert_eq!(schedule.interpolated_level(999.0), schedule.level(999));
}

#[test]
fn refuses_what_is_not_a_schedule() {
    let refuse = |change: &dyn Fn(&mut NoiseScheduleConfig)| {
        let mut config = stable_diffusion();
        change(&mut config);
        NoiseSchedule::new(&config).unwrap_err()
    };
    assert_eq!(
        refuse(&|config| config.num_train_timesteps = 1),
        NoiseScheduleError::TooFewTimesteps(1)
    );
    assert_eq!(
        refuse(&|config| config.clip_sample = true),
        NoiseScheduleError::ClipsSample
    );
    for steps in [0, 1001] {
        let error = refuse(&|config| config.original_inference_steps = Some(steps));
        assert_eq!(
            error,
            NoiseScheduleError::OriginalSteps { steps, max: 1000 }
        );
    }
    for scaling in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let error = refuse(&|config| config.timestep_scaling = scaling);
        assert!(matches!(error, NoiseScheduleError::TimestepScaling(_)));
    }
    for (start, end) in [(0.0, 0.1), (0.2, 0.1), (0.1, 1.0), (f64::NAN, 0.1)] {
        let error = refuse(&|config| (config.beta_start, config.beta_end) = (start, end));
        assert!(matches!(error, NoiseScheduleError::Betas { .. }), "{error}");
    }
}
