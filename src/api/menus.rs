//! Who chooses, while the machine's times move? The menus in force, and their replacement off the request path.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicBool, Ordering},
};

use crate::planner::{Freshness, LatencyModel, Menus, PhaseTimes, Planner};

/// The menus of every family, made anew in the background when they are stale.
pub(super) struct KeptMenus(Arc<Shared>);

struct Shared {
    /// One for each family of the catalog, in its order.
    planners: Vec<Planner>,
    /// The same order.
    in_force: RwLock<Vec<Arc<Menus>>>,
    /// Whether new ones are being made.
    rebuilding: AtomicBool,
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
    /// force. While another rebuild is under way this does nothing; who asks next asks again.
    pub(super) fn rebuild_if_stale(
        &self,
        latency: &LatencyModel,
        done: impl FnOnce() + Send + 'static,
    ) {
        if !self.are_stale(latency) || self.0.rebuilding.swap(true, Ordering::AcqRel) {
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
            let menus = made(&shared.planners, &phases);
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

fn made(planners: &[Planner], phases: &PhaseTimes) -> Vec<Arc<Menus>> {
    let menus = planners.iter().map(|planner| Menus::new(planner, phases));
    menus.map(Arc::new).collect()
}
