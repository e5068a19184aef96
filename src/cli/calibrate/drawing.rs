//! How do calibrations that draw go about it? What is said of that alike.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::command_line;
use crate::{
    calibrate::{campaign::Sizes, grid::Grid, quality::Settings},
    catalog::{Family, SamplerKind},
    cli::numbers,
    config,
    engine::device,
};

#[derive(Debug, clap::Args)]
pub(super) struct DrawingArgs {
    /// Stop after so many minutes; plans that are finished by then count
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::not_negative)]
    minutes: Option<f64>,

    /// Where finished plans are kept [default: calibration in the state folder]
    #[arg(long)]
    work_dir: Option<PathBuf>,

    /// Measure everything again
    #[arg(long)]
    fresh: bool,

    /// Threads that draw at the same time [default: all cores]
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,

    /// Pictures that a thread draws together
    #[arg(long, default_value_t = 32)]
    batch: usize,

    /// Commit of the program, for the profile's provenance
    #[arg(long, default_value = option_env!("GIT_SHA").unwrap_or("unknown"))]
    commit: String,
}

impl DrawingArgs {
    pub(super) fn settings(self, family: &Family, grid: Grid, sizes: Sizes) -> Result<Settings> {
        if let Some(unknown) = grid.models.iter().find(|id| family.model(id).is_none()) {
            bail!("family {:?} has no model {unknown:?}", family.id);
        }
        let is_usable = |scale: &f64| (1.0..=100.0).contains(scale);
        if let Some(odd) = grid.guidance.iter().find(|scale| !is_usable(scale)) {
            bail!("guidance scale {odd} is outside 1..=100");
        }
        ensure!(
            !grid.samplers.contains(&SamplerKind::Lcm),
            "lcm is for distilled models, which are measured with it in any case; leave it out"
        );
        ensure!(
            sizes.captions >= 2,
            "no score rests on {} captions; 2 or more would do",
            sizes.captions
        );
        ensure!(
            self.batch > 0,
            "a batch of 0 pictures draws nothing; 1 or more would do"
        );
        let limit = self
            .minutes
            .map(|minutes| Duration::try_from_secs_f64(60.0 * minutes));
        let work_dir = match self.work_dir {
            Some(folder) => folder,
            None => config::default_state_dir()
                .context("there is no home folder for finished plans; name one with --work-dir")?
                .join("calibration"),
        };
        Ok(Settings {
            grid,
            sizes,
            work_dir,
            fresh: self.fresh,
            threads: self.threads.unwrap_or_else(device::n_cores),
            batch: self.batch,
            limit: limit
                .transpose()
                .context("--minutes must be a positive number")?,
            commit: self.commit,
            command: command_line(std::env::args()),
        })
    }
}
