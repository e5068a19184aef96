//! Which backend computes the two networks? The processor's own on a CPU, candle's elsewhere.

use std::{collections::BTreeMap, fmt};

use candle_core::Device;

use crate::{
    catalog::{Family, ModelId},
    engine::{
        EngineError,
        ops::{Backend, Shape, candle::Candle, native::Native},
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
};

/// The file name of U-Nets and autoencoders, without its end.
const STEM: &str = "diffusion_pytorch_model";

/// Every U-Net of a family and its decoder, on some backend. Numbers go in and out row by row,
/// channel by channel, line by line.
pub(super) trait Networks: fmt::Debug + Send + Sync {
    /// The models there are, in order of their names.
    fn models(&self) -> Vec<&ModelId>;

    /// The error for a model that there is not.
    fn unknown(&self, model: &ModelId) -> EngineError {
        let loaded: Vec<_> = self.models().iter().map(|id| id.0.as_str()).collect();
        EngineError::UnknownModel {
            model: model.clone(),
            loaded: loaded.join(", "),
        }
    }

    /// Evaluates a U-Net, one timestep a row. `states` holds the rows' texts one after the other.
    fn predict(
        &self,
        model: &ModelId,
        latents: (Shape, &[f32]),
        timesteps: &[f64],
        states: (Shape, Vec<f32>),
    ) -> Result<Vec<f32>, EngineError>;

    /// Decodes latents, already divided by the scaling factor; returns the pictures with their shape.
    fn decode(&self, shape: Shape, latents: &[f32]) -> Result<(Shape, Vec<f32>), EngineError>;
}

/// Loads the networks of a family onto a device.
pub(super) fn load(family: &Family, device: &Device) -> Result<Box<dyn Networks>, EngineError> {
    if device.is_cpu() {
        Ok(Box::new(On::load(Native, family)?))
    } else {
        Ok(Box::new(On::load(Candle::new(device.clone()), family)?))
    }
}

#[derive(Debug)]
struct On<B: Backend> {
    ops: B,
    unets: BTreeMap<ModelId, Unet<B>>,
    decoder: Decoder<B>,
}

impl<B: Backend> On<B> {
    fn load(ops: B, family: &Family) -> Result<Self, EngineError> {
        let mut unets = BTreeMap::new();
        for model in &family.models {
            let weights = Weights::open_folder(&model.unet_path, STEM)?;
            unets.insert(model.id.clone(), Unet::load(&ops, &weights, &model.unet)?);
        }
        let weights = Weights::open_folder(&family.path.join("vae"), STEM)?;
        Ok(Self {
            decoder: Decoder::load(&ops, &weights, &family.vae)?,
            ops,
            unets,
        })
    }
}

impl<B: Backend> Networks for On<B> {
    fn models(&self) -> Vec<&ModelId> {
        self.unets.keys().collect()
    }

    fn predict(
        &self,
        model: &ModelId,
        (shape, latents): (Shape, &[f32]),
        timesteps: &[f64],
        (text, states): (Shape, Vec<f32>),
    ) -> Result<Vec<f32>, EngineError> {
        let unet = self.unets.get(model).ok_or_else(|| self.unknown(model))?;
        let xs = self.ops.upload_chw(shape, latents)?;
        let context = self.ops.upload_tokens(text, states)?;
        let output = unet.forward(&self.ops, &xs, timesteps, &context)?;
        self.ops.download_chw(&output)
    }

    fn decode(&self, shape: Shape, latents: &[f32]) -> Result<(Shape, Vec<f32>), EngineError> {
        let xs = self.ops.upload_chw(shape, latents)?;
        let pictures = self.decoder.forward(&self.ops, &xs)?;
        Ok((self.ops.shape(&pictures), self.ops.download_chw(&pictures)?))
    }
}
