//! How fast is this machine? Each model draws a few steps before the server is ready, and again while it is
//! idle when somebody was refused for what that had found.
//!
//! A measured latency is wrong on every other machine, so none is shipped: every start measures, with
//! the same executor, boundaries and clock that real jobs have. Medians, since a start is a noisy time. But
//! a program that is busy beside the whole of it makes everything slow alike, and a server that then refuses
//! every tight budget would have nothing to learn from: such a refusal is a [`Doubt`].

mod found;
mod session;

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::{EncodeImage, Executor, LoadExecutor, Settings};
use crate::{
    catalog::Family,
    planner::{LatencyModel, PhaseTimes},
    telemetry::Clock,
    units::{ImageSize, Millis},
};
use session::{Halt, Scope, Session};

/// How often the models are gone through at start. Other work on the machine comes in bursts, which then
/// spoil one round and not the median.
const ROUNDS: usize = 3;
/// The same of a server that is idle: soon over, and done again if it was spoilt.
const ROUNDS_AGAIN: usize = 1;
/// A piece of work that is expected to take longer is not timed again, unless more was granted to the request that
/// was refused: somebody may come in the meantime and wait for it.
const LONGEST: Millis = Millis(250.0);

/// What a probe needs besides an executor.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Turns a picture into a file.
    pub encode: EncodeImage,
    /// Gets the times; what it learned from earlier requests stays.
    pub latency: Arc<RwLock<LatencyModel>>,
}

/// Somebody was refused because of the time that this machine is thought to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubt {
    /// Whose pictures were asked for.
    pub family: String,
    /// Their size.
    pub size: ImageSize,
    /// The time that was granted for them.
    pub limit: Millis,
}

impl Doubt {
    pub(super) fn is_about_the_same(&self, other: &Self) -> bool {
        self.family == other.family && self.size == other.size
    }
}

/// How timing again ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The table has the new times.
    Done,
    /// There was something to do; the table is what it was.
    Interrupted,
}

/// Returns a load that times every model of `families` at every size on offer, once it is loaded.
pub fn probing(load: LoadExecutor, families: Vec<Family>, probe: Probe) -> LoadExecutor {
    Box::new(move |on_loaded| {
        let mut executor = load(on_loaded)?;
        let mut found = PhaseTimes::default();
        let mut session = Session {
            probe: &probe,
            executor: &mut *executor,
            may_go_on: &mut |_| true,
            scope: Scope {
                rounds: ROUNDS,
                longest: Millis(f64::INFINITY),
            },
        };
        for family in &families {
            for size in &family.sizes {
                let times = session.family(family, *size).map_err(Halt::reason)?;
                times.store(&mut found, family, *size);
            }
        }
        probe.latency().probed(found);
        Ok(executor)
    })
}

impl Probe {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            clock: Arc::clone(&settings.clock),
            encode: settings.encode,
            latency: Arc::clone(&settings.latency),
        }
    }

    /// Times what a doubt is about. Before every piece of work `may_go_on` is told how long it takes at most, by
    /// the table.
    pub(super) fn again(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        doubt: &Doubt,
        may_go_on: &mut dyn FnMut(Millis) -> bool,
    ) -> Result<Ended, String> {
        let mut session = Session {
            probe: self,
            executor,
            may_go_on,
            scope: Scope {
                rounds: ROUNDS_AGAIN,
                longest: Millis(LONGEST.0.max(doubt.limit.0)),
            },
        };
        let times = match session.family(family, doubt.size) {
            Ok(times) => times,
            Err(Halt::Interrupted) => return Ok(Ended::Interrupted),
            Err(Halt::Failed(reason)) => return Err(reason),
        };
        let mut found = PhaseTimes::default();
        times.store(&mut found, family, doubt.size);
        let mut latency = self.latency();
        latency.probed(found);
        for (sum, took) in times.draws(latency.phases(), family, doubt.size) {
            latency.drawn(sum, took);
        }
        Ok(Ended::Done)
    }

    fn latency(&self) -> RwLockWriteGuard<'_, LatencyModel> {
        let latency = self.latency.write();
        latency.unwrap_or_else(PoisonError::into_inner)
    }
}
