//! Do the samplers do what diffusers' do? The numbers are made by `scripts/golden/samplers.py`.

use serde::Deserialize;

use super::super::*;
use crate::catalog::architecture::{NoiseScheduleConfig, Prediction};

#[derive(Deserialize)]
pub(super) struct Golden {
    start: Vec<f64>,
    pub(super) configs: Vec<NoiseScheduleConfig>,
    trajectories: Vec<GoldenTrajectory>,
    spacing: Vec<GoldenSpacing>,
}

#[derive(Deserialize)]
struct GoldenTrajectory {
    sampler: SamplerKind,
    config: usize,
    steps: Steps,
    timesteps: Vec<f64>,
    x: Option<Vec<f64>>,
    largest: Option<f64>,
}

#[derive(Deserialize)]
struct GoldenSpacing {
    sampler: SamplerKind,
    config: usize,
    sums: Vec<f64>,
    refused: Vec<Steps>,
}

pub(super) fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../tests/golden/samplers.json")).unwrap()
}

/// The script's stand-in for a network.
fn network(x: f64, timestep: f64, element: usize) -> f64 {
    0.6 * x + 0.4 * (0.01 * timestep + element as f64).sin()
}

/// The noise that the script gives after step `k`, counted from 1.
fn given_noise(k: usize, element: usize) -> f64 {
    1.5 * (2.3 * k as f64 + 1.7 * element as f64).cos()
}

fn run_network(steps: &[Step], start: f64, element: usize) -> f64 {
    let mut history = [0.0; 3];
    let mut x = start;
    for (k, step) in (1..).zip(steps) {
        let output = network(x, step.timestep, element);
        history = [step.denoise.denoised(x, output), history[0], history[1]];
        x = step.update.apply(x, history, given_noise(k, element));
    }
    x
}

/// Unrounded timesteps are f32 in diffusers, exactly these.
fn as_f32(timestep: f64) -> f64 {
    f64::from(timestep as f32)
}

/// Diffusers computes in f32, Euler's schedulers in f64. Measured: at most 2.4e-6 of the largest number on
/// the way; of Euler 2.1e-7, Euler ancestral 9.4e-7, DDPM 1.7e-6.
const TOLERANCE: f64 = 5e-6;

#[test]
fn trajectories_are_those_of_diffusers() {
    let golden = golden();
    let is_sample = |config: &&NoiseScheduleConfig| config.prediction_type == Prediction::Sample;
    // Euler ancestral is not to be had there.
    let n_refused = golden.configs.iter().filter(is_sample).count();
    let n_trajectories = (SamplerKind::ALL.len() * golden.configs.len() - n_refused) * 8;
    assert_eq!(golden.trajectories.len(), n_trajectories);
    for expected in &golden.trajectories {
        let name = format!(
            "{} {:?} {} steps",
            expected.sampler, golden.configs[expected.config], expected.steps
        );
        let schedule = NoiseSchedule::new(&golden.configs[expected.config]).unwrap();
        let steps = trajectory(expected.sampler, &schedule, expected.steps);
        let (Some(x), Some(largest)) = (&expected.x, expected.largest) else {
            assert!(
                matches!(steps, Err(SamplerError::NoSignal { .. })),
                "{name}"
            );
            continue;
        };
        let steps = steps.unwrap();
        let timesteps: Vec<f64> = steps.iter().map(|step| as_f32(step.timestep)).collect();
        assert_eq!(timesteps, expected.timesteps, "{name}");
        let scale = initial_scale(expected.sampler, &schedule, steps[0].level);
        for (element, theirs) in x.iter().enumerate() {
            let ours = run_network(&steps, scale * golden.start[element], element);
            let error = (ours - theirs).abs() / largest.max(1.0);
            assert!(error < TOLERANCE, "{name}: {ours} {theirs} {error:e}");
        }
    }
}

#[test]
fn every_step_count_is_spread_as_diffusers_does() {
    let golden = golden();
    for expected in &golden.spacing {
        let schedule = NoiseSchedule::new(&golden.configs[expected.config]).unwrap();
        let mut sums = [0.0; 20];
        for steps in 1..=1000 {
            let timesteps = timesteps(expected.sampler, &schedule, steps);
            assert_eq!(timesteps.is_err(), expected.refused.contains(&steps));
            for (idx, timestep) in timesteps.unwrap_or_default().into_iter().enumerate() {
                let weight = 31 * u64::from(steps) + 7 * idx as u64 + 1;
                sums[(steps as usize - 1) / 50] += weight as f64 * as_f32(timestep);
            }
        }
        let spacing = schedule.spacing();
        for (ours, theirs) in sums.iter().zip(&expected.sums) {
            // Fractions are added in another order.
            let is_same = (ours - theirs).abs() <= 1e-12 * theirs;
            assert!(is_same, "{} {spacing:?} {ours} {theirs}", expected.sampler);
        }
    }
}
