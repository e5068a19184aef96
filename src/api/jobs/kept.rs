//! Which jobs are there? Those under way, and for a while those that are over.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, generate::reply::GenerateReply},
    runtime::JobId,
    telemetry::{KeptJob, Metrics},
    units::Moment,
};

/// How long results are kept.
const KEEP: Duration = Duration::from_mins(10);
/// Most results that are kept; the oldest goes first.
const MOST: usize = 256;
/// Most bytes of them.
const MOST_BYTES: usize = 256 << 20;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Status {
    /// Admitted; the device has not begun.
    Queued,
    /// Under way.
    InProgress,
    /// The result is there.
    Succeeded,
    /// There will be no result.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Status {
    /// What is kept does not know whether the device has begun.
    fn counts_as(self) -> KeptJob {
        match self {
            Self::Queued | Self::InProgress => KeptJob::InProgress,
            Self::Succeeded => KeptJob::Succeeded,
            Self::Failed => KeptJob::Failed,
            Self::Cancelled => KeptJob::Cancelled,
        }
    }
}

/// All jobs, by their names.
#[derive(Debug, Default)]
pub(in crate::api) struct KeptJobs(Mutex<HashMap<String, Kept>>);

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) job: JobId,
    pub(super) created: u64,
    pub(super) status: Status,
    /// When it was over, or began.
    since: Moment,
    /// As it is told, so that it is written once.
    pub(super) result: Option<Arc<RawValue>>,
    pub(super) error: Option<ApiError>,
}

impl Kept {
    fn is_over(&self) -> bool {
        self.status != Status::InProgress
    }

    fn bytes(&self) -> usize {
        self.result.as_ref().map_or(0, |result| result.get().len())
    }
}

impl KeptJobs {
    /// Takes a job in under a name that cannot be guessed.
    pub(super) fn begin(&self, job: JobId, created: u64, now: Moment) -> String {
        // Two keys of the system's randomness, each new.
        let half = |part: u8| RandomState::new().hash_one((part, job.0));
        let id = format!("job_{:016x}{:016x}", half(0), half(1));
        let kept = Kept {
            job,
            created,
            status: Status::InProgress,
            since: now,
            result: None,
            error: None,
        };
        self.lock().insert(id.clone(), kept);
        id
    }

    pub(super) fn end(&self, id: &str, ended: Result<GenerateReply, ApiError>, now: Moment) {
        let ended = ended.map(|reply| to_raw_value(&reply));
        let mut jobs = self.lock();
        if let Some(kept) = jobs.get_mut(id)
            && !kept.is_over()
        {
            match ended {
                Ok(Ok(result)) => {
                    kept.status = Status::Succeeded;
                    kept.result = Some(result.into());
                }
                Ok(Err(fault)) => {
                    kept.status = Status::Failed;
                    let message = fault.to_string();
                    kept.error = Some(ApiError::Failed { message });
                }
                Err(error) => {
                    kept.status = Status::Failed;
                    kept.error = Some(error);
                }
            }
            kept.since = now;
        }
        make_room(&mut jobs, MOST_BYTES);
    }

    pub(super) fn cancel(&self, id: &str, now: Moment) {
        if let Some(kept) = self.lock().get_mut(id)
            && !kept.is_over()
        {
            kept.status = Status::Cancelled;
            kept.error = Some(ApiError::Cancelled);
            kept.since = now;
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// A job that is under way, or was over not too long ago.
    pub(super) fn get(&self, id: &str, now: Moment) -> Option<Kept> {
        let mut jobs = self.lock();
        jobs.retain(|_, kept| !kept.is_over() || now.since(kept.since) <= KEEP);
        jobs.get(id).cloned()
    }

    /// Tells how many there are, by how far they are.
    pub(in crate::api) fn tell(&self, metrics: &Metrics) {
        let jobs = self.lock();
        for status in KeptJob::ALL {
            let alike = jobs
                .values()
                .filter(|kept| kept.status.counts_as() == *status);
            metrics.kept_jobs(*status, alike.count());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        // Every critical section leaves the table whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of the oldest results, but never of the newest one.
fn make_room(jobs: &mut HashMap<String, Kept>, most_bytes: usize) {
    loop {
        let over = || jobs.iter().filter(|(_, kept)| kept.is_over());
        let bytes: usize = over().map(|(_, kept)| kept.bytes()).sum();
        let n_over = over().count();
        if n_over <= 1 || (n_over <= MOST && bytes <= most_bytes) {
            return;
        }
        let oldest = over().min_by_key(|(_, kept)| kept.since);
        let Some(id) = oldest.map(|(id, _)| id.clone()) else {
            return;
        };
        jobs.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn names_differ_and_results_are_forgotten_in_time() {
        let jobs = KeptJobs::default();
        let (first, second) = (
            jobs.begin(JobId(1), 0, at(0)),
            jobs.begin(JobId(1), 0, at(0)),
        );
        assert_ne!(first, second);
        assert_eq!(first.len(), "job_".len() + 32);
        jobs.cancel(&first, at(10));
        assert_eq!(jobs.get(&first, at(600)).unwrap().status, Status::Cancelled);
        assert!(jobs.get(&first, at(611)).is_none());
        assert!(jobs.get(&second, at(99_999)).is_some(), "it is under way");
    }

    #[test]
    fn an_end_does_not_undo_a_cancellation() {
        let jobs = KeptJobs::default();
        let id = jobs.begin(JobId(1), 0, at(0));
        jobs.cancel(&id, at(1));
        jobs.end(&id, Err(ApiError::ShuttingDown), at(2));
        let kept = jobs.get(&id, at(3)).unwrap();
        assert_eq!(
            (kept.status, kept.error),
            (Status::Cancelled, Some(ApiError::Cancelled))
        );
    }

    #[test]
    fn large_results_are_let_go_of_sooner_but_the_newest_one_stays() {
        let mut jobs = HashMap::new();
        let text = |length: usize| to_raw_value(&"x".repeat(length)).unwrap().into();
        for (id, since, length) in [("old", 1, 10), ("large", 2, 100), ("new", 3, 10)] {
            let kept = Kept {
                job: JobId(since),
                created: 0,
                status: Status::Succeeded,
                since: at(since),
                result: Some(text(length)),
                error: None,
            };
            jobs.insert(id.to_owned(), kept);
            make_room(&mut jobs, 100);
        }
        assert_eq!(jobs.keys().collect::<Vec<_>>(), ["new"]);
    }

    #[test]
    fn only_so_many_results_are_kept_and_the_oldest_goes_first() {
        let jobs = KeptJobs::default();
        let ids: Vec<String> = (0..=MOST as u64)
            .map(|i| {
                let id = jobs.begin(JobId(i), 0, at(0));
                jobs.end(&id, Err(ApiError::ShuttingDown), at(i));
                id
            })
            .collect();
        assert!(jobs.get(&ids[0], at(300)).is_none());
        assert!(ids[1..].iter().all(|id| jobs.get(id, at(300)).is_some()));
    }
}
