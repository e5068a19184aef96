//! What was already measured? One file for each plan, so that an interrupted calibration goes on.
//!
//! The name of a file holds a digest of everything its numbers depend on: weights, captions and
//! plan. A file that is there is therefore right, and files of other weights do no harm.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::trial::Trial;
use crate::{
    evaluator::{Assessment, Attributes},
    files,
    planner::Plan,
};

const FEATURES: &str = "features";
const ATTRIBUTES: &str = "attributes";

/// The folder of measured plans.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, making it if need be.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Returns the assessments of a trial's first captions, as many as were measured, at most `count`.
    pub fn load(&self, trial: &Trial, weights: &str, count: usize) -> Result<Vec<Assessment>> {
        let path = self.path(trial, weights);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let mut assessments = fs::read(&path)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| decode(&bytes))
            .with_context(|| {
                format!(
                    "{} cannot be used; delete it to measure again",
                    path.display()
                )
            })?;
        assessments.truncate(count);
        Ok(assessments)
    }

    /// Keeps the assessments of a trial, one for each caption in order.
    pub fn save(&self, trial: &Trial, weights: &str, assessments: &[Assessment]) -> Result<()> {
        let path = self.path(trial, weights);
        files::replace(&path, &encode(assessments)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// `weights` names everything besides the trial that the numbers depend on.
    fn path(&self, trial: &Trial, weights: &str) -> PathBuf {
        let Plan {
            model,
            sampler,
            steps,
            guidance_scale,
            size,
            ..
        } = &trial.plan;
        let mut depends_on = format!("{weights} {size}");
        if !trial.plan.is_plain() || trial.rush.is_some() {
            depends_on = format!("{depends_on} {trial}");
        }
        let digest = Sha256::digest(depends_on);
        let digest = digest[..6]
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let name = format!("{model}-{sampler}-{steps}-{guidance_scale}-{digest}.safetensors");
        self.folder.join(name)
    }
}

fn encode(assessments: &[Assessment]) -> Result<Vec<u8>> {
    let dim = assessments.first().map_or(0, |first| first.features.len());
    let features = assessments
        .iter()
        .flat_map(|assessment| &assessment.features);
    let bytes: Vec<u8> = features.flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![assessments.len(), dim], &bytes)?;
    let attributes: Vec<&Attributes> = assessments
        .iter()
        .map(|assessment| &assessment.attributes)
        .collect();
    let metadata = HashMap::from([(ATTRIBUTES.to_owned(), serde_json::to_string(&attributes)?)]);
    Ok(safetensors::serialize([(FEATURES, view)], Some(metadata))?)
}

fn decode(bytes: &[u8]) -> Result<Vec<Assessment>> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().as_ref().context("it has no metadata")?;
    let attributes = metadata.get(ATTRIBUTES).context("it has no attributes")?;
    let attributes: Vec<Attributes> = serde_json::from_str(attributes)?;
    let rows = rows(&SafeTensors::deserialize(bytes)?, FEATURES)?;
    ensure!(
        rows.len() == attributes.len(),
        "it has {} rows and {} lists of attributes",
        rows.len(),
        attributes.len()
    );
    let pairs = rows.into_iter().zip(attributes);
    Ok(pairs
        .map(|(features, attributes)| Assessment {
            features,
            attributes,
        })
        .collect())
}

/// Returns the rows of a matrix in f32 or f16.
pub(super) fn rows(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<Vec<f32>>> {
    let view = tensors
        .tensor(name)
        .with_context(|| format!("tensor {name} is missing"))?;
    let [_, dim] = *view.shape() else {
        anyhow::bail!(
            "tensor {name} has shape {:?}, not rows and columns",
            view.shape()
        );
    };
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect(),
        Dtype::F16 => view
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| half::f16::from_le_bytes(bytes).to_f32())
            .collect(),
        other => anyhow::bail!("tensor {name} is {other:?}; supported: F32, F16"),
    };
    Ok(values
        .chunks_exact(dim.max(1))
        .map(<[f32]>::to_vec)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{ModelId, SamplerKind},
        diffusion::Stage,
        planner::{Plan, profile::Rush},
        units::Steps,
    };

    fn trial(steps: Steps) -> Trial {
        let (model, size) = (ModelId("toy-c8".into()), "64x64".parse().unwrap());
        Plan::plain(model, SamplerKind::Ddim, steps, 3.0, size).into()
    }

    fn assessments(count: usize) -> Vec<Assessment> {
        let assessment = |i: usize| Assessment {
            features: vec![i as f32, 0.5, 1e-3],
            attributes: Attributes::from([("object".into(), format!("thing {i}"))]),
        };
        (0..count).map(assessment).collect()
    }

    #[test]
    fn what_was_measured_is_found_again_under_the_same_weights_and_plan_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(&trial(4), "sha256:aa", &assessments(3)).unwrap();
        let known =
            |trial: &Trial, weights: &str, count| store.load(trial, weights, count).unwrap();
        assert_eq!(known(&trial(4), "sha256:aa", 2), assessments(2));
        let all = known(&trial(4), "sha256:aa", 4);
        assert_eq!(all, assessments(3), "as many as there are");
        assert_eq!(known(&trial(4), "sha256:bb", 2), [], "other weights");
        assert_eq!(known(&trial(8), "sha256:aa", 2), [], "another plan");
    }

    #[test]
    fn a_shortened_plan_and_a_stitched_one_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(&trial(4), "sha256:aa", &assessments(3)).unwrap();
        let rushed = Trial {
            rush: Some(Rush { after: 2, then: 1 }),
            ..trial(4)
        };
        let stitched = Trial::from(Plan {
            stages: vec![Stage {
                model: ModelId("toy-c4".into()),
                share: 0.5,
            }],
            ..trial(4).plan
        });
        for other in [rushed, stitched] {
            assert_eq!(store.load(&other, "sha256:aa", 2).unwrap(), [], "{other}");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.save(&trial(4), "sha256:aa", &assessments(3)).unwrap();
        fs::write(store.path(&trial(4), "sha256:aa"), b"half").unwrap();
        let message = format!("{:#}", store.load(&trial(4), "sha256:aa", 2).unwrap_err());
        assert!(
            message.contains("toy-c8-ddim-4-3") && message.contains("delete it"),
            "{message}"
        );
    }
}
