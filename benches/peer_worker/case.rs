//! What is to be computed, from which weights and inputs? A row of the table, as `bench/peers/cases.py` writes it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use goldilocks::{
    catalog::architecture::{UnetConfig, VaeConfig, read_json},
    engine::{
        ops::{Backend, Shape},
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
    planner::cost,
    units::{Flops, Steps},
};
use serde::Deserialize;

/// The file name of U-Nets and autoencoders, without its end.
const STEM: &str = "diffusion_pytorch_model";

/// One row of the table.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// Safetensors with everything that goes in.
    pub(crate) inputs: PathBuf,
    pub(crate) unet: Option<PathBuf>,
    pub(crate) vae: Option<PathBuf>,
    pub(crate) picture: Option<Picture>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// One evaluation of a U-Net.
    Unet,
    /// Latents to pixels.
    Decode,
    /// Noise and text states to pixels.
    Picture,
}

/// How the picture is drawn where the engine itself knows the way.
#[derive(Debug, Deserialize)]
pub(crate) struct Picture {
    pub(crate) models: PathBuf,
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) steps: Steps,
    pub(crate) guidance: f64,
}

impl Case {
    pub(crate) fn folder<'a>(&self, folder: Option<&'a PathBuf>) -> anyhow::Result<&'a Path> {
        let kind = self.kind;
        let folder = folder.with_context(|| format!("a {kind:?} case without its folder"))?;
        Ok(folder)
    }

    pub(crate) fn picture(&self) -> anyhow::Result<&Picture> {
        self.picture.as_ref().context("a case without its picture")
    }

    pub(crate) fn unet_config(&self) -> anyhow::Result<UnetConfig> {
        let folder = self.folder(self.unet.as_ref())?;
        Ok(UnetConfig::read(&folder.join("config.json"))?)
    }

    pub(crate) fn vae_config(&self) -> anyhow::Result<VaeConfig> {
        let folder = self.folder(self.vae.as_ref())?;
        Ok(read_json(&folder.join("config.json"))?)
    }

    pub(crate) fn load_unet<B: Backend>(&self, ops: &B) -> anyhow::Result<Unet<B>> {
        let weights = Weights::open_folder(self.folder(self.unet.as_ref())?, STEM)?;
        Ok(Unet::load(ops, &weights, &self.unet_config()?)?)
    }

    pub(crate) fn load_decoder<B: Backend>(&self, ops: &B) -> anyhow::Result<Decoder<B>> {
        let weights = Weights::open_folder(self.folder(self.vae.as_ref())?, STEM)?;
        Ok(Decoder::load(ops, &weights, &self.vae_config()?)?)
    }

    pub(crate) fn inputs(&self) -> anyhow::Result<Inputs> {
        Ok(Inputs(Weights::open(&self.inputs)?))
    }

    /// The nominal operations of the case.
    pub(crate) fn cost(&self) -> anyhow::Result<Flops> {
        let inputs = self.inputs()?;
        let unet = |shape: Shape, tokens| -> anyhow::Result<Flops> {
            Ok(cost::unet::cost(&self.unet_config()?, grid(shape), tokens).total())
        };
        let decoder = |shape: Shape| -> anyhow::Result<Flops> {
            Ok(cost::vae::decoder_cost(&self.vae_config()?, grid(shape)).total())
        };
        match self.kind {
            Kind::Unet => {
                let shape = inputs.grid("sample")?.0;
                let tokens = inputs.tokens("states")?.0.width;
                Ok(unet(shape, tokens)? * shape.rows as f64)
            }
            Kind::Decode => decoder(inputs.grid("latents")?.0),
            Kind::Picture => {
                let (shape, steps) = (inputs.grid("noise")?.0, self.picture()?.steps);
                let tokens = inputs.tokens("states")?.0.width;
                let evaluations = unet(shape, tokens)? * (2.0 * f64::from(steps));
                Ok(evaluations + decoder(shape)?)
            }
        }
    }
}

fn grid(shape: Shape) -> cost::Grid {
    cost::Grid {
        height: shape.height,
        width: shape.width,
    }
}

/// What goes into a case.
pub(crate) struct Inputs(Weights);

impl Inputs {
    /// A batch of grids, stored rows x channels x height x width.
    pub(crate) fn grid(&self, name: &str) -> anyhow::Result<(Shape, Vec<f32>)> {
        let (dims, values) = self.0.read(name)?;
        let &[rows, channels, height, width] = dims.as_slice() else {
            bail!("{name} has {} dimensions, but 4 are needed", dims.len());
        };
        Ok((Shape::grid(rows, height, width, channels), values))
    }

    /// A batch of texts, stored rows x tokens x channels.
    pub(crate) fn tokens(&self, name: &str) -> anyhow::Result<(Shape, Vec<f32>)> {
        let (dims, values) = self.0.read(name)?;
        let &[rows, tokens, channels] = dims.as_slice() else {
            bail!("{name} has {} dimensions, but 3 are needed", dims.len());
        };
        Ok((Shape::tokens(rows, tokens, channels), values))
    }

    pub(crate) fn vector(&self, name: &str) -> anyhow::Result<Vec<f64>> {
        let values = self.0.read(name)?.1;
        Ok(values.into_iter().map(f64::from).collect())
    }
}
