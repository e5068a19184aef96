//! A machine that is simulated: what would requests take on it?
//!
//! Its errors are those of real ones: all phases of a request are slower or faster together, each one a
//! little by itself, every request takes some time to wake threads, and now and then something else
//! runs for milliseconds, in long requests more often than in short ones.

use super::super::LatencyModel;
use crate::{
    catalog::ModelId,
    planner::{
        finished::{Finished, PhaseLap},
        phases::{PhaseKey, PhaseTimes},
    },
    units::{ImageSize, Millis},
};

/// Milliseconds of one step of each model, about as those of the default family.
const STEPS: [(&str, f64); 5] = [
    ("a", 0.6),
    ("b", 1.1),
    ("c", 2.9),
    ("b-few", 0.6),
    ("c-few", 1.5),
];
const TEXT: f64 = 0.4;
const DECODE: f64 = 8.2;
const ENCODE: f64 = 0.2;

pub(super) struct Machine {
    state: u64,
    pub(super) slowness: f64,
    /// Spread of what all phases of a request have in common, in log units.
    pub(super) noise: f64,
    /// Milliseconds besides the phases, on average.
    pub(super) overhead: f64,
    /// Milliseconds between stalls of 1 to 9 ms.
    pub(super) between_stalls: f64,
    /// Milliseconds more that a request may take to wake up.
    pub(super) wake: f64,
}

/// What is asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    pub(super) model: usize,
    pub(super) steps: u32,
    pub(super) n_images: u32,
    pub(super) is_new_text: bool,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        let mut machine = Self {
            state: seed,
            slowness: 1.0,
            noise: 0.04,
            overhead: 0.6,
            between_stalls: 600.0,
            wake: 1.0,
        };
        // The first numbers of neighbouring seeds are alike.
        for _ in 0..8 {
            machine.uniform();
        }
        machine
    }

    pub(super) fn uniform(&mut self) -> f64 {
        // A linear congruential generator, its upper bits (Knuth's MMIX constants).
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(super) fn normal(&mut self) -> f64 {
        let angle = std::f64::consts::TAU * self.uniform();
        (-2.0 * self.uniform().ln()).sqrt() * angle.cos()
    }

    /// From the floor to fifty steps of the largest model, one picture or two, half the prompts new.
    fn any(&mut self) -> Ask {
        let model = (self.uniform() * STEPS.len() as f64) as usize;
        let most: f64 = if model < 3 { 50.0 } else { 4.0 };
        Ask {
            model,
            steps: most.powf(self.uniform()).round() as u32,
            n_images: 1 + u32::from(self.uniform() < 0.3),
            is_new_text: self.uniform() < 0.5,
        }
    }

    pub(super) fn draws_any(&mut self) -> Finished {
        let ask = self.any();
        self.draws(ask)
    }

    pub(super) fn draws(&mut self, ask: Ask) -> Finished {
        let common = self.slowness * (self.noise * self.normal()).exp();
        let steps = ask.steps * ask.n_images;
        let phases = [
            (text(), u32::from(ask.is_new_text), TEXT),
            (step(ask.model), steps, STEPS[ask.model].1),
            (decode(), ask.n_images, DECODE),
            (encode(), ask.n_images, ENCODE),
        ];
        let mut laps = Vec::new();
        let mut whole = self.slowness * (self.overhead - self.wake * self.uniform().ln());
        for (of, n, ms) in phases {
            let quiet = ms * f64::from(n) * common * (0.03 * self.normal()).exp();
            let took = quiet + self.stalls(quiet);
            whole += took;
            laps.push(PhaseLap {
                of,
                n,
                took: Some(Millis(took)),
            });
        }
        laps.retain(|lap| lap.n > 0);
        Finished {
            laps,
            whole: Millis(whole),
            queue: Millis::ZERO,
        }
    }

    /// Something else runs, once for so much time; longer on a slow machine.
    fn stalls(&mut self, ms: f64) -> f64 {
        let mut stalled = 0.0;
        let mut until_next = -self.between_stalls * self.uniform().ln();
        while until_next < ms / self.slowness {
            stalled += self.slowness * (1.0 + 8.0 * self.uniform());
            until_next -= self.between_stalls * self.uniform().ln();
        }
        stalled
    }
}

/// The machine's own times, each off by up to `bias` in log units.
pub(super) fn table(machine: &mut Machine, bias: f64) -> PhaseTimes {
    let mut phases = PhaseTimes::default();
    let mut off = |ms: f64| Millis(ms * (bias * (2.0 * machine.uniform() - 1.0)).exp());
    phases.set_text("toy", off(TEXT));
    for (model, ms) in STEPS {
        phases.set_step(&ModelId(model.to_owned()), size(), 1, off(ms));
    }
    phases.set_decode("toy", size(), off(DECODE));
    phases.set_encode(size(), off(ENCODE));
    phases
}

/// How far the table's entries are off at most, in log units, once the machine's speed is left out.
pub(super) fn worst_entry(model: &LatencyModel) -> f64 {
    let truth = table(&mut Machine::new(0), 0.0);
    let known = model.phases().entries().iter();
    let mut ratios: Vec<f64> = known
        .map(|entry| (entry.ms.0 / truth.time(&entry.of).unwrap().0).ln())
        .collect();
    ratios.sort_by(f64::total_cmp);
    let common = ratios[ratios.len() / 2];
    (ratios[ratios.len() - 1] - common).max(common - ratios[0])
}

fn size() -> ImageSize {
    ImageSize {
        width: 128,
        height: 128,
    }
}

fn text() -> PhaseKey {
    let family = "toy".to_owned();
    PhaseKey::Text { family }
}

fn step(model: usize) -> PhaseKey {
    let model = ModelId(STEPS[model].0.to_owned());
    PhaseKey::Step {
        model,
        size: size(),
        rows: 1,
    }
}

fn decode() -> PhaseKey {
    PhaseKey::Decode {
        family: "toy".to_owned(),
        size: size(),
    }
}

fn encode() -> PhaseKey {
    PhaseKey::Encode { size: size() }
}
