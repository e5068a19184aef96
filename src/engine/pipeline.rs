//! How does a family draw? Prompts to text states, noise to latents step by step, latents to pixels.
//!
//! A [`Trajectory`] is one picture on its way. [`Pipeline::step`] moves any number of them one step
//! on in one evaluation of their network, each at its own step, step count, sampler and guidance; a
//! picture does not depend on what shares the evaluation with it, up to rounding.

use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::{
    EngineError, device,
    image::Pixels,
    noise_schedule::NoiseSchedule,
    ops::Shape,
    text_encoder::{TextEncoder, TextStates},
    tokenizer::Tokenizer,
    weights::Weights,
};
use crate::{
    catalog::{DeviceSpec, Family, ModelId, SamplerKind, architecture::VaeConfig},
    units::{ImageSize, Steps},
};

mod networks;
mod trajectory;

use networks::Networks;
pub use trajectory::{Latents, Trajectory};

/// Text positions that are encoded at once, a bound on memory.
const MAX_TEXT_POSITIONS: usize = 8 * 1024;

/// Latent positions that are evaluated at once, a bound on memory: 128 rows of 16x16.
const MAX_LATENT_POSITIONS: usize = 32 * 1024;

/// Pixels that are decoded at once, a bound on memory: 16 pictures of 128x128.
const MAX_PIXELS: usize = 256 * 1024;

/// How one picture is to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSpec {
    /// The sampling algorithm.
    pub sampler: SamplerKind,
    /// Its steps.
    pub steps: Steps,
    /// Scale of classifier-free guidance; 1 is unguided and costs half.
    pub guidance_scale: f64,
    /// Names the noise.
    pub seed: u64,
    /// Size of the picture.
    pub size: ImageSize,
    /// Initial noise of unit variance in place of the seed's, channel by channel.
    pub initial_noise: Option<Vec<f32>>,
}

/// What one picture shall show: the states of its prompt and of its negative prompt.
#[derive(Debug, Clone)]
pub struct Conditioning {
    conditional: Arc<TextStates>,
    unconditional: Arc<TextStates>,
    n_truncated: usize,
}

impl Conditioning {
    /// Tokens of the prompt that the text encoder's context had no place for.
    pub fn n_truncated(&self) -> usize {
        self.n_truncated
    }
}

/// One family, loaded on a device.
#[derive(Debug)]
pub struct Pipeline {
    networks: Box<dyn Networks>,
    vae: VaeConfig,
    schedule: NoiseSchedule,
    tokenizer: Tokenizer,
    text_encoder: TextEncoder,
    /// States of the empty prompt, which nearly every guided picture needs.
    empty: Arc<TextStates>,
    batch: Mutex<Batch>,
}

/// The rows of one evaluation. Kept for its memory, so that a step allocates nothing.
#[derive(Debug, Default)]
struct Batch {
    latents: Vec<f32>,
    timesteps: Vec<f64>,
    texts: Vec<Arc<TextStates>>,
    outputs: Vec<f32>,
}

impl Batch {
    fn clear(&mut self) {
        self.latents.clear();
        self.timesteps.clear();
        self.texts.clear();
    }

    /// Adds the rows of the network that a picture needs: two if it is guided, the unconditional one
    /// first.
    fn push(&mut self, row: &Trajectory) {
        for text in row.texts() {
            self.latents.extend_from_slice(row.latents().values());
            self.timesteps.push(row.timestep());
            self.texts.push(Arc::clone(text));
        }
    }
}

/// What became of each row of a step: those of a few rows need no allocation.
pub type Moved = SmallVec<[Result<(), EngineError>; 8]>;

impl Pipeline {
    /// Loads every model of a family, its decoder and its text encoder, on the models' device.
    pub fn load(family: &Family) -> Result<Self, EngineError> {
        let device = device::open(shared_device(family)?)?;
        let text_weights = Weights::open_folder(&family.path.join("text_encoder"), "model")?;
        let text_encoder = TextEncoder::load(&device, &text_weights, &family.text_encoder)?;
        let context = family.text_encoder.max_position_embeddings;
        let tokenizer = Tokenizer::load(&family.path.join("tokenizer"), context)?;
        let empty = text_encoder
            .forward(&[tokenizer.encode("")?.ids])?
            .remove(0);
        Ok(Self {
            networks: networks::load(family, &device)?,
            vae: family.vae.clone(),
            schedule: NoiseSchedule::new(&family.noise_schedule)?,
            tokenizer,
            text_encoder,
            empty: Arc::new(empty),
            batch: Mutex::default(),
        })
    }

