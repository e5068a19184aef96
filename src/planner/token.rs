//! How does a plan travel to a client and back?
//!
//! A token is base64url of a version, a digest of the weights and the plan as a JSON array. It is no
//! secret and not signed: what comes back is checked as pins are. Its encoding is written down here and not
//! derived from [`Plan`], so that a change there does not change what old tokens mean; what a later version
//! adds, such as the steps of a shortened plan one by one, gets a version of its own.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::{Candidates, Plan};
use crate::{
    catalog::{Family, ModelId, SamplerKind},
    diffusion::{GuidanceInterval, Stage},
    units::{ImageSize, Steps},
};

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;
/// Longer texts are not read: those that are written have 80 to 200 characters.
const LONGEST: usize = 1024;
/// Bytes of the digest: enough to notice other weights, which nobody forges.
const N_DIGEST: usize = 8;
/// As for pins.
const MOST_STEPS: Steps = 1000;
/// Beyond any use.
const LARGEST_GUIDANCE: f64 = 100.0;
/// All of them are held at once.
const MOST_CANDIDATES: u32 = 64;

/// A plan, and the weights that it was made for. Its text is what clients see.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanToken {
    weights: [u8; N_DIGEST],
    plan: Plan,
}

/// The text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanTokenError {
    /// It was cut, changed or never was one.
    #[error("it is not a whole token; send plan_token as an earlier reply had it")]
    Malformed,
    /// Another version of this program made it.
    #[error(
        "it has version {found}, and version {VERSION} is read here; \
         ask for a plan and take the plan_token of the reply"
    )]
    Version {
        /// Its version.
        found: u8,
    },
    /// It holds a number that no plan has.
    #[error("its {what} is out of range; send plan_token as an earlier reply had it")]
    OutOfRange {
        /// Which number.
        what: &'static str,
    },
}

/// A plan as it is written, in this order.
#[derive(Serialize, Deserialize)]
struct Written(
    ModelId,
    /// Models of the first steps, each with its share.
    Vec<(ModelId, f64)>,
    SamplerKind,
    Steps,
    /// The guidance scale.
    f64,
    /// The levels that guided steps are above and up to.
    Option<(f64, Option<f64>)>,
    /// Candidates, and the share of steps after which the best one goes on.
    Option<(u32, Option<f64>)>,
    ImageSize,
);

