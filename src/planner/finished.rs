//! What did a finished request take, phase by phase? What the latency model learns from.
//!
//! It is told of the steps that ran, not of the plan: a picture may have been shortened, moved to another
//! model on its way, or stepped together with others.

use super::phases::PhaseKey;
use crate::{
    catalog::{Family, ModelId},
    units::{ImageSize, Millis},
};

/// A request that waited for this share of its own time did not find the device idle.
const FOLLOWS: f64 = 0.5;

/// A finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub(super) laps: Vec<PhaseLap>,
    pub(super) whole: Millis,
    /// How long it waited.
    pub(super) queue: Millis,
}

/// All runs of one phase within a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PhaseLap {
    pub(super) of: PhaseKey,
    /// How often it ran.
    pub(super) n: u32,
    /// What they took together, if that is known.
    pub(super) took: Option<Millis>,
}

/// One evaluation that moved at least one picture of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct StepLap {
    /// Its model.
    pub model: ModelId,
    /// Its rows, those of other requests among them.
    pub rows: u32,
    /// What it took.
    pub took: Millis,
}

/// What ran.
#[derive(Debug, Clone, Copy)]
pub struct Ran<'a> {
    /// The family.
    pub family: &'a Family,
    /// Size of the pictures.
    pub size: ImageSize,
    /// Pictures that were decoded.
    pub n_images: u32,
    /// Prompts that the text encoder ran for; one that was kept from an earlier request took no time,
    /// and must not teach that texts take none.
    pub n_texts: u32,
    /// Latents that were compared with the prompt.
    pub n_ranked: u32,
}

/// The times that were measured, all pictures together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Took<'a> {
    /// Encoding the prompts.
    pub text: Millis,
    /// Each evaluation.
    pub steps: &'a [StepLap],
    /// Comparing candidates with the prompt.
    pub rank: Millis,
    /// Latents to pixels.
    pub decode: Millis,
    /// Pixels to files.
    pub encode: Millis,
    /// From the request, once all of it was there, to its reply, without the times that it waited.
    pub whole: Millis,
    /// Those times.
    pub queue: Millis,
}

impl Finished {
    /// Attributes what was measured to the phases that ran.
    pub fn new(ran: Ran<'_>, took: Took<'_>) -> Self {
        let size = ran.size;
        let family = &ran.family.id;
        let lap = |of, n, took| PhaseLap {
            of,
            n,
            took: Some(took),
        };
        let mut laps = vec![lap(PhaseKey::text(family), ran.n_texts, took.text)];
        for step in took.steps {
            let key = PhaseKey::step(&step.model, size, step.rows);
            add(&mut laps, key, step.took);
        }
        let (rank, decode) = (PhaseKey::rank(family, size), PhaseKey::decode(family, size));
        laps.push(lap(rank, ran.n_ranked, took.rank));
        laps.push(lap(decode, ran.n_images, took.decode));
        laps.push(lap(PhaseKey::Encode { size }, ran.n_images, took.encode));
        laps.retain(|lap| lap.n > 0);
        Self {
            laps,
            whole: took.whole,
            queue: took.queue,
        }
    }

    /// From the request, once all of it was there, to its reply, without the times that it waited.
    pub fn whole(&self) -> Millis {
        self.whole
    }

    /// Whether the device came to it straight from another one: it waited for a good part of the time that it
    /// took itself.
    pub(super) fn follows(&self) -> bool {
        self.queue.0 >= FOLLOWS * self.whole.0
    }

    /// What it took besides the phases: reading, planning, waking up, writing. None if some phase was
    /// not measured.
    pub(super) fn overhead(&self) -> Option<Millis> {
        let phases: Option<Millis> = self.laps.iter().map(|lap| lap.took).sum();
        Some(Millis((self.whole.0 - phases?.0).max(0.0)))
    }
}

/// Adds one run of a phase to the others of it.
fn add(laps: &mut Vec<PhaseLap>, of: PhaseKey, took: Millis) {
    match laps.iter_mut().find(|lap| lap.of == of) {
        Some(lap) => {
            lap.n += 1;
            lap.took = lap.took.map(|before| before + took);
        }
        None => laps.push(PhaseLap {
            of,
            n: 1,
            took: Some(took),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::test_family::family;

    fn steps(of: &[(&str, u32, f64)]) -> Vec<StepLap> {
        let lap = |(model, rows, ms): &(&str, u32, f64)| StepLap {
            model: ModelId((*model).into()),
            rows: *rows,
            took: Millis(*ms),
        };
        of.iter().map(lap).collect()
    }

    /// Two pictures, and two latents ranked for each.
    fn finished(n_texts: u32, steps: &[StepLap]) -> Finished {
        let family = family();
        let ran = Ran {
            family: &family,
            size: "64x64".parse().unwrap(),
            n_images: 2,
            n_texts,
            n_ranked: 4,
        };
        let took = Took {
            text: Millis(0.5),
            steps,
            rank: Millis(0.6),
            decode: Millis(20.0),
            encode: Millis(1.0),
            whole: Millis(64.5),
            queue: Millis::ZERO,
        };
        Finished::new(ran, took)
    }

    #[test]
    fn steps_are_told_by_model_and_rows_however_they_were_mixed() {
        let ran = [
            ("small", 2, 1.0),
            ("large", 2, 4.0),
            ("small", 2, 2.0),
            ("large", 6, 5.0),
            ("large", 2, 6.0),
        ];
        let told = finished(1, &steps(&ran));
        let of_steps: Vec<_> = told
            .laps
            .iter()
            .filter_map(|lap| match &lap.of {
                PhaseKey::Step { model, rows, .. } => {
                    Some((model.0.as_str(), *rows, lap.n, lap.took.unwrap().0))
                }
                _ => None,
            })
            .collect();
        assert_eq!(
            of_steps,
            [
                ("small", 2, 2, 3.0),
                ("large", 2, 2, 10.0),
                ("large", 6, 1, 5.0)
            ]
        );
    }

    #[test]
    fn candidates_teach_what_ranking_takes() {
        let told = finished(1, &[]);
        let is_rank = |lap: &&PhaseLap| matches!(lap.of, PhaseKey::Rank { .. });
        let rank = told.laps.iter().find(is_rank).unwrap();
        assert_eq!((rank.n, rank.took), (4, Some(Millis(0.6))));
    }

    #[test]
    fn what_no_phase_took_is_overhead() {
        let ran = steps(&[("large", 2, 39.4)]);
        let overhead = finished(1, &ran).overhead().unwrap();
        assert!((overhead.0 - 3.0).abs() < 1e-9, "{overhead:?}");
        // A text that was kept is no phase: looking it up is overhead.
        let kept = finished(0, &ran).overhead().unwrap();
        assert!((kept.0 - 3.5).abs() < 1e-9, "{kept:?}");
    }
}
