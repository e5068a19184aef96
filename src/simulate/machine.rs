//! What does a piece of work really take? What was predicted, times a random factor of the moment.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::Setup;
use crate::{
    planner::PhaseKey,
    runtime::agenda::{Agenda, Work},
    units::Millis,
};

/// Share of a factor's spread that neighboring pieces have in common: a busy machine is busy for a while.
const MEMORY: f64 = 0.9;

/// A machine whose times wander around what is expected.
#[derive(Debug)]
pub struct Machine {
    noise: f64,
    /// The logarithm of what all work takes more just now, in units of the noise.
    mood: f64,
    random: Pcg64,
}

impl Machine {
    /// A machine whose times are off by `noise` in log units, one standard deviation.
    pub fn new(noise: f64, seed: u64) -> Self {
        Self {
            noise,
            mood: 0.0,
            random: Pcg64::seed_from_u64(seed),
        }
    }

    /// True in so many of all cases.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability.clamp(0.0, 1.0))
    }

    /// What a piece of work takes that is expected to take so long.
    pub fn takes(&mut self, expected: Millis) -> Millis {
        let normal: f64 = StandardNormal.sample(&mut self.random);
        // An autoregressive process whose spread does not change.
        self.mood = MEMORY * self.mood + (1.0 - MEMORY * MEMORY).sqrt() * normal;
        expected * (self.noise * self.mood).exp()
    }
}

/// What a piece of work takes as the machine was measured. What the server has learned since is no part of it: a machine
/// that follows its own predictions goes astray with them.
pub(super) fn measured(setup: &Setup, agenda: &Agenda, work: &Work) -> Millis {
    let lead = work.lead();
    let Some((job, binding)) = agenda.job(lead).zip(agenda.binding(lead)) else {
        return Millis::ZERO;
    };
    let (family, size) = (setup.family.id.clone(), binding.plan().size);
    let phases = setup.latency.phases();
    let by_table = match work {
        Work::Text(_) => phases.text(&family),
        Work::Step { model, n_rows, .. } => phases.step(&job.models[*model], size, *n_rows),
        Work::Rank { candidates, .. } => {
            let each = phases.time(&PhaseKey::Rank { family, size });
            each.map(|each| each * candidates.len() as f64)
        }
        Work::Decode(_) => phases.time(&PhaseKey::Decode { family, size }),
    };
    let forecast = setup.latency.behind(Millis::ZERO);
    forecast.expected(by_table.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_wander_around_what_is_expected() {
        let mut machine = Machine::new(0.1, 7);
        let logs: Vec<f64> = (0..20_000)
            .map(|_| (machine.takes(Millis(5.0)).0 / 5.0).ln())
            .collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let spread = (logs.iter().map(|log| log * log).sum::<f64>() / n).sqrt();
        assert!(
            mean.abs() < 0.01 && (spread - 0.1).abs() < 0.01,
            "{mean} +- {spread}"
        );
    }

    #[test]
    fn without_noise_everything_is_as_expected() {
        let mut machine = Machine::new(0.0, 7);
        assert_eq!(machine.takes(Millis(5.0)), Millis(5.0));
    }
}
