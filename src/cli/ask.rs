//! What does a command line ask of the planner?

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use super::{numbers, serve};
use crate::{
    catalog::{Catalog, Family, ModelId},
    planner::{Budget, Cost, Objective, Planner, Quality},
    units::{Flops, Millis},
};

/// Limits, and what is to be made of what they leave open.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Milliseconds for the whole request
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::positive)]
    latency_ms: Option<f64>,
    /// 10^12 operations for the whole request
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::positive)]
    tflops: Option<f64>,
    /// A budget with a name: auto, low, medium, high, xhigh or max
    #[arg(long, value_parser = word::<Quality>)]
    quality: Option<Quality>,
    /// What is maximized: fidelity, alignment or balanced [default: balanced]
    #[arg(long, value_parser = word::<Objective>)]
    objective: Option<Objective>,
    /// Never a plan that is predicted to score less
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::score)]
    min_score: Option<f64>,
    /// The cheapest plan that reaches --min-score: latency or tflops
    #[arg(long, value_parser = word::<Cost>, requires = "min_score")]
    minimize: Option<Cost>,
}

impl Wanted {
    pub(super) fn budget(&self) -> Budget {
        Budget {
            latency: self.latency_ms.map(Millis),
            flops: self.tflops.map(Flops::from_tflops),
            quality: self.quality,
            objective: self.objective.unwrap_or_default(),
            min_score: self.min_score,
            minimize: self.minimize,
        }
    }

    /// Whether the planner is asked at all.
    pub(super) fn is_anything(&self) -> bool {
        let is_limited = self.latency_ms.is_some() || self.tflops.is_some();
        let is_named = self.quality.is_some() || self.objective.is_some();
        is_limited || is_named || self.min_score.is_some()
    }

    /// Whether the answer depends on how fast this machine is.
    pub(super) fn is_of_time(&self) -> bool {
        self.latency_ms.is_some() || self.minimize == Some(Cost::Latency)
    }
}

/// Reads one word of an enumeration as it is spelled in requests.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Who chooses among a family's plans, by its profile if it has one.
pub(super) fn planner(family: &Family) -> anyhow::Result<Planner> {
    let profile = family.profile.as_ref();
    let profile = profile
        .map(|path| serve::read_profile(family, path))
        .transpose()?;
    Ok(Planner::new(family, profile))
}

/// The family that `--model` means, and the model if it names one.
pub(super) fn target<'c>(
    catalog: &'c Catalog,
    name: &str,
) -> anyhow::Result<(&'c Family, Option<ModelId>)> {
    if name == "auto" {
        return Ok((catalog.default_family(), None));
    }
    if let Some(family) = catalog.family(name) {
        return Ok((family, None));
    }
    let found = catalog.model(name);
    let (family, card) = found.with_context(|| {
        let families = catalog.families.iter();
        let known: Vec<&str> = families
            .flat_map(|family| {
                let models = family.models.iter().map(|card| card.id.0.as_str());
                std::iter::once(family.id.as_str()).chain(models)
            })
            .collect();
        format!(
            "there is no model {name:?}; choose auto or one of {}",
            known.join(", ")
        )
    })?;
    Ok((family, Some(card.id.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_requests() {
        assert_eq!(word::<Quality>("xhigh"), Ok(Quality::Xhigh));
        let message = word::<Objective>("beauty").unwrap_err();
        assert!(
            message.contains("beauty") && message.contains("alignment"),
            "{message}"
        );
    }
}
