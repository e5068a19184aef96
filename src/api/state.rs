//! What does every request share? The catalog, a planner for each family, the runtime and the meters.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{error::ApiError, generate::warnings, layers::auth::Keys};
use crate::{
    catalog::{Catalog, Family},
    config::{ApiKey, Limits},
    planner::{CostTable, Finished, LatencyModel, Load, Planner, Profile},
    runtime::Runtime,
    telemetry::{Clock, Metrics},
};

/// What the interface is built from.
#[derive(Debug)]
pub struct Parts {
    /// What may be asked for.
    pub catalog: Arc<Catalog>,
    /// What is known of each family of the catalog, in its order.
    pub families: Vec<FamilyParts>,
    /// What this machine takes; learned from as requests finish.
    pub latency: Arc<RwLock<LatencyModel>>,
    /// Who runs the work.
    pub runtime: Runtime,
    /// What the operator sees.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is refused.
    pub limits: Limits,
    /// Who may ask; empty for everybody.
    pub api_keys: Vec<ApiKey>,
}

/// What is known of one family.
#[derive(Debug)]
pub struct FamilyParts {
    /// What its plans cost.
    pub costs: CostTable,
    /// What its plans are worth, if that was measured.
    pub profile: Option<Profile>,
}

/// What every request shares; clones are handles to the same.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    parts: Parts,
    /// One for each family of the catalog, in its order.
    planners: Vec<Planner>,
    keys: Keys,
}

impl AppState {
    /// Prepares the planners and the series of the metrics.
    pub fn new(parts: Parts) -> Self {
        let families = parts.catalog.families.iter().zip(&parts.families);
        let planners = families
            .map(|(family, known)| {
                Planner::with_costs(family, known.profile.clone(), known.costs.clone())
            })
            .collect();
        parts
            .metrics
            .declare_codes(&ApiError::KINDS, &warnings::CODES);
        Self(Arc::new(Shared {
            keys: Keys::new(&parts.api_keys),
            planners,
            parts,
        }))
    }

    /// Returns what may be asked for.
    pub fn catalog(&self) -> &Catalog {
        &self.0.parts.catalog
    }

    /// Returns who runs the work.
    pub fn runtime(&self) -> &Runtime {
        &self.0.parts.runtime
    }

    /// Returns what is refused.
    pub fn limits(&self) -> &Limits {
        &self.0.parts.limits
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Returns who chooses plans for a family of the catalog.
    pub(super) fn planner(&self, family: &Family) -> &Planner {
        &self.0.planners[self.place(family)]
    }

    /// Returns what is known of a family of the catalog.
    pub(super) fn known_of(&self, family: &Family) -> &FamilyParts {
        &self.0.parts.families[self.place(family)]
    }

    /// Returns what this machine is known to take.
    pub(super) fn latency(&self) -> RwLockReadGuard<'_, LatencyModel> {
        // A write leaves the model whole or panics before it begins, so a poisoned lock is sound.
        let latency = self.0.parts.latency.read();
        latency.unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a finished request took.
    pub(super) fn learn(&self, finished: &Finished) {
        let latency = self.0.parts.latency.write();
        latency
            .unwrap_or_else(PoisonError::into_inner)
            .learn(finished);
    }

    /// Returns what else the server has to do.
    pub(super) fn load(&self) -> Load {
        Load {
            queued: self.runtime().queued_work(),
        }
    }

    fn place(&self, family: &Family) -> usize {
        let families = &self.0.parts.catalog.families;
        families
            .iter()
            .position(|known| known.id == family.id)
            .expect("a request's family is one of the catalog's")
    }
}
