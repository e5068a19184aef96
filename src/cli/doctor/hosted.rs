//! Can what is hosted be used? Devices, and profiles of these very weights.

use std::{collections::BTreeSet, fs};

use super::{super::precision, check::Check};
use crate::{
    catalog::{Catalog, Family, ModelId, digest},
    engine::{device, weights},
    planner::{
        Profile,
        profile::{ProfileError, ProfileKind},
    },
    runtime::executor::pipeline,
};

/// What is wrong with the files of a family's weights, as far as their headers tell.
pub(super) fn broken(family: &Family) -> Vec<String> {
    let image_encoder = family.image_encoder.as_ref();
    let image_encoder = image_encoder.map(|_| family.path.join("image_encoder"));
    let folders = digest::networks(family).chain(image_encoder);
    let files = folders.filter_map(|folder| digest::weights_file(&folder).ok());
    files
        .filter_map(|file| weights::expect_whole(&file).err())
        .map(|error| error.to_string())
        .collect()
}

/// Whether each device that a model names can be opened.
pub(super) fn devices(catalog: &Catalog) -> Vec<Check> {
    let named = pipeline::devices(catalog).into_iter();
    named
        .map(|(spec, families)| {
            let families: Vec<&str> = families.iter().map(|it| it.id.as_str()).collect();
            let found = format!("{spec} for {}", families.join(", "));
            match device::open(spec) {
                Ok(_) => Check::ok("device", found),
                Err(error) => Check::fail(
                    "device",
                    format!("{found}: {error}"),
                    "install the driver and CUDA 13's libraries (a Python environment with PyTorch has them in nvidia/cu13/lib), \
                     use a build with `--features cuda`, or give these models device = \"cpu\"",
                ),
            }
        })
        .collect()
}

/// In which precision each model of a family computes, and whether it can.
pub(super) fn precision(family: &Family) -> Check {
    judge_precision(precision::with_choices(family, |model, choice| {
        choice
            .map(|it| format!("{model} {} ({})", it.dtype, it.reason))
            .map_err(|error| error.to_string())
    }))
}

fn judge_precision(models: Vec<Result<String, String>>) -> Check {
    let (found, faults): (Vec<_>, Vec<_>) = models.into_iter().partition(Result::is_ok);
    let lines = |lines: Vec<Result<String, String>>| {
        let lines = lines
            .into_iter()
            .map(|line| line.unwrap_or_else(|fault| fault));
        lines.collect::<Vec<_>>().join(", ")
    };
    if faults.is_empty() {
        return Check::ok("precision", lines(found));
    }
    Check::fail(
        "precision",
        lines(faults),
        "give these models dtype = \"f32\" or \"auto\", or move to a processor with avx512_bf16",
    )
}

/// Whether a family's plans have scores that hold for its weights.
pub(super) fn profile(family: &Family) -> Check {
    let id = &family.id;
    let Some(path) = &family.profile else {
        return Check::warn(
            "profile",
            format!("family {id} has none: its plans have no score and follow defaults"),
            format!(
                "measure one with `{}` and name it in models.toml",
                command(family)
            ),
        );
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return Check::fail(
                "profile",
                format!("family {id}: cannot read {}: {error}", path.display()),
                format!(
                    "measure it with `{}`, or leave it out of models.toml",
                    command(family)
                ),
            );
        }
    };
    judge_profile(family, Profile::from_json(&text, &family.digest))
}

/// The command that would measure the family.
fn command(family: &Family) -> String {
    let of_self = if family.path.join("evaluator").is_dir() {
        ""
    } else {
        " --self"
    };
    format!(
        "goldilocks calibrate quality{of_self} --family {}",
        family.id
    )
}

