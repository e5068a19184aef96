//! How are all plans measured in little time? Plan after plan, its captions shared by all threads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::Result;

use super::{captions::EvaluationCaption, store::Store, trial::Trial};
use crate::{evaluator::Assessment, progress::Progress};

/// Draws pictures and judges them.
pub trait Judge: Sync {
    /// Returns one assessment for each caption, in order.
    fn judge(&self, trial: &Trial, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>>;

    /// Names everything besides trial and captions that the assessments depend on.
    fn weights(&self, trial: &Trial) -> String;

    /// What one picture costs, in any unit; the progress bar counts in it.
    fn cost(&self, trial: &Trial) -> f64;
}

/// How a sweep goes about its work.
pub struct Sweep<'a> {
    /// Who draws and judges.
    pub judge: &'a dyn Judge,
    /// Where finished trials are kept.
    pub store: &'a Store,
    /// Whether those found there are measured again.
    pub fresh: bool,
    /// Threads that draw at the same time.
    pub threads: usize,
    /// Pictures a thread draws together.
    pub batch: usize,
    /// Whether time is up; asked before every batch.
    pub expired: &'a (dyn Fn() -> bool + Sync),
}

/// What trials draw.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// Said on the progress bar.
    pub name: &'a str,
    /// Tells sets of different captions apart in the store; empty for the ones that scores rest on.
    pub key: &'a str,
    /// The captions, each with its seed.
    pub captions: &'a [EvaluationCaption],
}

/// One measured trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What was run.
    pub trial: Trial,
    /// What came out, one for each caption in order.
    pub assessments: Vec<Assessment>,
}

impl Sweep<'_> {
    /// Measures the trials in order; the list is shorter if time was up.
    pub fn run(&self, set: Set<'_>, trials: &[Trial]) -> Result<Vec<Measured>> {
        let progress = self.progress(set, trials);
        let mut measured = Vec::with_capacity(trials.len());
        for trial in trials {
            progress.say(format!("{}: {trial}", set.name));
            let Some(assessments) = self.recall_or_measure(set, trial, &progress)? else {
                break;
            };
            measured.push(Measured {
                trial: trial.clone(),
                assessments,
            });
        }
        progress.finish();
        Ok(measured)
    }

    fn recall_or_measure(
        &self,
        set: Set<'_>,
        trial: &Trial,
        progress: &Progress,
    ) -> Result<Option<Vec<Assessment>>> {
        let depends_on = format!("{}{}", self.judge.weights(trial), set.key);
        let count = set.captions.len();
        let mut known = Vec::new();
        if !self.fresh {
            known = self.store.load(trial, &depends_on, count)?;
        }
        // What was recalled took no time, so it must not enter the estimate of what is left.
        progress.shorten(self.cost(trial, known.len()));
        if known.len() == count {
            return Ok(Some(known));
        }
        let Some(rest) = self.measure(&set.captions[known.len()..], trial, progress)? else {
            return Ok(None);
        };
        known.extend(rest);
        self.store.save(trial, &depends_on, &known)?;
        Ok(Some(known))
    }

    /// Draws and judges all captions of one trial; none if time was up before the last batch.
    fn measure(
        &self,
        captions: &[EvaluationCaption],
        trial: &Trial,
        progress: &Progress,
    ) -> Result<Option<Vec<Assessment>>> {
        let batches: Vec<&[EvaluationCaption]> = captions.chunks(self.batch).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while !(self.expired)() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(index) else {
                    break;
                };
                done.push((index, self.judge.judge(trial, batch)?));
                progress.advance(self.cost(trial, batch.len()));
            }
            Ok(done)
        };
        let mut done = on_threads(self.threads, &work)?;
        done.sort_by_key(|(index, _)| *index);
        let complete = done.len() == batches.len();
        Ok(complete.then(|| {
            done.into_iter()
                .flat_map(|(_, assessments)| assessments)
                .collect()
        }))
    }

    fn cost(&self, trial: &Trial, pictures: usize) -> u64 {
        (self.judge.cost(trial) * pictures as f64) as u64
    }

    fn progress(&self, set: Set<'_>, trials: &[Trial]) -> Progress {
        let total = trials
            .iter()
            .map(|trial| self.cost(trial, set.captions.len()))
            .sum();
        Progress::new("measuring", total)
    }
}