    /// The models there are.
    pub fn models(&self) -> Vec<&ModelId> {
        self.networks.models()
    }

    /// Encodes prompts, all with the same negative prompt; an empty one costs nothing.
    pub fn encode(
        &self,
        prompts: &[&str],
        negative_prompt: &str,
    ) -> Result<Vec<Conditioning>, EngineError> {
        let unconditional = if negative_prompt.is_empty() {
            Arc::clone(&self.empty)
        } else {
            let ids = self.tokenizer.encode(negative_prompt)?.ids;
            Arc::new(self.text_encoder.forward(&[ids])?.remove(0))
        };
        let mut conditionings = Vec::with_capacity(prompts.len());
        let n_rows = (MAX_TEXT_POSITIONS / self.empty.tokens).max(1);
        for prompts in prompts.chunks(n_rows) {
            let tokens: Vec<_> = prompts
                .iter()
                .map(|prompt| self.tokenizer.encode(prompt))
                .collect::<Result<_, _>>()?;
            let ids: Vec<_> = tokens.iter().map(|tokens| tokens.ids.clone()).collect();
            let states = self.text_encoder.forward(&ids)?;
            conditionings.extend(states.into_iter().zip(tokens).map(|(states, tokens)| {
                Conditioning {
                    conditional: Arc::new(states),
                    unconditional: Arc::clone(&unconditional),
                    n_truncated: tokens.n_truncated,
                }
            }));
        }
        Ok(conditionings)
    }

    /// Starts one picture: checks everything that could be wrong with it and draws its noise.
    pub fn begin(
        &self,
        model: &ModelId,
        spec: &ImageSpec,
        conditioning: Conditioning,
    ) -> Result<Trajectory, EngineError> {
        self.expect_model(model)?;
        let multiple = self.vae.downscale();
        let ImageSize { width, height } = spec.size;
        if width == 0 || height == 0 || width % multiple != 0 || height % multiple != 0 {
            return Err(EngineError::Size {
                size: spec.size,
                multiple,
            });
        }
        let shape = (
            self.vae.latent_channels,
            (height / multiple) as usize,
            (width / multiple) as usize,
        );
        Trajectory::begin(model.clone(), spec, conditioning, &self.schedule, shape)
    }

    /// Moves every row one step on. All rows must be of one model and one size.
    ///
    /// The outer error means that no row moved; an inner one is about its row alone, which is lost.
    pub fn step(&self, rows: &mut [&mut Trajectory]) -> Result<Moved, EngineError> {
        let mut moved = Moved::new();
        let Some(first) = rows.first() else {
            return Ok(moved);
        };
        let shape = first.latents().shape();
        self.expect_model(first.model())?;
        for row in rows.iter() {
            row.expect_batch_of(first.model(), shape)?;
        }
        let (_, height, width) = shape;
        // A guided row is two rows of the network.
        let n_rows = (MAX_LATENT_POSITIONS / (2 * height * width)).max(1);
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.outputs.clear();
        for rows in rows.chunks(n_rows) {
            self.evaluate(&mut batch, rows)?;
        }
        let mut outputs = batch.outputs.as_slice();
        for row in rows {
            let length = row.latents().values().len() * row.nfe_per_step() as usize;
            let (output, rest) = outputs.split_at(length);
            moved.push(row.advance(output));
            outputs = rest;
        }
        Ok(moved)
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
            for rows in same_shape.chunks((MAX_PIXELS / pixels).max(1)) {
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

    /// One evaluation for all rows; adds the network's outputs to the batch's.
    fn evaluate(&self, batch: &mut Batch, rows: &[&mut Trajectory]) -> Result<(), EngineError> {
        let (channels, height, width) = rows[0].latents().shape();
        batch.clear();
        for row in rows {
            batch.push(row);
        }
        let first = batch.outputs.len();
        batch.outputs.resize(first + batch.latents.len(), 0.0);
        let shape = Shape::grid(batch.timesteps.len(), height, width, channels);
        let (texts, output) = (&batch.texts, &mut batch.outputs[first..]);
        let latents = (shape, batch.latents.as_slice());
        self.networks
            .predict(rows[0].model(), latents, &batch.timesteps, texts, output)
    }

    fn expect_model(&self, model: &ModelId) -> Result<(), EngineError> {
        if self.networks.models().contains(&model) {
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