fn judge_profile(family: &Family, profile: Result<Profile, ProfileError>) -> Check {
    let id = &family.id;
    let profile = match profile {
        Ok(profile) => profile,
        Err(error) => {
            return Check::fail(
                "profile",
                format!("family {id}: {error}"),
                format!(
                    "measure it anew with `{}`, or leave it out of models.toml",
                    command(family)
                ),
            );
        }
    };
    let kind = match profile.kind {
        ProfileKind::SelfReference => "against its own dearest plan",
        _ => "on these weights",
    };
    let found = format!(
        "family {id}: {} plans, measured {kind} on {}",
        profile.cells.len(),
        profile.provenance.date
    );
    let missing = unmeasured(family, &profile);
    if !missing.is_empty() {
        return Check::warn(
            "profile",
            format!("{found}, but none of {}", missing.join(", ")),
            format!("`{}` measures what is missing", command(family)),
        );
    }
    let ranks = family.image_encoder_digest.is_some();
    if ranks && profile.ranker_digest != family.image_encoder_digest {
        return Check::warn(
            "profile",
            format!("{found}, with another image encoder: plans with candidates are not offered"),
            format!("`{}` measures them again", command(family)),
        );
    }
    Check::ok("profile", found)
}

/// Hosted models of which no plan was measured.
fn unmeasured(family: &Family, profile: &Profile) -> Vec<String> {
    let measured: BTreeSet<&ModelId> = profile.cells.iter().map(|cell| &cell.plan.model).collect();
    let models = family.models.iter().map(|card| &card.id);
    models
        .filter(|id| !measured.contains(id))
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::doctor::check::Level;

    fn family() -> Family {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let catalog = crate::catalog::load(&root.join("models.toml")).unwrap();
        catalog.default_family().clone()
    }

    fn shipped(family: &Family) -> Profile {
        let text = fs::read_to_string(family.profile.as_ref().unwrap()).unwrap();
        Profile::from_json(&text, &family.digest).unwrap()
    }

    #[test]
    fn a_precision_that_the_processor_lacks_fails() {
        let good = || Ok("a f32 (as models.toml says)".to_owned());
        let check = judge_precision(vec![good(), good()]);
        assert_eq!(check.level, Level::Ok);
        assert!(check.found.contains("a f32 (as models.toml says), a"));
        let check = judge_precision(vec![good(), Err("b has none".into())]);
        assert_eq!(
            (check.level, check.found.as_str()),
            (Level::Fail, "b has none")
        );
    }

    #[test]
    fn the_shipped_profile_is_as_it_should_be() {
        let family = family();
        let check = profile(&family);
        assert_eq!(check.level, Level::Ok, "{check:?}");
        assert!(
            check.found.contains("plans, measured on these weights"),
            "{check:?}"
        );
    }

    #[test]
    fn a_profile_of_other_weights_fails_and_says_how_to_measure_it_anew() {
        let other = Family {
            digest: "sha256:other".into(),
            ..family()
        };
        let check = profile(&other);
        assert_eq!(check.level, Level::Fail);
        assert!(
            check
                .remedy
                .unwrap()
                .contains("calibrate quality --family emoji")
        );
    }

    #[test]
    fn what_was_not_measured_is_a_warning_that_names_it() {
        let family = family();
        let mut part = shipped(&family);
        part.cells.retain(|cell| cell.plan.model.0 != "emoji-c8");
        let check = judge_profile(&family, Ok(part));
        assert_eq!(check.level, Level::Warn);
        assert!(check.found.ends_with("but none of emoji-c8"), "{check:?}");
        let mut other = shipped(&family);
        other.ranker_digest = None;
        assert_eq!(judge_profile(&family, Ok(other)).level, Level::Warn);
    }

    #[test]
    fn a_family_without_a_profile_is_a_warning_and_a_file_that_is_not_there_a_failure() {
        let family = family();
        let none = Family {
            profile: None,
            ..family.clone()
        };
        assert_eq!(profile(&none).level, Level::Warn);
        let lost = Family {
            profile: Some("no/such/profile.json".into()),
            ..family
        };
        assert_eq!(profile(&lost).level, Level::Fail);
    }
}
