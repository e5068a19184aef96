//! What made a picture, so that it can be made again? One text, in the spelling of AUTOMATIC1111's web
//! interface, which other tools read out of pictures.

use std::fmt::{self, Write as _};

use super::Job;
use crate::{
    diffusion::{GuidanceInterval, Stage},
    planner::{Candidates, Plan},
    units::Steps,
};

/// What made one picture.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// The negative prompt; empty for none.
    pub negative_prompt: &'a str,
    /// The plan; its size is the picture's.
    pub plan: &'a Plan,
    /// Steps that ran.
    pub steps_run: Steps,
    /// The seed.
    pub seed: u64,
}

impl<'a> Parameters<'a> {
    /// The parameters of one picture of a job.
    pub fn of(job: &'a Job, plan: &'a Plan, seed: u64, steps_run: Steps) -> Self {
        Self {
            prompt: &job.prompt,
            negative_prompt: &job.negative_prompt,
            plan,
            steps_run,
            seed,
        }
    }

    /// The text: the prompts, then `Name: value` pairs. What a plan has beyond a model that guides every
    /// step or none stands in pairs of its own, which tools show and do not interpret.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text)
            .expect("writing to a string cannot fail");
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Plan {
            model,
            stages,
            sampler,
            guidance_scale,
            guidance_interval,
            candidates,
            size,
            ..
        } = self.plan;
        text.push_str(self.prompt);
        if !self.negative_prompt.is_empty() {
            write!(text, "\nNegative prompt: {}", self.negative_prompt)?;
        }
        write!(
            text,
            "\nSteps: {}, Sampler: {}, CFG scale: {guidance_scale}, Seed: {}, Size: {size}, Model: {}",
            self.steps_run,
            sampler.title(),
            self.seed,
            quoted(&model.0)
        )?;
        if !stages.is_empty() {
            write!(text, ", Stages: {}", quoted(&in_words(stages)))?;
        }
        if let Some(GuidanceInterval {
            sigma_low,
            sigma_high,
        }) = guidance_interval
        {
            write!(text, ", CFG above sigma: {sigma_low}")?;
            if let Some(sigma_high) = sigma_high {
                write!(text, ", CFG up to sigma: {sigma_high}")?;
            }
        }
        if let Some(Candidates { n, pruned_after }) = candidates {
            write!(text, ", Best of: {n}")?;
            if let Some(share) = pruned_after {
                write!(text, ", Best of after: {share}")?;
            }
        }
        Ok(())
    }
}

/// `emoji-c8 0.4, emoji-c16 0.2`: each model with its share of the steps.
fn in_words(stages: &[Stage]) -> String {
    let stages = stages.iter();
    let words: Vec<String> = stages
        .map(|Stage { model, share }| format!("{model} {share}"))
        .collect();
    words.join(", ")
}

/// Pairs are cut at commas and colons, so that a value with one of them is written as a JSON string.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ModelId, SamplerKind};

    fn text(plan: &Plan) -> String {
        let parameters = Parameters {
            prompt: "a red cat",
            negative_prompt: "dog",
            plan,
            steps_run: 8,
            seed: 1,
        };
        parameters.text()
    }

    fn plain() -> Plan {
        let (model, size) = (ModelId("emoji-c16".into()), "2x1".parse().unwrap());
        Plan::plain(model, SamplerKind::DpmPp2M, 8, 3.0, size)
    }

    #[test]
    fn a_plain_plan_is_told_in_the_spelling_of_other_tools() {
        assert_eq!(
            text(&plain()),
            "a red cat\nNegative prompt: dog\nSteps: 8, Sampler: DPM++ 2M, CFG scale: 3, Seed: 1, \
             Size: 2x1, Model: emoji-c16"
        );
    }

    #[test]
    fn what_is_not_plain_stands_in_pairs_of_its_own() {
        let stage = |model: &str, share| Stage {
            model: ModelId(model.into()),
            share,
        };
        let plan = Plan {
            stages: vec![stage("emoji-c8", 0.4), stage("emoji-c12", 0.25)],
            guidance_interval: Some(GuidanceInterval {
                sigma_low: 0.3,
                sigma_high: Some(5.0),
            }),
            candidates: Some(Candidates {
                n: 2,
                pruned_after: Some(0.5),
            }),
            ..plain()
        };
        let told = text(&plan);
        let (_, pairs) = told.split_once("Model: emoji-c16").unwrap();
        assert_eq!(
            pairs,
            ", Stages: \"emoji-c8 0.4, emoji-c12 0.25\", CFG above sigma: 0.3, CFG up to sigma: 5, \
             Best of: 2, Best of after: 0.5"
        );
    }
}
