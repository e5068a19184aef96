//! Who chooses, while the machine's times move? The menus in force, and their replacement off the request path.

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    planner::{Freshness, LatencyModel, Menus, PhaseTimes, Planner},
    telemetry::Clock,
    units::Moment,
};

/// After a rebuild none begins for so many times as long as it took: times that never rest cost a twentieth of a core
/// at most.
const PAUSE: u32 = 19;

/// The menus of every family, made anew in the background when they are stale.
pub(super) struct KeptMenus(Arc<Shared>);

struct Shared {
    /// One for each family of the catalog, in its order.
    planners: Vec<Planner>,
    /// The same order.
    in_force: RwLock<Vec<Arc<Menus>>>,
    /// Whether new ones are being made.
    rebuilding: AtomicBool,
    /// Nanoseconds on the clock, before which no others are.
    paused_until: AtomicU64,
}

/// Lets the next rebuild begin once this one is finished, has panicked or was not needed.
struct Rebuilding(Arc<Shared>);

impl Drop for Rebuilding {
    fn drop(&mut self) {
        self.0.rebuilding.store(false, Ordering::Release);
    }
}

impl KeptMenus {
    pub(super) fn new(planners: Vec<Planner>, phases: &PhaseTimes) -> Self {
        let menus = made(&planners, phases);
        Self(Arc::new(Shared {
            planners,
            in_force: RwLock::new(menus),
            rebuilding: AtomicBool::new(false),
            paused_until: AtomicU64::new(0),
        }))
    }

    /// Returns the menus to choose from for the family at this place. Where the ones in force say nothing
    /// of the machine, as right after it was timed, the request's own is made.
    pub(super) fn of(&self, place: usize, latency: &LatencyModel) -> (Arc<Menus>, Freshness) {
        let in_force = Arc::clone(&self.in_force()[place]);
        match in_force.freshness(latency) {
            Freshness::Void => {
                let menus = Menus::on_demand(&self.0.planners[place], latency.phases());
                (Arc::new(menus), Freshness::Void)
            }
            freshness => (in_force, freshness),
        }
    }

    /// Makes all menus anew on a thread of its own if any are stale, and calls `done` when they are in
    /// force. While another rebuild is under way, and for a while after it, this does nothing; who asks next asks
    /// again.
    pub(super) fn rebuild_if_stale(
        &self,
        latency: &LatencyModel,
        clock: Arc<dyn Clock>,
        done: impl FnOnce() + Send + 'static,
    ) {
        let is_due = clock.now() >= self.0.paused_until();
        if !is_due || !self.are_stale(latency) || self.0.rebuilding.swap(true, Ordering::AcqRel) {
            return;
        }
        let rebuilding = Rebuilding(Arc::clone(&self.0));
        // Another rebuild may have ended since this one was asked for.
        if !self.are_stale(latency) {
            return;
        }
        let phases = latency.phases().clone();
        tokio::task::spawn_blocking(move || {
            let shared = &rebuilding.0;
            let began = clock.now();
            let menus = made(&shared.planners, &phases);
            let ended = clock.now();
            shared.pause_until(Moment(ended.0 + ended.since(began) * PAUSE));
            let in_force = shared.in_force.write();
            *in_force.unwrap_or_else(PoisonError::into_inner) = menus;
            drop(rebuilding);
            done();
        });
    }

    fn are_stale(&self, latency: &LatencyModel) -> bool {
        let is_stale = |menus: &Arc<Menus>| menus.freshness(latency) != Freshness::Fresh;
        self.in_force().iter().any(is_stale)
    }

    fn in_force(&self) -> RwLockReadGuard<'_, Vec<Arc<Menus>>> {
        // They are replaced by one move, so a poisoned lock is sound.
        let in_force = self.0.in_force.read();
        in_force.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn paused_until(&self) -> Moment {
        Moment(Duration::from_nanos(
            self.paused_until.load(Ordering::Relaxed),
        ))
    }

    fn pause_until(&self, moment: Moment) {
        let nanos = u64::try_from(moment.0.as_nanos()).unwrap_or(u64::MAX);
        self.paused_until.store(nanos, Ordering::Relaxed);
    }
}

fn made(planners: &[Planner], phases: &PhaseTimes) -> Vec<Arc<Menus>> {
    let menus = planners.iter().map(|planner| Menus::new(planner, phases));
    menus.map(Arc::new).collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{planner::test_family::family, units::Millis};

    /// Time passes whenever it is asked for.
    #[derive(Debug, Default)]
    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn now(&self) -> Moment {
            Moment(Duration::from_millis(
                self.0.fetch_add(10, Ordering::Relaxed),
            ))
        }

        fn unix_seconds(&self) -> u64 {
            0
        }
    }

    fn phases(ms: f64) -> PhaseTimes {
        let family = family();
        let mut phases = PhaseTimes::default();
        phases.set_text(&family.id, Millis(ms));
        phases
    }

    #[tokio::test]
    async fn after_a_rebuild_there_is_a_pause() {
        let clock = Arc::new(Ticking::default());
        let kept = KeptMenus::new(vec![Planner::new(&family(), None)], &phases(1.0));
        let rebuild = |ms| {
            let (done, is_done) = oneshot::channel();
            let latency = LatencyModel::new(phases(ms));
            let done = move || done.send(()).expect("somebody waits");
            kept.rebuild_if_stale(&latency, clock.clone(), done);
            is_done
        };
        rebuild(1.0).await.expect_err("nothing has moved");
        rebuild(1.1).await.expect("a time has moved");
        rebuild(1.2).await.expect_err("too soon");
        clock.0.fetch_add(1000, Ordering::Relaxed);
        rebuild(1.2).await.expect("the pause is over");
    }
}
