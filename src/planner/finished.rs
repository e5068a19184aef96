//! What did a finished request take, phase by phase? What the latency model learns from.

use super::{Plan, Workload, phases::PhaseKey};
use crate::{catalog::Family, units::Millis};

/// A finished request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub(super) laps: Vec<PhaseLap>,
    pub(super) whole: Millis,
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

/// What ran.
#[derive(Debug, Clone, Copy)]
pub struct Ran<'a> {
    /// The family.
    pub family: &'a Family,
    /// The plan of each picture.
    pub plan: &'a Plan,
    /// Pictures, one after another.
    pub n_images: u32,
    /// Prompts that the text encoder ran for; one that was kept from an earlier request took no time,
    /// and must not teach that texts take none.
    pub n_texts: u32,
}

/// The times that were measured, all pictures together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Took<'a> {
    /// Encoding the prompts.
    pub text: Millis,
    /// Each step, in order, one picture after another.
    pub steps: &'a [Millis],
    /// Comparing candidates with the prompt.
    pub rank: Millis,
    /// Latents to pixels.
    pub decode: Millis,
    /// Pixels to files.
    pub encode: Millis,
    /// From the request's head to its reply, without the queue.
    pub whole: Millis,
}

impl Finished {
    /// Attributes what was measured to the phases that ran; none if the plan is not the family's.
    pub fn new(ran: Ran<'_>, took: Took<'_>) -> Option<Self> {
        let workload = Workload::of(ran.plan, ran.family)?;
        let (size, n) = (ran.plan.size, ran.n_images);
        let family = || ran.family.id.clone();
        let lap = |of, n, took| PhaseLap { of, n, took };
        let text = PhaseKey::Text { family: family() };
        let mut laps = vec![lap(text, ran.n_texts, Some(took.text))];
        for (leg, took) in workload.legs.iter().zip(by_leg(&workload, n, took.steps)) {
            let model = ran.family.models[leg.model].id.clone();
            let rows = leg.rows;
            laps.push(lap(
                PhaseKey::Step { model, size, rows },
                leg.steps * n,
                took,
            ));
        }
        let rank = PhaseKey::Rank {
            family: family(),
            size,
        };
        laps.push(lap(rank, workload.n_ranked * n, Some(took.rank)));
        let decode = PhaseKey::Decode {
            family: family(),
            size,
        };
        laps.push(lap(decode, n, Some(took.decode)));
        laps.push(lap(PhaseKey::Encode { size }, n, Some(took.encode)));
        laps.retain(|lap| lap.n > 0);
        let whole = took.whole;
        Some(Self { laps, whole })
    }

    /// What it took besides the phases: reading, planning, waking up, writing. None if some phase was
    /// not measured.
    pub(super) fn overhead(&self) -> Option<Millis> {
        let phases: Option<Millis> = self.laps.iter().map(|lap| lap.took).sum();
        Some(Millis((self.whole.0 - phases?.0).max(0.0)))
    }
}

/// What each leg's steps took in all pictures; unknown where steps of several legs were not timed one
/// by one.
fn by_leg(workload: &Workload, n_images: u32, steps: &[Millis]) -> Vec<Option<Millis>> {
    let legs = &workload.legs;
    if legs.len() == 1 {
        return vec![Some(steps.iter().copied().sum())];
    }
    let of_picture: u32 = legs.iter().map(|leg| leg.steps).sum();
    if of_picture == 0 || steps.len() != (of_picture * n_images) as usize {
        return vec![None; legs.len()];
    }
    let mut took = vec![Millis::ZERO; legs.len()];
    for picture in steps.chunks(of_picture as usize) {
        let mut rest = picture;
        for (leg, took) in legs.iter().zip(&mut took) {
            let (its, others) = rest.split_at(leg.steps as usize);
            *took = *took + its.iter().copied().sum();
            rest = others;
        }
    }
    took.into_iter().map(Some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        diffusion::Stage,
        planner::{Candidates, test_family::family},
    };

    fn plan(stages: Vec<Stage>) -> Plan {
        let model = ModelId("large".into());
        let size = "64x64".parse().unwrap();
        let plain = Plan::plain(model, SamplerKind::Ddim, 4, 3.0, size);
        Plan { stages, ..plain }
    }

    fn finished(plan: &Plan, n_texts: u32, steps: &[f64]) -> Finished {
        let family = family();
        let steps: Vec<Millis> = steps.iter().copied().map(Millis).collect();
        let ran = Ran {
            family: &family,
            plan,
            n_images: 2,
            n_texts,
        };
        let took = Took {
            text: Millis(0.5),
            steps: &steps,
            rank: Millis(0.6),
            decode: Millis(20.0),
            encode: Millis(1.0),
            whole: Millis(64.5),
        };
        Finished::new(ran, took).unwrap()
    }

    fn steps_of(finished: &Finished) -> Vec<(&str, u32, Option<f64>)> {
        let laps = finished.laps.iter();
        laps.filter_map(|lap| match &lap.of {
            PhaseKey::Step { model, .. } => {
                Some((model.0.as_str(), lap.n, lap.took.map(|ms| ms.0)))
            }
            _ => None,
        })
        .collect()
    }

    #[test]
    fn candidates_teach_what_ranking_takes() {
        let best_of = Plan {
            candidates: Some(Candidates {
                n: 3,
                pruned_after: None,
            }),
            ..plan(Vec::new())
        };
        let told = finished(&best_of, 1, &[1.0; 24]);
        let rank = told
            .laps
            .iter()
            .find(|lap| matches!(lap.of, PhaseKey::Rank { .. }));
        let rank = rank.map(|lap| (lap.n, lap.took));
        assert_eq!(
            rank,
            Some((6, Some(Millis(0.6)))),
            "three for each of two pictures"
        );
        assert_eq!(steps_of(&told), [("large", 24, Some(24.0))]);
    }

    #[test]
    fn each_model_of_a_stitched_plan_is_told_its_own_steps() {
        let small = Stage {
            model: ModelId("small".into()),
            share: 0.25,
        };
        let plan = plan(vec![small]);
        let steps = [1.0, 4.0, 4.0, 4.0, 2.0, 5.0, 5.0, 5.0];
        let told = finished(&plan, 1, &steps);
        assert_eq!(
            steps_of(&told),
            [("small", 2, Some(3.0)), ("large", 6, Some(27.0))]
        );
        let untold = finished(&plan, 1, &[30.0]);
        assert_eq!(steps_of(&untold), [("small", 2, None), ("large", 6, None)]);
        assert_eq!(untold.overhead(), None);
    }

    #[test]
    fn what_no_phase_took_is_overhead() {
        let told = finished(&plan(Vec::new()), 1, &[5.0; 8]);
        assert_eq!(steps_of(&told), [("large", 8, Some(40.0))]);
        assert_eq!(told.overhead(), Some(Millis(3.0)));
        // A text that was kept is no phase: looking it up is overhead.
        let kept = finished(&plan(Vec::new()), 0, &[5.0; 8]);
        assert_eq!(kept.overhead(), Some(Millis(3.5)));
    }
}
