//! What was worked out before the request came?
//!
//! A menu takes microseconds to milliseconds to make and serves many requests. [`Menus`] are those of one
//! family under one phase table: for every size, objective and negative prompt they are made in advance,
//! with pins when they are first asked for, and the last of those are kept. All else is a scan over the
//! few plans on a menu, a few microseconds however many candidates there are.
//!
//! Menus do not change. When the phase table has moved ([`Menus::freshness`]), new ones are made beside
//! them, and until then the old ones serve: their plans are still worth offering to within that change,
//! and limits are held against estimates from the times of the moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    budget::{Budget, Cost, Load, Objective, Pins, PlanRequest},
    choice::{Decision, Planner},
    explain::Explanation,
    latency::LatencyModel,
    menu::Menu,
    phases::PhaseTimes,
    plan::{Plan, ScoreEstimate},
    profile::Rush,
    refusal::Refusal,
    search::{Now, Search},
    timetable::Timetable,
};
use crate::{
    catalog::{NamedBudgets, SamplerKind},
    units::{ImageSize, Millis, Steps},
};

/// Menus are stale when a time has changed by more than this share.
const TOLERANCE: f64 = 0.02;
/// Menus with pins that are kept, about 10 KB each.
const N_RECENT: usize = 256;

/// The menus of one family under one phase table.
#[derive(Debug)]
pub struct Menus {
    pub(super) planner: Planner,
    phases: PhaseTimes,
    common: HashMap<Key, Arc<Menu>>,
    recent: Mutex<Recent>,
}

/// How well menus suit the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No time has moved by more than 2%.
    Fresh,
    /// A time has moved by more; what they offer is still worth offering to within that change.
    Stale,
    /// A time came or went, so they say nothing of the machine.
    Void,
}

/// All that a menu depends on besides family and phase table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    size: ImageSize,
    objective: Objective,
    has_negative_prompt: bool,
    /// Index into the family's models.
    model: Option<usize>,
    sampler: Option<SamplerKind>,
    steps: Option<Steps>,
    /// The bits of the number.
    guidance_scale: Option<u64>,
}

/// The menus that were asked for last.
#[derive(Debug, Default)]
struct Recent {
    /// With the turn of their last use.
    menus: HashMap<Key, (Arc<Menu>, u64)>,
    turn: u64,
}

impl Menus {
    /// Makes every menu without pins in advance.
    pub fn new(planner: &Planner, phases: &PhaseTimes) -> Self {
        let mut menus = Self::on_demand(planner, phases);
        for size in &planner.family.sizes {
            for objective in Objective::ALL {
                for has_negative_prompt in [false, true] {
                    let request = unpinned(*size, objective, has_negative_prompt);
                    // Where all models are distilled, a negative prompt is a conflict and has no menu.
                    if let Ok(menu) = planner.menu(&request, phases) {
                        menus.common.insert(menus.key(&request), Arc::new(menu));
                    }
                }
            }
        }
        menus
    }

    /// Makes every menu when it is asked for.
    pub fn on_demand(planner: &Planner, phases: &PhaseTimes) -> Self {
        Self {
            planner: planner.clone(),
            phases: phases.clone(),
            common: HashMap::new(),
            recent: Mutex::default(),
        }
    }

    /// The phase table that they were made with.
    pub fn phases(&self) -> &PhaseTimes {
        &self.phases
    }

    /// What `quality` grants for one picture of the family's default size.
    pub fn budgets(&self) -> &NamedBudgets {
        self.planner.budgets()
    }

    /// Whether they still suit the machine as it is known now.
    pub fn freshness(&self, latency: &LatencyModel) -> Freshness {
        match latency.moved_since(&self.phases) {
            moved if moved.is_infinite() => Freshness::Void,
            moved if moved > TOLERANCE => Freshness::Stale,
            _ => Freshness::Fresh,
        }
    }