/// Runs the same work on several threads and joins what they return.
fn on_threads<T: Send>(
    threads: usize,
    work: &(dyn Fn() -> Result<Vec<T>> + Sync),
) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let parts = running.into_iter().map(|thread| match thread.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let parts: Vec<Vec<T>> = parts.collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        evaluator::Attributes,
        planner::Plan,
    };

    /// Judges without drawing: the feature is the seed, and every picture judged is counted.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Judge for Counting {
        fn judge(&self, trial: &Trial, captions: &[EvaluationCaption]) -> Result<Vec<Assessment>> {
            self.0.fetch_add(captions.len(), Ordering::Relaxed);
            anyhow::ensure!(trial.plan.steps < 100, "too many steps");
            let assess = |caption: &EvaluationCaption| Assessment {
                features: vec![caption.seed as f32],
                attributes: Attributes::new(),
            };
            Ok(captions.iter().map(assess).collect())
        }

        fn weights(&self, _: &Trial) -> String {
            "sha256:aa".into()
        }

        fn cost(&self, trial: &Trial) -> f64 {
            f64::from(trial.plan.steps)
        }
    }

    fn trial(steps: u32) -> Trial {
        let (model, size) = (ModelId("toy".into()), "64x64".parse().unwrap());
        Plan::plain(model, SamplerKind::Ddim, steps, 1.0, size).into()
    }

    fn captions() -> Vec<EvaluationCaption> {
        let caption = |seed| EvaluationCaption {
            text: "a dog".into(),
            seed,
            attributes: Attributes::new(),
        };
        (0..50).map(caption).collect()
    }

    fn sweep(
        judge: &Counting,
        folder: &std::path::Path,
        steps: &[u32],
        expired: bool,
    ) -> Result<Vec<Measured>> {
        let trials: Vec<Trial> = steps.iter().map(|&steps| trial(steps)).collect();
        let sweep = Sweep {
            judge,
            store: &Store::open(folder)?,
            fresh: false,
            threads: 3,
            batch: 8,
            expired: &|| expired,
        };
        let set = Set {
            name: "plans",
            key: "",
            captions: &captions(),
        };
        sweep.run(set, &trials)
    }

    #[test]
    fn every_caption_is_judged_once_and_stays_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let judge = Counting::default();
        let measured = sweep(&judge, folder.path(), &[1, 4], false).unwrap();
        assert_eq!(judge.0.into_inner(), 100);
        assert_eq!(
            (measured[0].trial.plan.steps, measured[1].trial.plan.steps),
            (1, 4)
        );
        let seeds = measured[1]
            .assessments
            .iter()
            .map(|assessment| assessment.features[0]);
        assert!(seeds.eq((0..50).map(|seed| seed as f32)));
    }

    #[test]
    fn a_sweep_goes_on_where_the_last_one_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let judge = Counting::default();
        let first = sweep(&judge, folder.path(), &[1], false).unwrap();
        let both = sweep(&judge, folder.path(), &[1, 2], false).unwrap();
        assert_eq!(
            judge.0.into_inner(),
            100,
            "the first plan is not drawn again"
        );
        assert_eq!(both[0], first[0]);
    }

    #[test]
    fn of_a_plan_that_drew_fewer_captions_only_the_rest_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let (judge, captions) = (Counting::default(), captions());
        let first = |count| Set {
            name: "plans",
            key: "",
            captions: &captions[..count],
        };
        let store = Store::open(folder.path()).unwrap();
        let sweep = Sweep {
            judge: &judge,
            store: &store,
            fresh: false,
            threads: 2,
            batch: 8,
            expired: &|| false,
        };
        sweep.run(first(20), &[trial(1)]).unwrap();
        let all = sweep.run(first(50), &[trial(1)]).unwrap();
        let again = sweep.run(first(20), &[trial(1)]).unwrap();
        assert_eq!(judge.0.load(Ordering::Relaxed), 50);
        assert_eq!(again[0].assessments, all[0].assessments[..20]);
        let seeds = all[0].assessments.iter().map(|seen| seen.features[0]);
        assert!(seeds.eq((0..50).map(|seed| seed as f32)));
    }

    #[test]
    fn when_time_is_up_only_whole_plans_are_returned() {
        let folder = tempfile::tempdir().unwrap();
        let judge = Counting::default();
        sweep(&judge, folder.path(), &[1], false).unwrap();
        let measured = sweep(&judge, folder.path(), &[1, 2], true).unwrap();
        assert_eq!(measured.len(), 1);
    }

    #[test]
    fn a_failure_on_one_thread_ends_the_sweep_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let error = sweep(&Counting::default(), folder.path(), &[100], false).unwrap_err();
        assert_eq!(error.to_string(), "too many steps");
    }
}
