//! `goldilocks doctor`: would `serve` work here, and what is to be mended?
//!
//! Each file below has one kind of check: what was found is gathered first, and judged by a pure function.

use std::path::Path;

use anyhow::bail;

use super::{examples, out, precision};
use crate::{
    catalog::{self, Catalog},
    config::{ConfigError, ServeFlags, ServerConfig, default_state_dir},
};

mod check;
mod hosted;
mod machine;
mod network;
mod state;

use check::{Check, Report};

/// Checks this machine and what is hosted, and says what to mend
///
/// Takes the flags of `serve` and looks at everything that `serve` would use, without loading a model or changing
/// anything: processor, memory, files, weights and their profiles, state folder, port.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::DOCTOR)]
#[command(mut_arg("print_config", |arg| arg.hide(true)))]
#[command(mut_arg("log", |arg| arg.hide(true)))]
#[command(mut_arg("log_format", |arg| arg.hide(true)))]
pub struct Args {
    #[command(flatten)]
    flags: ServeFlags,

    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

/// Prints every check; fails if one of them does.
pub fn run(args: Args) -> anyhow::Result<()> {
    let report = Report::new(examine(args.flags));
    if args.json {
        out::print_json(&report)?;
    } else {
        out::print(&report.lines())?;
    }
    if report.failed > 0 {
        bail!(
            "{} of {} checks failed; each says what to do",
            report.failed,
            report.checks.len()
        );
    }
    Ok(())
}

fn examine(flags: ServeFlags) -> Vec<Check> {
    let mut checks = vec![machine::processor(), machine::threads()];
    let listen = flags.listen;
    let named = flags.state_dir.clone().or_else(default_state_dir);
    let path = flags.config.clone();
    let config = ServerConfig::new(flags);
    let limits = config.iter().map(|config| config.limits);
    checks.extend(limits.map(|limits| machine::open_files(limits.max_connections)));
    checks.push(settings(config));
    let mut catalog = catalog::load(&path);
    checks.push(models(&path, catalog.as_ref()));
    if let Ok(catalog) = &mut catalog {
        let precisions: Vec<_> = catalog.families.iter().map(hosted::precision).collect();
        if let Err(error) = precision::resolve(catalog) {
            // The check has said so; what follows takes such models as they are written.
            tracing::debug!("{error}");
        }
        checks.push(machine::memory(catalog));
        checks.extend(hosted::devices(catalog));
        checks.extend(precisions);
        checks.extend(catalog.families.iter().map(hosted::profile));
    }
    if let Some(state_dir) = named {
        checks.push(state::folder(&state_dir));
        checks.extend(catalog.iter().map(|it| state::latencies(it, &state_dir)));
    }
    checks.push(network::port(listen));
    checks
}

fn settings(config: Result<ServerConfig, ConfigError>) -> Check {
    match config {
        Ok(config) => Check::ok("settings", access(&config)),
        Err(error) => Check::fail(
            "settings",
            error.to_string(),
            "mend that flag, or its variable GOLDILOCKS_...; `goldilocks serve --help` has all of them",
        ),
    }
}

fn access(config: &ServerConfig) -> String {
    match config.access.api_keys.len() {
        0 => "everybody may ask (no --api-key-file)".to_owned(),
        n => format!("only those may ask who have one of the {n} API keys"),
    }
}

fn models(path: &Path, catalog: Result<&Catalog, &catalog::CatalogError>) -> Check {
    match catalog {
        Ok(catalog) => {
            let n_models: usize = catalog.families.iter().map(|it| it.models.len()).sum();
            let n_families = catalog.families.len();
            let shown = path.display();
            let broken: Vec<String> = catalog.families.iter().flat_map(hosted::broken).collect();
            if !broken.is_empty() {
                let remedy = "fetch these files again: they are not what their headers say";
                return Check::fail("models", format!("{shown}: {}", broken.join(", ")), remedy);
            }
            let found =
                format!("{shown}: families {n_families}, models {n_models}, all weights there");
            Check::ok("models", found)
        }
        Err(error) => {
            let remedy =
                "mend the file, or name another one with --config; the README has an example";
            Check::fail("models", error.to_string(), remedy)
        }
    }
}
