//! How does a family draw? Prompts to text states, noise to latents step by step, latents to pixels.
//!
//! A [`Trajectory`] is one picture on its way. [`Pipeline::step`] moves any number of them one step
//! on in one evaluation of their network, each at its own step, step count, sampler and guidance; a
//! picture does not depend on what shares the evaluation with it: on a processor bit for bit, elsewhere
//! up to rounding.

use std::sync::Arc;

use candle_core::Device;
use smallvec::SmallVec;

use super::{
    EngineError, device,
    image::Pixels,
    ops::{Shape, native::Native},
    ranker::Ranker,
    text_encoder::{TextEncoder, TextStates},
    tokenizer::{Tokenizer, Tokens},
    weights::Weights,
};
use crate::{
    catalog::{DeviceSpec, Family, ModelId, architecture::VaeConfig},
    diffusion::{Stage, noise_schedule::NoiseSchedule},
    units::{ImageSize, Memory, Steps},
};

mod canvas;
mod encodings;
mod latents;
mod limits;
mod networks;
mod rank;
mod spare;
mod spec;
mod trajectory;

use encodings::Encodings;
pub use latents::Latents;
use limits::Limits;
use networks::Networks;
pub use spec::{Conditioning, ImageSpec};
pub use trajectory::Trajectory;

/// How many texts of a family need no encoding again: those used last.
pub fn most_texts(family: &Family) -> usize {
    encodings::most(&family.text_encoder)
}

/// One family, loaded on a device.
#[derive(Debug)]
pub struct Pipeline {
    networks: Box<dyn Networks>,
    vae: VaeConfig,
    schedule: NoiseSchedule,
    tokenizer: Tokenizer,
    text_encoder: TextEncoder,
    ranker: Option<Ranker>,
    encodings: Encodings,
    /// States of the empty prompt, which nearly every guided picture needs: always kept.
    empty: Arc<TextStates>,
    empty_ids: Vec<u32>,
    limits: Limits,
}

/// What became of each row of a step: those of a few rows need no allocation.
pub type Moved = SmallVec<[Result<(), EngineError>; 8]>;

impl Pipeline {
    /// Loads every model of a family, its decoder and its text encoder, on the models' device.
    pub fn load(family: &Family) -> Result<Self, EngineError> {
        Self::load_with(family, Native::default())
    }

    /// The same; where the device is a processor, with the instructions and threads of `native`. Its
    /// clones share threads and memory, so that several families can.
    pub fn load_with(family: &Family, native: Native) -> Result<Self, EngineError> {
        let spec = shared_device(family)?;
        let device = device::open(spec)?;
        let networks = if device.is_cpu() {
            networks::on_processor(family, native)?
        } else {
            networks::on_candle(family, &device)?
        };
        Self::with_networks(family, (spec, &device), networks)
    }

    /// The same on candle's operations, also where the device is a processor. That is slow, and how an
    /// accelerator's way is tested without one.
    pub fn load_on_candle(family: &Family) -> Result<Self, EngineError> {
        let spec = shared_device(family)?;
        let device = device::open(spec)?;
        let networks = networks::on_candle(family, &device)?;
        Self::with_networks(family, (spec, &device), networks)
    }

    fn with_networks(
        family: &Family,
        (spec, device): (DeviceSpec, &Device),
        networks: Box<dyn Networks>,
    ) -> Result<Self, EngineError> {
        let text_weights = Weights::open_folder(&family.path.join("text_encoder"), "model")?;
        let text_encoder = TextEncoder::load(device, &text_weights, &family.text_encoder)?;
        let context = family.text_encoder.max_position_embeddings;
        let tokenizer = Tokenizer::load(&family.path.join("tokenizer"), context)?;
        let empty_ids = tokenizer.encode("")?.ids;
        let empty = text_encoder
            .forward(std::slice::from_ref(&empty_ids))?
            .remove(0);
        Ok(Self {
            networks,
            vae: family.vae.clone(),
            schedule: NoiseSchedule::new(&family.noise_schedule)?,
            tokenizer,
            text_encoder,
            ranker: rank::load(family, device)?,
            encodings: Encodings::new(encodings::MAX_BYTES),
            empty: Arc::new(empty),
            empty_ids,
            limits: Limits::of(spec),
        })
    }

