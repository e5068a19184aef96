//! Which policy is simulated? The server's own, and those that it is compared with.
//!
//! The others choose a plan when a request comes and keep it, as servers do that know no budgets, and work first
//! come, first served. Each is given its best: they know the family's frontier and what this machine takes, and refuse
//! only when their queue is full.

use std::sync::Arc;

use crate::{
    catalog::{Family, SamplerKind},
    load::trace::Arrival,
    planner::{
        Budget, LatencyModel, Load, Menus, Objective, Pins, Plan, PlanRequest, Quality, Refusal,
    },
    runtime::{Binder, Binding, Job, MenuBinder, OnLate, Policy},
    units::{FileFormat, Flops, Moment},
};

/// What servers do by default, and nine in ten requests of a public trace of a Stable Diffusion service.
const USUAL_STEPS: u32 = 30;

/// A policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The server's own.
    Goldilocks,
    /// Always the fastest plan that is worth offering.
    AlwaysSmall,
    /// Always the best plan.
    AlwaysLarge,
    /// The largest model at thirty guided steps.
    ThirtySteps,
    /// For each budget the best plan that an idle server has for it: what a careful operator sets up.
    PerClass,
    /// The fast plan for all, and the best one after it where a discriminator finds fault and there is time.
    Cascade,
}

/// A request as a strategy sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is asked for.
    pub arrival: &'a Arrival,
    /// When.
    pub arrived: Moment,
    /// Of whom.
    pub family: &'a Family,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 6] = [
        Self::AlwaysSmall,
        Self::AlwaysLarge,
        Self::ThirtySteps,
        Self::PerClass,
        Self::Cascade,
        Self::Goldilocks,
    ];

    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Goldilocks => "goldilocks",
            Self::AlwaysSmall => "always-small",
            Self::AlwaysLarge => "always-large",
            Self::ThirtySteps => "thirty-steps",
            Self::PerClass => "per-class",
            Self::Cascade => "cascade",
        }
    }

    /// The order in which it works.
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Goldilocks => Policy::EarliestDeadline,
            _ => Policy::Fifo,
        }
    }

    /// What a cascade runs where its fast plan has failed.
    pub(super) fn second(
        menus: &Arc<Menus>,
        latency: &LatencyModel,
        ask: &Ask<'_>,
    ) -> Result<Job, Refusal> {
        Self::AlwaysLarge.job(menus, latency, ask)
    }

    /// What it makes of a request.
    pub(super) fn job(
        self,
        menus: &Arc<Menus>,
        latency: &LatencyModel,
        ask: &Ask<'_>,
    ) -> Result<Job, Refusal> {
        let request = request(ask);
        let own = |request: &PlanRequest| {
            let binder = MenuBinder::new(Arc::clone(menus), request.clone());
            let binding = binder.on_idle(latency)?;
            Ok::<_, Refusal>((binder, binding))
        };
        let fixed = |request: &PlanRequest| own(request).map(|(_, binding)| binding);
        match self {
            Self::Goldilocks => {
                let (binder, binding) = own(&request)?;
                let floor = binder.floor(latency)?;
                Ok(Job {
                    limit: ask.arrival.class.latency_ms,
                    ..job(ask, binding, floor, Arc::new(binder))
                })
            }
            Self::AlwaysSmall | Self::Cascade => {
                let binder = MenuBinder::new(Arc::clone(menus), unlimited(&request));
                Ok(alone(ask, binder.floor(latency)?))
            }
            Self::AlwaysLarge => Ok(alone(ask, fixed(&best(&request))?)),
            Self::ThirtySteps => Ok(alone(ask, fixed(&usual(ask, &request))?)),
            Self::PerClass => Ok(alone(ask, fixed(&request)?)),
        }
    }
}

/// The request as the server would understand it.
pub(super) fn request(ask: &Ask<'_>) -> PlanRequest {
    let class = ask.arrival.class;
    PlanRequest {
        size: ask.family.default_size(),
        n_images: ask.arrival.images,
        budget: Budget {
            latency: class.latency_ms,
            flops: class.tflops.map(Flops::from_tflops),
            ..Budget::default()
        },
        pins: Pins::default(),
        has_negative_prompt: false,
        kept_texts: 0,
    }
}

/// The same without a limit.
fn unlimited(request: &PlanRequest) -> PlanRequest {
    PlanRequest {
        budget: Budget::default(),
        ..request.clone()
    }
}

/// The same for the best plan there is.
fn best(request: &PlanRequest) -> PlanRequest {
    PlanRequest {
        budget: Budget {
            quality: Some(Quality::Max),
            ..Budget::default()
        },
        ..request.clone()
    }
}

/// The same for the largest model at the usual number of steps.
fn usual(ask: &Ask<'_>, request: &PlanRequest) -> PlanRequest {
    let mut full = ask.family.models.iter().filter(|card| !card.distilled);
    let pins = Pins {
        model: full.next_back().map(|card| card.id.clone()),
        sampler: Some(SamplerKind::Ddim),
        steps: Some(USUAL_STEPS),
        ..Pins::default()
    };
    PlanRequest {
        pins,
        ..best(request)
    }
}

/// A job that runs one plan, however long it takes.
fn alone(ask: &Ask<'_>, binding: Binding) -> Job {
    let binder = Arc::new(binding.clone());
    job(ask, binding.clone(), binding, binder)
}

fn job(ask: &Ask<'_>, binding: Binding, floor: Binding, binder: Arc<dyn Binder>) -> Job {
    let seeds = 0..u64::from(ask.arrival.images);
    Job {
        prompt: ask.arrival.prompt.clone(),
        negative_prompt: String::new(),
        seeds: seeds.collect(),
        format: FileFormat::default(),
        models: ask
            .family
            .models
            .iter()
            .map(|card| card.id.clone())
            .collect(),
        arrived: ask.arrived,
        limit: None,
        on_late: OnLate::Degrade,
        binding,
        floor,
        binder,
        wants_events: false,
        partial_images: 0,
    }
}

/// The two halves of a plan's score, as far as they are known.
pub(super) fn halves(
    menus: &Menus,
    latency: &LatencyModel,
    ask: &Ask<'_>,
    plan: &Plan,
) -> Option<(f64, f64)> {
    let of = |objective| {
        let mut request = unlimited(&request(ask));
        request.budget.objective = objective;
        request.pins.plan = Some(plan.clone());
        let decision = menus.choose(&request, latency, Load::IDLE).ok()?;
        Some(decision.estimate.score?.mean)
    };
    Some((of(Objective::Alignment)?, of(Objective::Fidelity)?))
}
