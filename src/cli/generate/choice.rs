//! Which family, which plan? What a budget buys or a token says, or else what is usual for a model.

use anyhow::{Context as _, Result, bail, ensure};

use super::{Args, noises::Noises};
use crate::{
    catalog::{self, Catalog, Family, ModelCard, ModelId, raw::family_from_folder},
    cli::{ask, latency, precision},
    config,
    planner::{LatencyModel, Load, PhaseTimes, Pins, Plan, PlanRequest},
    units::ImageSize,
};

/// What is to be drawn, and by whom.
pub(super) struct Choice {
    /// With the models of the plan alone.
    pub(super) family: Family,
    pub(super) plan: Plan,
    pub(super) noises: Noises,
}

/// Settles the arguments.
pub(super) fn choose(args: &Args) -> Result<Choice> {
    let mut choice = if args.wanted.is_anything() || args.plan_token.is_some() {
        planned(args)?
    } else {
        usual(args)?
    };
    // The others would only cost time and memory.
    let plan = &choice.plan;
    let takes_part = |card: &ModelCard| plan.models().any(|id| *id == card.id);
    choice.family.models.retain(takes_part);
    Ok(choice)
}

/// What an idle server would choose.
fn planned(args: &Args) -> Result<Choice> {
    ensure!(
        args.model_dir.is_none(),
        "a budget is for the models that --config lists; leave --model-dir out"
    );
    let mut catalog = catalog::load(&args.config)?;
    catalog
        .families
        .iter_mut()
        .for_each(|family| place(family, args));
    precision::resolve(&mut catalog)?;
    let (family, model) = asked(args, &catalog)?;
    let token = args.plan_token.as_ref();
    let size = args.size.or(token.map(|token| token.plan().size));
    let noises = Noises::read(args.latents.as_deref(), size, family)?;
    let request = PlanRequest {
        size: noises.size,
        n_images: u32::try_from(noises.of_pictures.len())?,
        budget: args.wanted.budget(),
        pins: Pins {
            model,
            sampler: args.sampler,
            steps: args.steps,
            guidance_scale: args.guidance,
            plan: token.map(|token| token.plan().clone()),
        },
        has_negative_prompt: !args.negative_prompt.trim().is_empty(),
        kept_texts: 0,
    };
    let latency = if args.wanted.is_of_time() {
        let state_dir = args.state_dir.clone().or_else(config::default_state_dir);
        latency::known(&catalog, state_dir)?
    } else {
        LatencyModel::new(PhaseTimes::default())
    };
    let decision = ask::planner(family)?.choose(&request, &latency, Load::IDLE)?;
    for warning in &decision.warnings {
        eprintln!("warning: {warning}");
    }
    if !args.json {
        eprintln!("plan: {}", decision.plan);
    }
    Ok(Choice {
        family: family.clone(),
        plan: decision.plan,
        noises,
    })
}

/// The family, and the model if one was named.
fn asked<'c>(args: &Args, catalog: &'c Catalog) -> Result<(&'c Family, Option<ModelId>)> {
    let Some(token) = &args.plan_token else {
        return ask::target(catalog, args.model.as_deref().unwrap_or("auto"));
    };
    let (family, _) = ask::target(catalog, &token.plan().model.0)?;
    ensure!(
        token.suits(family),
        "--plan-token was made for other weights than those of family {:?} now; ask for a new plan",
        family.id
    );
    Ok((family, None))
}

/// What the arguments say, and what is usual for the model where they are silent.
fn usual(args: &Args) -> Result<Choice> {
    let family = family(args)?;
    let card = named(&family, args.model.as_deref())?;
    let noises = Noises::read(args.latents.as_deref(), args.size, &family)?;
    let plan = usual_plan(args, card, noises.size)?;
    Ok(Choice {
        family,
        plan,
        noises,
    })
}

fn usual_plan(args: &Args, card: &ModelCard, size: ImageSize) -> Result<Plan> {
    let (steps, guidance_scale) = if card.distilled { (4, 1.0) } else { (20, 3.0) };
    let plan = Plan::plain(
        card.id.clone(),
        args.sampler.unwrap_or(card.samplers()[0]),
        args.steps.unwrap_or(steps),
        args.guidance.unwrap_or(guidance_scale),
        size,
    );
    let model = &card.id;
    if card.distilled && plan.is_guided() {
        bail!("{model} is distilled, its guidance is baked in; leave --guidance out");
    }
    if card.distilled && !args.negative_prompt.is_empty() {
        bail!("{model} is distilled, it cannot be steered away; leave --negative-prompt out");
    }
    if !card.suits(plan.sampler) {
        let usual = card.samplers()[0];
        eprintln!(
            "warning: {model} is not made for {}, but for {usual}",
            plan.sampler
        );
    }
    Ok(plan)
}

fn family(args: &Args) -> Result<Family> {
    let mut family = if let Some(folder) = &args.model_dir {
        family_from_folder(folder, args.device)?
    } else {
        let catalog = catalog::load(&args.config)?;
        let named = args.model.as_ref().and_then(|name| catalog.model(name));
        let named = named.map(|(family, _)| family);
        named.unwrap_or_else(|| catalog.default_family()).clone()
    };
    place(&mut family, args);
    precision::resolve_family(&mut family)?;
    Ok(family)
}

/// Puts models where the arguments want them.
fn place(family: &mut Family, args: &Args) {
    for model in &mut family.models {
        model.device = args.device;
        model.dtype = args.dtype.unwrap_or(model.dtype);
    }
}

fn named<'a>(family: &'a Family, name: Option<&str>) -> Result<&'a ModelCard> {
    let Some(name) = name else {
        // A student takes neither guidance nor a negative prompt: it is for those who name it.
        let mut models = family.models.iter();
        let largest = models.rfind(|model| !model.distilled);
        let largest = largest.or(family.models.last());
        return largest.context("the family has no model");
    };
    let is_called = |model: &&ModelCard| {
        model.id.0 == name || model.unet_path.file_name().is_some_and(|file| file == name)
    };
    family.models.iter().find(is_called).with_context(|| {
        let names: Vec<_> = family
            .models
            .iter()
            .map(|model| model.id.0.as_str())
            .collect();
        format!(
            "there is no model {name:?}; choose one of {}",
            names.join(", ")
        )
    })
}