    /// The models there are.
    pub fn models(&self) -> Vec<&ModelId> {
        self.networks.models()
    }

    /// Encodes prompts, all with the same negative prompt. A text that was encoded lately costs nothing and
    /// has the same `Arc` as then; so has the empty one, always.
    pub fn encode(
        &self,
        prompts: &[&str],
        negative_prompt: &str,
    ) -> Result<Vec<Conditioning>, EngineError> {
        let negative_ids = self.tokenizer.encode(negative_prompt)?.ids;
        let (unconditional, mut n_encoded) = self.states(negative_ids)?;
        let mut conditioning = |prompt: &&str| {
            let Tokens { ids, n_truncated } = self.tokenizer.encode(prompt)?;
            let (conditional, n_own) = self.states(ids)?;
            Ok(Conditioning {
                conditional,
                unconditional: Arc::clone(&unconditional),
                n_truncated,
                n_encoded: n_own + std::mem::take(&mut n_encoded),
            })
        };
        prompts.iter().map(&mut conditioning).collect()
    }

    /// Forgets what an encoded text says, so that the next one takes its full time. The empty one is always kept.
    pub fn forget_text(&self, text: &str) {
        // One that cannot be encoded was not kept.
        if let Ok(tokens) = self.tokenizer.encode(text) {
            self.encodings.forget(&tokens.ids);
        }
    }

    /// What the networks and the texts hold; the tensors of a step count between steps, those of
    /// pictures on their way do not. The text
    /// encoder's own weights are candle's, and are not counted.
    pub fn memory(&self) -> Memory {
        let mut memory = self.networks.memory();
        memory.texts += self.encodings.bytes();
        memory
    }

    /// Returns the states of a text, and for how many texts the encoder ran.
    ///
    /// It runs for one text at a time: what is kept must not depend on what else was asked for, and the
    /// last bits of a matrix product may depend on its size.
    fn states(&self, ids: Vec<u32>) -> Result<(Arc<TextStates>, u32), EngineError> {
        if ids == self.empty_ids {
            return Ok((Arc::clone(&self.empty), 0));
        }
        if let Some(states) = self.encodings.get(&ids) {
            return Ok((states, 0));
        }
        let states = self.text_encoder.forward(std::slice::from_ref(&ids))?;
        let states = states.into_iter().next().expect("one text, one state");
        Ok((self.encodings.keep(ids, states), 1))
    }

    /// Starts one picture: checks everything that could be wrong with it and draws its noise.
    pub fn begin(
        &self,
        model: &ModelId,
        spec: &ImageSpec,
        conditioning: Conditioning,
    ) -> Result<Trajectory, EngineError> {
        for model in spec.stages.iter().map(|stage| &stage.model).chain([model]) {
            self.expect_model(model)?;
        }
        let shape = self.latent_shape(spec.size)?;
        Trajectory::begin(
            model.clone(),
            spec,
            conditioning,
            &self.schedule,
            (shape, &*self.networks),
        )
    }

    /// Channels, height and width of a picture's latents.
    fn latent_shape(&self, size: ImageSize) -> Result<(usize, usize, usize), EngineError> {
        let multiple = self.vae.downscale();
        let ImageSize { width, height } = size;
        if width == 0 || height == 0 || width % multiple != 0 || height % multiple != 0 {
            return Err(EngineError::Size { size, multiple });
        }
        let side = |pixels| (pixels / multiple) as usize;
        Ok((self.vae.latent_channels, side(height), side(width)))
    }

    /// Takes `left` steps in place of all that a picture has ahead, spread evenly over where those would
    /// have been; no more than there are.
    pub fn shorten(&self, row: &mut Trajectory, left: Steps) -> Result<(), EngineError> {
        row.shorten(&self.schedule, left)
    }

