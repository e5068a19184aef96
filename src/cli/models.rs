//! `goldilocks models`: what is hosted, how large is it, and was it measured?

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::{examples, out, precision};
use crate::{
    catalog::{Family, ModelCard},
    planner::{
        Profile,
        cost::{Grid, text, unet, vae},
        profile::ProfileKind,
    },
    units::ImageSize,
};

/// Lists the hosted families and models
#[derive(Debug, clap::Args)]
#[command(after_help = examples::MODELS)]
pub struct Args {
    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    config: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints the list.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let catalog = precision::load(&args.config)?;
    let families: Vec<Listed> = catalog.families.iter().map(Listed::new).collect();
    if args.json {
        return out::print_json(&families);
    }
    out::print(&families.iter().map(Listed::table).collect::<String>())
}

#[derive(Debug, Serialize)]
struct Listed {
    family: String,
    path: PathBuf,
    sizes: Vec<ImageSize>,
    text_encoder: Part,
    decoder: Part,
    models: Vec<ListedModel>,
    digest: String,
    profile: ProfileState,
}

/// One network: its size, and one forward pass over one row at the default picture size.
#[derive(Debug, Serialize)]
struct Part {
    parameters: u64,
    gflops: f64,
}

#[derive(Debug, Serialize)]
struct ListedModel {
    id: String,
    parameters: u64,
    /// One unguided step of one picture at the default size.
    gflops_per_step: f64,
    device: String,
    dtype: String,
    distilled: bool,
}

/// Whether there are scores for these weights.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "state", rename_all = "snake_case")]
enum ProfileState {
    /// None is named.
    None,
    /// It was measured on these very weights.
    Measured { cells: usize },
    /// The same, against the family's own dearest plan.
    #[serde(rename = "self")]
    SelfReference { cells: usize },
    /// It cannot be used.
    Unusable { reason: String },
}

impl Listed {
    fn new(family: &Family) -> Self {
        let latents = Grid::of_latents(family.default_size(), family.vae.downscale());
        let n_tokens = family.text_encoder.max_position_embeddings;
        let models = family.models.iter();
        Self {
            family: family.id.clone(),
            path: family.path.clone(),
            sizes: family.sizes.clone(),
            text_encoder: Part::new(text::cost(&family.text_encoder)),
            decoder: Part::new(vae::decoder_cost(&family.vae, latents)),
            models: models
                .map(|model| ListedModel::new(model, latents, n_tokens))
                .collect(),
            digest: family.digest.clone(),
            profile: ProfileState::of(family),
        }
    }

    fn table(&self) -> String {
        let mut text = format!("{}  {}\n", self.family, self.path.display());
        let sizes: Vec<String> = self.sizes.iter().map(ToString::to_string).collect();
        let mut line = |name: &str, value: &str| {
            writeln!(text, "  {name:<13} {value}").expect("writing to a string cannot fail");
        };
        line("sizes", &sizes.join(", "));
        line("text encoder", &self.text_encoder.shown());
        line("decoder", &self.decoder.shown());
        line("profile", &self.profile.shown());
        line("digest", &self.digest);
        for model in &self.models {
            let part = Part {
                parameters: model.parameters,
                gflops: model.gflops_per_step,
            };
            let distilled = if model.distilled { " distilled" } else { "" };
            let place = format!("{} {}{distilled}", model.device, model.dtype);
            line(&model.id, &format!("{} a step   {place}", part.shown()));
        }
        text
    }
}

impl Part {
    fn new(cost: crate::planner::cost::NetworkCost) -> Self {
        Self {
            parameters: cost.parameters,
            gflops: cost.total().0 / 1e9,
        }
    }

    fn shown(&self) -> String {
        let millions = self.parameters as f64 / 1e6;
        format!("{millions:8.2} M parameters {:9.3} GFLOP", self.gflops)
    }
}

impl ListedModel {
    fn new(model: &ModelCard, latents: Grid, n_tokens: usize) -> Self {
        let cost = unet::cost(&model.unet, latents, n_tokens);
        Self {
            id: model.id.0.clone(),
            parameters: cost.parameters,
            gflops_per_step: cost.total().0 / 1e9,
            device: model.device.to_string(),
            dtype: model.dtype.to_string(),
            distilled: model.distilled,
        }
    }
}

impl ProfileState {
    fn of(family: &Family) -> Self {
        let Some(path) = &family.profile else {
            return Self::None;
        };
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let profile = text.and_then(|text| {
            Profile::from_json(&text, &family.digest).map_err(|error| error.to_string())
        });
        match profile {
            Ok(profile) => {
                let cells = profile.cells.len();
                match profile.kind {
                    ProfileKind::SelfReference => Self::SelfReference { cells },
                    _ => Self::Measured { cells },
                }
            }
            Err(reason) => Self::Unusable { reason },
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::None => "none; plans have no score".to_owned(),
            Self::Measured { cells } => format!("measured on these weights, {cells} plans"),
            Self::SelfReference { cells } => {
                format!("measured on these weights against their dearest plan, {cells} plans")
            }
            Self::Unusable { reason } => format!("unusable: {reason}"),
        }
    }
}
