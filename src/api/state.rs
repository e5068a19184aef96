//! What does every request share? The catalog, menus for each family, the runtime and the meters.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{
    error::ApiError,
    generate::{LatencySource, OBJECTIVES, Spec, warnings},
    jobs::KeptJobs,
    layers::auth::Keys,
    menus::KeptMenus,
    router,
    sdapi::watch::WatchedJobs,
    texts::KnownTexts,
};
use crate::{
    catalog::{Catalog, Family},
    config::{Access, CorsOrigin, Limits},
    planner::{
        CostTable, Finished, Freshness, LatencyModel, Load, Menus, Planner, Profile, Refusal,
    },
    runtime::{Doubt, Runtime},
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
    /// Who may ask.
    pub access: Access,
}

/// A machine may be thought so many times slower than it is. Who asks for more than that asks for the impossible.
const DOUBTFUL: f64 = 20.0;

/// What is known of one family.
#[derive(Debug)]
pub struct FamilyParts {
    /// What its plans cost.
    pub costs: CostTable,
    /// What its plans are worth, if that was measured.
    pub profile: Option<Profile>,
    /// How many of its texts the engine keeps, those used last.
    pub most_texts: usize,
}

/// What every request shares; clones are handles to the same.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    parts: Parts,
    menus: KeptMenus,
    jobs: KeptJobs,
    watched: WatchedJobs,
    texts: KnownTexts,
    keys: Keys,
}

impl AppState {
    /// Prepares the menus and the series of the metrics.
    pub fn new(parts: Parts) -> Self {
        let families = parts.catalog.families.iter().zip(&parts.families);
        let planners = families
            .map(|(family, known)| {
                Planner::with_costs(family, known.profile.clone(), known.costs.clone())
            })
            .collect();
        let latency = parts.latency.read();
        let latency = latency.unwrap_or_else(PoisonError::into_inner);
        let menus = KeptMenus::new(planners, latency.phases());
        drop(latency);
        declare(&parts);
        let families = parts.catalog.families.iter().zip(&parts.families);
        let texts = families.map(|(family, known)| (family.id.clone(), known.most_texts));
        let texts = KnownTexts::new(texts);
        Self(Arc::new(Shared {
            keys: Keys::new(&parts.access),
            menus,
            jobs: KeptJobs::default(),
            watched: WatchedJobs::default(),
            texts,
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

    pub(super) fn watched(&self) -> &WatchedJobs {
        &self.0.watched
    }

    pub(super) fn jobs(&self) -> &KeptJobs {
        &self.0.jobs
    }

    pub(super) fn texts(&self) -> &KnownTexts {
        &self.0.texts
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

    pub(super) fn cors_origins(&self) -> &[CorsOrigin] {
        &self.0.parts.access.cors_origins
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Returns what plans for a family of the catalog are chosen from, and has it made anew if the
    /// machine's times have moved.
    pub(super) fn menus(&self, family: &Family) -> Arc<Menus> {
        let (menus, freshness) = self.0.menus.of(self.place(family), &self.latency());
        if freshness != Freshness::Fresh {
            self.freshen();
        }
        menus
    }

    /// Has all menus made anew in the background if the machine's times have moved since they were made.
    /// To be called within tokio's runtime, as when the models have been timed.
    pub fn freshen(&self) {
        let metrics = Arc::clone(&self.0.parts.metrics);
        let done = move || {
            metrics.menus_rebuilt();
            tracing::debug!("menus were made anew, since the machine's times have moved");
        };
        let clock = Arc::clone(&self.0.parts.clock);
        let latency = self.latency();
        self.0.menus.rebuild_if_stale(&latency, clock, done);
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
        self.freshen();
    }

    /// What is answered to a request for which there is no plan.
    pub(super) fn refuse(&self, spec: &Spec<'_>, refusal: Refusal) -> ApiError {
        self.doubt(spec, &refusal);
        let is_for_time = refusal.param() == Some("budget.latency_ms");
        let header = spec.latency_from.and_then(LatencySource::header);
        ApiError::Refused(Box::new(refusal), header.filter(|_| is_for_time))
    }

    /// Has the machine timed again, once it is idle, if a request was refused because it is thought too slow: what is
    /// never admitted is never learned from.
    fn doubt(&self, spec: &Spec<'_>, refusal: &Refusal) {
        let Refusal::Infeasible(infeasible) = refusal else {
            return;
        };
        let least = infeasible.minimum_feasible.latency_ms;
        let limit = spec.plan_request.budget.latency;
        let Some((least, limit)) = least.zip(limit) else {
            return;
        };
        if least.0 > limit.0 * DOUBTFUL {
            return;
        }
        let doubt = Doubt {
            family: spec.family.id.clone(),
            size: spec.plan_request.size,
            limit,
        };
        self.runtime().doubt(&spec.family.models[0].id, doubt);
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

/// Makes every series of the metrics show as zero whose labels are known.
fn declare(parts: &Parts) {
    let metrics = &parts.metrics;
    metrics.declare_codes(&ApiError::KINDS, &warnings::CODES);
    metrics.declare_routes(&router::PATTERNS);
    metrics.declare_objectives(OBJECTIVES.map(|(name, _)| name));
    let families = parts.catalog.families.iter();
    for card in families.flat_map(|family| &family.models) {
        let samplers = card.samplers().iter().map(|sampler| sampler.name());
        metrics.declare_plans(&card.id.0, samplers);
    }
}