    /// Has other models take the steps that a picture has ahead, as a plan of as many steps distributes
    /// them: those that are behind it are taken as they were.
    pub fn restage(
        &self,
        row: &mut Trajectory,
        stages: &[Stage],
        model: &ModelId,
    ) -> Result<(), EngineError> {
        for model in stages.iter().map(|stage| &stage.model).chain([model]) {
            self.expect_model(model)?;
        }
        row.restage(stages, model);
        Ok(())
    }

    /// Moves every row one step on. All rows must be of one size, and their next steps of one model.
    ///
    /// The outer error means that no row moved; an inner one is about its row alone, which is lost.
    pub fn step(&self, rows: &mut [&mut Trajectory]) -> Result<Moved, EngineError> {
        let Some(first) = rows.first() else {
            return Ok(Moved::new());
        };
        let (model, shape) = (first.model(), first.shape());
        for row in rows.iter() {
            row.expect_batch_of(model, shape)?;
        }
        let (_, height, width) = shape;
        // A guided row is two rows of the network.
        let at_once = (self.limits.latent_positions / (2 * height * width)).max(1);
        self.networks.step(rows, at_once)
    }

    /// Moves every row to its end. See [`Self::step`].
    pub fn finish(&self, rows: &mut [&mut Trajectory]) -> Result<(), EngineError> {
        loop {
            let mut running: Vec<&mut Trajectory> = rows
                .iter_mut()
                .map(|row| &mut **row)
                .filter(|row| !row.is_finished())
                .collect();
            if running.is_empty() {
                return Ok(());
            }
            for moved in self.step(&mut running)? {
                moved?;
            }
        }
    }

    /// Decodes latents to pictures, in order.
    pub fn decode(&self, latents: &[&Latents]) -> Result<Vec<Pixels>, EngineError> {
        let mut pictures = Vec::with_capacity(latents.len());
        for same_shape in latents.chunk_by(|one, other| one.shape() == other.shape()) {
            let (_, height, width) = same_shape[0].shape();
            let pixels = height * width * (self.vae.downscale() as usize).pow(2);
            for rows in same_shape.chunks((self.limits.pixels / pixels).max(1)) {
                let first = pictures.len();
                pictures.extend(self.decode_batch(rows, first)?);
            }
        }
        Ok(pictures)
    }

    fn decode_batch(&self, rows: &[&Latents], first: usize) -> Result<Vec<Pixels>, EngineError> {
        let (channels, height, width) = rows[0].shape();
        let scale = self.vae.scaling_factor;
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.values())
            .map(|value| (f64::from(*value) / scale) as f32)
            .collect();
        let shape = Shape::grid(rows.len(), height, width, channels);
        let (shape, values) = self.networks.decode(shape, &values)?;
        let size = ImageSize {
            width: shape.width as u32,
            height: shape.height as u32,
        };
        let pictures = values.chunks_exact(shape.positions() * shape.channels);
        pictures
            .enumerate()
            .map(|(index, picture)| {
                if picture.iter().all(|value| value.is_finite()) {
                    Ok(Pixels::from_chw(size, picture))
                } else {
                    let index = first + index;
                    Err(EngineError::NonFinitePicture { index })
                }
            })
            .collect()
    }

    fn expect_model(&self, model: &ModelId) -> Result<(), EngineError> {
        if self.networks.has(model) {
            Ok(())
        } else {
            Err(self.networks.unknown(model))
        }
    }
}

fn shared_device(family: &Family) -> Result<DeviceSpec, EngineError> {
    let mut devices = family.models.iter().map(|model| model.device);
    let first = devices.next().unwrap_or_default();
    match devices.find(|device| *device != first) {
        None => Ok(first),
        Some(other) => Err(EngineError::MixedDevices {
            family: family.id.clone(),
            first,
            other,
        }),
    }
}

#[cfg(test)]
mod tests;