impl PlanToken {
    /// The token of a family's plan.
    pub fn new(plan: &Plan, family: &Family) -> Self {
        Self {
            weights: digest(plan, family),
            plan: plan.clone(),
        }
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Gives the plan up.
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Whether it was made for the family's weights as they are now.
    pub fn suits(&self, family: &Family) -> bool {
        self.weights == digest(&self.plan, family)
    }
}

/// What draws the plan's picture: on the ranker it depends only where candidates are ranked.
fn digest(plan: &Plan, family: &Family) -> [u8; N_DIGEST] {
    let ranker = family.image_encoder_digest.as_deref();
    let ranker = ranker.filter(|_| plan.candidates.is_some());
    let text = format!("{}\n{}", family.digest, ranker.unwrap_or_default());
    let whole: [u8; 32] = Sha256::digest(text).into();
    let (first, _) = whole.split_first_chunk().expect("32 bytes begin with 8");
    *first
}

impl fmt::Display for PlanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = serde_json::to_vec(&Written::from(&self.plan));
        let mut bytes = vec![VERSION];
        bytes.extend(self.weights);
        bytes.extend(plan.expect("an array of names and numbers can be written"));
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for PlanToken {
    type Err = PlanTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = PlanTokenError::Malformed;
        if text.len() > LONGEST {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let (version, rest) = bytes.split_first().ok_or(PlanTokenError::Malformed)?;
        if *version != VERSION {
            return Err(PlanTokenError::Version { found: *version });
        }
        let parts = rest.split_first_chunk::<N_DIGEST>();
        let (weights, plan) = parts.ok_or(PlanTokenError::Malformed)?;
        let written: Written =
            serde_json::from_slice(plan).map_err(|_| PlanTokenError::Malformed)?;
        let plan = Plan::from(written);
        check(&plan)?;
        Ok(Self {
            weights: *weights,
            plan,
        })
    }
}

/// Refuses numbers that no plan has: whoever reads a plan relies on them.
fn check(plan: &Plan) -> Result<(), PlanTokenError> {
    let is_share = |share: f64| 0.0 < share && share < 1.0;
    let shares = || plan.stages.iter().map(|stage| stage.share);
    let stages_fit = shares().all(is_share) && shares().sum::<f64>() < 1.0;
    let interval_fits = plan.guidance_interval.is_none_or(|interval| {
        let low = interval.sigma_low;
        0.0 <= low && interval.sigma_high.is_none_or(|high| low < high)
    });
    let candidates_fit = plan.candidates.is_none_or(|candidates| {
        let pruned_after = candidates.pruned_after;
        (2..=MOST_CANDIDATES).contains(&candidates.n) && pruned_after.is_none_or(is_share)
    });
    let guidance = plan.guidance_scale;
    let parts = [
        ("step count", (1..=MOST_STEPS).contains(&plan.steps)),
        (
            "guidance scale",
            0.0 < guidance && guidance <= LARGEST_GUIDANCE,
        ),
        ("share of a stage", stages_fit),
        ("guidance interval", interval_fits),
        ("number of candidates", candidates_fit),
    ];
    match parts.into_iter().find(|(_, fits)| !fits) {
        None => Ok(()),
        Some((what, _)) => Err(PlanTokenError::OutOfRange { what }),
    }
}

impl From<&Plan> for Written {
    fn from(plan: &Plan) -> Self {
        let Plan {
            model,
            stages,
            sampler,
            steps,
            guidance_scale,
            guidance_interval,
            candidates,
            size,
        } = plan;
        let stage = |stage: &Stage| (stage.model.clone(), stage.share);
        let interval = |interval: GuidanceInterval| (interval.sigma_low, interval.sigma_high);
        Self(
            model.clone(),
            stages.iter().map(stage).collect(),
            *sampler,
            *steps,
            *guidance_scale,
            guidance_interval.map(interval),
            candidates.map(|candidates| (candidates.n, candidates.pruned_after)),
            *size,
        )
    }
}

impl From<Written> for Plan {
    fn from(written: Written) -> Self {
        let Written(model, stages, sampler, steps, guidance_scale, interval, candidates, size) =
            written;
        let stage = |(model, share)| Stage { model, share };
        Self {
            model,
            stages: stages.into_iter().map(stage).collect(),
            sampler,
            steps,
            guidance_scale,
            guidance_interval: interval.map(|(sigma_low, sigma_high)| GuidanceInterval {
                sigma_low,
                sigma_high,
            }),
            candidates: candidates.map(|(n, pruned_after)| Candidates { n, pruned_after }),
            size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::test_family::family;

    fn plan() -> Plan {
        let (model, size) = (ModelId("small".into()), "64x64".parse().unwrap());
        Plan::plain(model, SamplerKind::Ddim, 8, 3.0, size)
    }

    /// The token of a plan that is written as `json`.
    fn read(json: &str) -> Result<PlanToken, PlanTokenError> {
        let bytes = [&[VERSION], &[0; N_DIGEST][..], json.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(bytes).parse()
    }

    #[test]
    fn the_encoding_does_not_change() {
        let text = PlanToken::new(&plan(), &family()).to_string();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert_eq!(bytes[0], 1);
        let json = r#"["small",[],"ddim",8,3.0,null,null,"64x64"]"#;
        assert_eq!(String::from_utf8_lossy(&bytes[9..]), json);
        assert_eq!(read(json).unwrap().plan, plan());
        let full = r#"["b",[["a",0.4]],"dpmpp_2m",8,5.0,[0.3,5.0],[2,0.5],"128x128"]"#;
        let token = read(full).unwrap().to_string();
        assert!(token.len() < 300, "{}", token.len());
    }

    #[test]
    fn other_weights_are_noticed_and_another_ranker_where_one_ranks() {
        let (before, mut after) = (family(), family());
        let best_of = Plan {
            candidates: Some(Candidates {
                n: 2,
                pruned_after: None,
            }),
            ..plan()
        };
        let tokens = [plan(), best_of].map(|plan| PlanToken::new(&plan, &before));
        assert_eq!(tokens.each_ref().map(|t| t.suits(&after)), [true, true]);
        after.image_encoder_digest = Some("sha256:another".into());
        assert_eq!(tokens.each_ref().map(|t| t.suits(&after)), [true, false]);
        after.digest = "sha256:another".into();
        assert_eq!(tokens.each_ref().map(|t| t.suits(&after)), [false, false]);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let whole = PlanToken::new(&plan(), &family()).to_string();
        let cut = &whole[..whole.len() - 2];
        let long = "A".repeat(2000);
        for text in [
            "",
            "A",
            "AQ",
            "not a token",
            cut,
            &long,
            &format!("{whole}="),
        ] {
            assert!(text.parse::<PlanToken>().is_err(), "{text}");
        }
        let later = URL_SAFE_NO_PAD.encode([7; 80]);
        let refused = later.parse::<PlanToken>().unwrap_err();
        assert_eq!(refused, PlanTokenError::Version { found: 7 });
    }

    #[test]
    fn numbers_that_no_plan_has_are_refused() {
        for (json, what) in [
            (r#"["a",[],"ddim",0,3.0,null,null,"8x8"]"#, "step count"),
            (r#"["a",[],"ddim",1001,3.0,null,null,"8x8"]"#, "step count"),
            (r#"["a",[],"ddim",8,0.0,null,null,"8x8"]"#, "guidance scale"),
            (r#"["a",[],"ddim",8,1e9,null,null,"8x8"]"#, "guidance scale"),
            (r#"["a",[["b",1.0]],"ddim",8,3.0,null,null,"8x8"]"#, "share"),
            (
                r#"["a",[["b",0.6],["c",0.6]],"ddim",8,3.0,null,null,"8x8"]"#,
                "share",
            ),
            (r#"["a",[],"ddim",8,3.0,[2.0,1.0],null,"8x8"]"#, "interval"),
            (
                r#"["a",[],"ddim",8,3.0,[-1.0,null],null,"8x8"]"#,
                "interval",
            ),
            (r#"["a",[],"ddim",8,3.0,null,[1,null],"8x8"]"#, "candidates"),
            (
                r#"["a",[],"ddim",8,3.0,null,[65,null],"8x8"]"#,
                "candidates",
            ),
            (r#"["a",[],"ddim",8,3.0,null,[2,1.5],"8x8"]"#, "candidates"),
        ] {
            let message = read(json).unwrap_err().to_string();
            assert!(message.contains(what), "{json}: {message}");
        }
    }
}
