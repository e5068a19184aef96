//! What did this machine teach us before? The latency model, kept between runs for as long as nothing
//! that it depends on has changed.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{catalog::Catalog, files, planner::LatencyModel};

/// What a learned latency is valid for. Another key means another machine, as far as time goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyKey {
    /// Version of the program.
    pub build: String,
    /// Which implementation does the arithmetic.
    pub backend: String,
    /// Threads that the arithmetic is spread over.
    pub threads: usize,
    /// Device and precision of every model.
    pub models: Vec<ModelKey>,
    /// Digest of every family's weights.
    pub weights: Vec<String>,
}

/// How one model runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelKey {
    /// Its name.
    pub model: String,
    /// Where it runs.
    pub device: String,
    /// Precision of its arithmetic.
    pub dtype: String,
}

impl LatencyKey {
    /// The key of a catalog in this build.
    pub fn new(catalog: &Catalog, backend: &str, threads: usize) -> Self {
        let families = catalog.families.iter();
        let models = families.clone().flat_map(|family| &family.models);
        Self {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            backend: backend.to_owned(),
            threads,
            models: models
                .map(|model| ModelKey {
                    model: model.id.0.clone(),
                    device: model.device.to_string(),
                    dtype: model.dtype.to_string(),
                })
                .collect(),
            weights: families.map(|family| family.digest.clone()).collect(),
        }
    }

    /// What would have to be the same.
    fn differs_from(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("build", self.build == other.build),
            ("instructions", self.backend == other.backend),
            ("threads", self.threads == other.threads),
            ("models", self.models == other.models),
            ("weights", self.weights == other.weights),
        ];
        let other = parts.into_iter().filter(|(_, is_same)| !is_same);
        other.map(|(name, _)| name).collect()
    }
}

/// The file under the state folder.
#[derive(Debug, Clone)]
pub struct LatencyFile {
    path: PathBuf,
    key: LatencyKey,
}

/// What a file of learned latencies holds.
#[derive(Debug)]
pub enum Learned {
    /// There is no file.
    Nothing,
    /// What holds here.
    Here(Box<LatencyModel>),
    /// It was learned under another key; in what they differ.
    Elsewhere(Vec<&'static str>),
    /// It cannot be read or understood.
    Unusable(String),
}

#[derive(Serialize)]
struct Kept<'a> {
    key: &'a LatencyKey,
    latency: &'a LatencyModel,
}

#[derive(Deserialize)]
struct Found {
    key: LatencyKey,
    latency: LatencyModel,
}

impl LatencyFile {
    /// The file in `state_dir`, for what runs under `key`.
    pub fn new(state_dir: &Path, key: LatencyKey) -> Self {
        Self {
            path: state_dir.join("latency.json"),
            key,
        }
    }

    /// Returns what was learned before, if it is valid here. A file that cannot be used is no reason not
    /// to serve: it is named in the log and replaced at the next [`LatencyFile::save`].
    pub fn load(&self) -> Option<LatencyModel> {
        let path = self.path.display();
        match self.look() {
            Learned::Nothing => None,
            Learned::Here(latency) => {
                tracing::info!(%path, requests = latency.n_observed(), "learned latencies read");
                Some(*latency)
            }
            Learned::Elsewhere(differs) => {
                let differs = differs.join(", ");
                tracing::info!(%path, %differs, "learned latencies do not hold here and are ignored");
                None
            }
            Learned::Unusable(error) => {
                tracing::warn!(%path, %error, "learned latencies cannot be used and are ignored");
                None
            }
        }
    }

    /// Returns what the file holds, for those who want to know why it does not count.
    pub fn look(&self) -> Learned {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Learned::Nothing,
            Err(error) => return Learned::Unusable(format!("it cannot be read: {error}")),
        };
        match serde_json::from_str::<Found>(&text) {
            Ok(found) if found.key == self.key => Learned::Here(Box::new(found.latency)),
            Ok(found) => Learned::Elsewhere(found.key.differs_from(&self.key)),
            Err(error) => {
                Learned::Unusable(format!("it is damaged or of another version: {error}"))
            }
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps what is known now.
    pub fn save(&self, latency: &LatencyModel) -> io::Result<()> {
        let kept = Kept {
            key: &self.key,
            latency,
        };
        files::replace(&self.path, &serde_json::to_vec_pretty(&kept)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{planner::PhaseTimes, units::Millis};

    fn key() -> LatencyKey {
        LatencyKey {
            build: "0.1.0".into(),
            backend: "candle".into(),
            threads: 2,
            models: Vec::new(),
            weights: vec!["sha256:aa".into()],
        }
    }

    fn learned() -> LatencyModel {
        let mut latency = LatencyModel::new(PhaseTimes::default());
        for took in [100.0, 120.0, 90.0] {
            latency.observe(Millis(100.0), Millis(took));
        }
        latency
    }

    #[test]
    fn what_was_learned_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = LatencyFile::new(&folder.path().join("deep/state"), key());
        assert_eq!(file.load(), None);
        file.save(&learned()).unwrap();
        assert_eq!(file.load().unwrap(), learned());
    }

    #[test]
    fn what_was_learned_elsewhere_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        LatencyFile::new(folder.path(), key())
            .save(&learned())
            .unwrap();
        let other_weights = LatencyKey {
            weights: vec!["sha256:bb".into()],
            ..key()
        };
        let other_threads = LatencyKey {
            threads: 4,
            ..key()
        };
        for other in [other_weights, other_threads] {
            assert_eq!(LatencyFile::new(folder.path(), other).load(), None);
        }
    }

    #[test]
    fn in_what_it_does_not_hold_is_told() {
        let folder = tempfile::tempdir().unwrap();
        LatencyFile::new(folder.path(), key())
            .save(&learned())
            .unwrap();
        let other = LatencyKey {
            build: "9.9.9".into(),
            threads: 4,
            ..key()
        };
        let Learned::Elsewhere(differs) = LatencyFile::new(folder.path(), other).look() else {
            panic!("another key holds elsewhere");
        };
        assert_eq!(differs, ["build", "threads"]);
    }

    #[test]
    fn a_damaged_file_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = LatencyFile::new(folder.path(), key());
        for damage in ["", "{", "{\"key\": 1}", "[]", "\u{0}\u{1}"] {
            fs::write(folder.path().join("latency.json"), damage).unwrap();
            assert_eq!(file.load(), None, "{damage:?}");
        }
        file.save(&learned()).unwrap();
        assert!(file.load().is_some());
    }

    #[test]
    fn a_file_of_an_earlier_version_is_learned_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = LatencyFile::new(folder.path(), key());
        let earlier = serde_json::json!({
            "key": key(),
            "latency": {
                "phases": { "text": [{ "family": "toy", "ms": 0.4 }], "step": [], "decode": [],
                            "encode": [], "rank": [] },
                "log_speed": 0.1, "errors": [0.0, 0.1], "recent": [0.1], "n_observed": 2,
            },
        });
        fs::write(folder.path().join("latency.json"), earlier.to_string()).unwrap();
        assert_eq!(file.load(), None);
    }
}