    /// Chooses the plan for a request, or says why there is none.
    pub fn choose(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Decision, Refusal> {
        let now = &Now::new(self, request.size, latency, load);
        Search { now, request }.choose()
    }

    /// Chooses as [`Self::choose`] does on an idle server, among plans whose phases take no longer than
    /// `most` by the table; none if all of them do.
    pub fn choose_within(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        most: Millis,
    ) -> Result<Option<Decision>, Refusal> {
        let now = &Now::new(self, request.size, latency, Load::IDLE);
        Search { now, request }.choose_within(most)
    }

    /// The least plan that a request may end on: the best one that takes not much longer than the fastest.
    pub fn floor(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Result<Decision, Refusal> {
        let now = &Now::new(self, request.size, latency, Load::IDLE);
        Search { now, request }.floor()
    }

    /// The best plan that goes on where a picture of `plan` is after so many steps, better than that and
    /// whose phases take at most `most` by the table; none if nothing like that was measured.
    pub fn move_up(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        (plan, done): (&Plan, Steps),
        most: Millis,
    ) -> Option<Decision> {
        let now = &Now::new(self, request.size, latency, Load::IDLE);
        Search { now, request }.move_up(plan, done, most)
    }

    /// Lays out what a decision for a request will take, step by step.
    pub fn timetable(
        &self,
        decision: &Decision,
        request: &PlanRequest,
        latency: &LatencyModel,
    ) -> Timetable {
        let family = &self.planner.family;
        let times = latency.phases().of_family(family, request.size);
        let Decision { plan, workload, .. } = decision;
        Timetable::new(plan, workload, &times, request.n_new_texts())
    }

    /// The score of a plan that is shortened on its way, as far as what that costs was measured.
    pub fn rushed(&self, plan: &Plan, rush: Rush, objective: Objective) -> Option<ScoreEstimate> {
        let planner = &self.planner;
        let row = planner.scores.row_of(&planner.family, plan)?;
        let planned = planner.scores.sample(row, objective);
        planner.rushed.score(plan, rush, objective, &planned)
    }

    /// Chooses as [`Self::choose`] does, and says why.
    pub fn explain(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Explanation, Refusal> {
        let now = &Now::new(self, request.size, latency, load);
        Search { now, request }.explain()
    }

    /// The frontier on one axis for a request's size, pins and objective, cheapest first; its
    /// limits do not matter.
    pub fn frontier(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        axis: Cost,
    ) -> Result<Vec<Decision>, Refusal> {
        let now = &Now::new(self, request.size, latency, Load::IDLE);
        Search { now, request }.frontier(axis)
    }

    /// The request's menu, from what is kept or made now.
    pub(super) fn menu(&self, request: &PlanRequest) -> Result<Arc<Menu>, Refusal> {
        self.planner.check(request)?;
        if request.pins.plan.is_some() {
            // A menu of one is made sooner than it is found.
            return self.planner.menu(request, &self.phases).map(Arc::new);
        }
        let key = self.key(request);
        if let Some(menu) = self.common.get(&key).cloned() {
            return Ok(menu);
        }
        if let Some(menu) = self.recent(|recent| recent.get(&key)) {
            return Ok(menu);
        }
        // Outside of the lock: two requests may make the same menu, none waits for another's.
        let menu = Arc::new(self.planner.menu(request, &self.phases)?);
        self.recent(|recent| recent.put(key, Arc::clone(&menu)));
        Ok(menu)
    }

    fn recent<T>(&self, use_it: impl FnOnce(&mut Recent) -> T) -> T {
        // A panic between two of its statements loses a menu at most, so a poisoned lock is sound.
        let recent = self.recent.lock();
        use_it(&mut recent.unwrap_or_else(PoisonError::into_inner))
    }

    /// The key of a request whose model, if it names one, is the family's.
    fn key(&self, request: &PlanRequest) -> Key {
        let pins = &request.pins;
        let mut models = self.planner.family.models.iter();
        let pinned = pins.model.as_ref();
        Key {
            size: request.size,
            objective: request.budget.objective,
            has_negative_prompt: request.has_negative_prompt,
            model: pinned.and_then(|id| models.position(|card| card.id == *id)),
            sampler: pins.sampler,
            steps: pins.steps,
            guidance_scale: pins.guidance_scale.map(f64::to_bits),
        }
    }
}

impl Recent {
    fn get(&mut self, key: &Key) -> Option<Arc<Menu>> {
        self.turn += 1;
        let (menu, last_use) = self.menus.get_mut(key)?;
        *last_use = self.turn;
        Some(Arc::clone(menu))
    }

    /// Keeps a menu, in place of the one that was not used for longest where there is no room.
    fn put(&mut self, key: Key, menu: Arc<Menu>) {
        if self.menus.len() >= N_RECENT && !self.menus.contains_key(&key) {
            let oldest = self.menus.iter().min_by_key(|(_, (_, last_use))| *last_use);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.menus.remove(&oldest);
            }
        }
        self.turn += 1;
        self.menus.insert(key, (menu, self.turn));
    }
}

fn unpinned(size: ImageSize, objective: Objective, has_negative_prompt: bool) -> PlanRequest {
    PlanRequest {
        size,
        n_images: 1,
        budget: Budget {
            objective,
            ..Budget::default()
        },
        pins: Pins::default(),
        has_negative_prompt,
        kept_texts: 0,
    }
}
