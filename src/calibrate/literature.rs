//! What was printed about full-size models? Table 1 of arXiv 2404.01367, for display.
//!
//! `calibration/literature.json` holds it. One measurement a model, at one sampler, step count and
//! guidance, is no choice of plans: the planner refuses the file, reports may show it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::planner::profile::ProfileKind;

/// The version of the file format that this program reads.
const VERSION: u32 = 1;

/// Printed measurements of models that were never published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Literature {
    /// The version of the format.
    pub version: u32,
    /// [`ProfileKind::Literature`], which keeps the file from being planned with.
    pub kind: ProfileKind,
    /// The paper's title.
    pub title: String,
    /// Where the numbers are printed.
    pub citation: String,
    /// Under what conditions they hold.
    pub conditions: String,
    /// Which of the numbers are not printed but counted, and how.
    pub recount: String,
    /// One entry for each model, the smallest first.
    pub rows: Vec<Row>,
}

/// One printed model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// As it is called in print, after its parameters.
    pub name: String,
    /// Channels of the first level.
    pub channels: usize,
    /// 10^9 operations of one network evaluation, as printed.
    pub gflops_per_step: f64,
    /// The same, counted from the architecture.
    pub gflops_recounted: f64,
    /// Millions of parameters, counted from the architecture.
    pub params_m: f64,
    /// Operations of one evaluation relative to the 866M model's, as printed.
    pub relative_cost: f64,
    /// Frechet inception distance, lower is better, as printed.
    pub fid: f64,
    /// CLIP score, higher is better, as printed.
    pub clip: f64,
    /// What is wrong with a printed number of this row; null for nothing.
    pub misprint: Option<String>,
}

impl Row {
    /// 10^9 operations of one evaluation to show: as printed, or recounted where that is a misprint.
    pub fn gflops(&self) -> f64 {
        match self.misprint {
            None => self.gflops_per_step,
            Some(_) => self.gflops_recounted,
        }
    }
}

/// Reads and checks the file.
pub fn read(path: &Path) -> Result<Literature> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    from_json(&text).with_context(|| format!("{} cannot be used", path.display()))
}

fn from_json(text: &str) -> Result<Literature> {
    let literature: Literature = serde_json::from_str(text)?;
    let found = literature.version;
    ensure!(
        found == VERSION,
        "it has version {found}, this program reads version {VERSION}"
    );
    ensure!(
        literature.kind == ProfileKind::Literature,
        "its kind is not \"literature\", so it is not a table from print"
    );
    ensure!(!literature.rows.is_empty(), "it has no rows");
    Ok(literature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Literature {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        read(&root.join("calibration/literature.json")).unwrap()
    }

    #[test]
    fn the_shipped_table_has_eleven_models_that_get_better_and_dearer() {
        let Literature { rows, citation, .. } = shipped();
        assert_eq!(rows.len(), 11);
        assert!(citation.contains("2404.01367"), "{citation}");
        for pair in rows.windows(2) {
            let [small, large] = pair else { continue };
            assert!(small.params_m < large.params_m && small.fid > large.fid);
            assert!(
                small.gflops() < large.gflops(),
                "{} {}",
                small.name,
                large.name
            );
        }
    }

    #[test]
    fn printed_costs_are_those_of_their_models_but_for_the_one_misprint() {
        let rows = shipped().rows;
        let whole = rows.iter().find(|row| row.name == "866M").unwrap().gflops();
        for row in rows {
            let implied = row.gflops_per_step / whole;
            let agrees = (implied - row.relative_cost).abs() < 0.006;
            assert_eq!(agrees, row.misprint.is_none(), "{}: {implied}", row.name);
        }
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let text = include_str!("../../calibration/literature.json");
        let measured = text.replace("\"literature\"", "\"measured\"");
        let message = from_json(&measured).unwrap_err().to_string();
        assert!(message.contains("literature"), "{message}");
    }
}
