//! Which backend computes the two networks? The processor's own on a CPU, candle's elsewhere.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::Device;

use super::{
    Latents, Moved, Trajectory,
    canvas::{Canvas, Numbers},
    spare::Spare,
};
use crate::{
    catalog::{Dtype, Family, ModelCard, ModelId},
    engine::{
        EngineError,
        ops::{
            Backend, Shape,
            candle::Candle,
            native::{Bf16, Native},
            sampling::Sampling,
        },
        text_encoder::TextStates,
        unet::{PackedText, Unet},
        vae::Decoder,
        weights::Weights,
    },
    units::Memory,
};

mod step;

/// The file name of U-Nets and autoencoders, without its end.
const STEM: &str = "diffusion_pytorch_model";

/// Every U-Net of a family and its decoder, on some backend.
pub(super) trait Networks: fmt::Debug + Send + Sync {
    /// The models there are, in order of their names.
    fn models(&self) -> Vec<&ModelId>;

    /// Whether there is a model.
    fn has(&self, model: &ModelId) -> bool;

    /// The error for a model that there is not.
    fn unknown(&self, model: &ModelId) -> EngineError {
        let loaded: Vec<_> = self.models().iter().map(|id| id.0.as_str()).collect();
        EngineError::UnknownModel {
            model: model.clone(),
            loaded: loaded.join(", "),
        }
    }

    /// Brings a picture's latents to where its steps will be computed. A step of its sampler takes at most
    /// `n_denoised` estimates of the clean latents, its own among them.
    fn begin(&self, latents: &Latents, n_denoised: usize) -> Result<Box<dyn Numbers>, EngineError>;

    /// Moves rows one step on, at least one, at most `at_once` in one evaluation; all are of one size, and their
    /// next steps of one model. The outer error means that no row moved; an inner one is about its row alone,
    /// which is lost.
    fn step(&self, rows: &mut [&mut Trajectory], at_once: usize) -> Result<Moved, EngineError>;

    /// Decodes latents, already divided by the scaling factor, row by row, channel by channel, line by line;
    /// returns the pictures likewise, with their shape.
    fn decode(&self, shape: Shape, latents: &[f32]) -> Result<(Shape, Vec<f32>), EngineError>;

    /// What they hold.
    fn memory(&self) -> Memory;
}

/// Loads the networks of a family, to be computed by the processor's own kernels.
pub(super) fn on_processor(
    family: &Family,
    native: Native,
) -> Result<Box<dyn Networks>, EngineError> {
    Ok(Box::new(On::load(native, in_precision, family)?))
}

/// Loads the networks of a family onto a device, to be computed by candle.
pub(super) fn on_candle(
    family: &Family,
    device: &Device,
) -> Result<Box<dyn Networks>, EngineError> {
    let candle = |dtype| Candle::with_dtype(device.clone(), dtype);
    let (f32, bf16) = (candle(Dtype::F32), candle(Dtype::Bf16));
    let in_precision = |dtype| match dtype {
        Dtype::F32 | Dtype::Auto => f32.clone(),
        Dtype::Bf16 => bf16.clone(),
    };
    // The decoder is every model's: as precise as the most precise of them.
    let mut of_decoder = family.models.iter().map(|card| card.dtype);
    let of_decoder = of_decoder.find(|dtype| *dtype != Dtype::Bf16);
    let ops = in_precision(of_decoder.unwrap_or(Dtype::Bf16));
    let ops_of = |_: &Candle, card: &ModelCard| Ok(in_precision(card.dtype));
    Ok(Box::new(On::load(ops, ops_of, family)?))
}

/// The processor's operations in a model's precision.
fn in_precision(native: &Native, card: &ModelCard) -> Result<Native, EngineError> {
    match card.dtype {
        Dtype::F32 | Dtype::Auto => Ok(native.clone()),
        Dtype::Bf16 => match Bf16::detect() {
            Some(bf16) => Ok(native.in_bf16(bf16)),
            None => Err(EngineError::NoBf16 {
                model: card.id.clone(),
            }),
        },
    }
}

#[derive(Debug)]
struct On<B: Backend> {
    ops: B,
    unets: BTreeMap<ModelId, Hosted<B>>,
    decoder: Decoder<B>,
    batches: Spare<step::Batch>,
}

/// Texts whose keys and values are kept for each model: those of 64 pictures, and the empty one.
const MAX_TEXTS: usize = 65;

/// Texts and what they say to one network, the latest last.
type Texts<B> = VecDeque<(Arc<TextStates>, Arc<PackedText<B>>)>;

/// A U-Net, and what the texts that it has lately been evaluated with say to it.
#[derive(Debug)]
struct Hosted<B: Backend> {
    /// In the model's precision.
    ops: B,
    unet: Unet<B>,
    texts: Mutex<Texts<B>>,
    /// For the texts of one evaluation's rows.
    rows: Spare<Vec<Arc<PackedText<B>>>>,
}

impl<B: Backend> Hosted<B> {
    fn new(ops: B, unet: Unet<B>) -> Self {
        Self {
            ops,
            unet,
            texts: Mutex::new(VecDeque::with_capacity(MAX_TEXTS)),
            rows: Spare::default(),
        }
    }

    fn forward(
        &self,
        xs: &B::Tensor,
        timesteps: &[f64],
        texts: &[Arc<TextStates>],
    ) -> Result<B::Tensor, EngineError> {
        let mut rows = self.rows.take();
        for text in texts {
            rows.push(self.packed(text)?);
        }
        let output = self.unet.forward(&self.ops, xs, timesteps, &rows);
        rows.clear();
        self.rows.give_back(rows);
        output
    }

    fn pack(&self, text: &TextStates) -> Result<Arc<PackedText<B>>, EngineError> {
        Ok(Arc::new(self.unet.pack_text(&self.ops, text)?))
    }

    /// Bytes of the texts that it keeps.
    fn text_bytes(&self) -> usize {
        let cache = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = cache.iter();
        texts.map(|(_, text)| text.bytes(&self.ops)).sum()
    }

    /// Finds a text by its identity: the same prompt is the same text as long as it is in use.
    fn packed(&self, text: &Arc<TextStates>) -> Result<Arc<PackedText<B>>, EngineError> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = texts.iter().position(|(other, _)| Arc::ptr_eq(other, text));
        let entry = match found.and_then(|index| texts.remove(index)) {
            Some(entry) => entry,
            None => (Arc::clone(text), self.pack(text)?),
        };
        if texts.len() == MAX_TEXTS {
            texts.pop_front();
        }
        let packed = Arc::clone(&entry.1);
        texts.push_back(entry);
        Ok(packed)
    }
}

impl<B: Backend> On<B> {
    /// `ops` computes what is none of a model's own, `ops_of` what is.
    fn load(
        ops: B,
        ops_of: impl Fn(&B, &ModelCard) -> Result<B, EngineError>,
        family: &Family,
    ) -> Result<Self, EngineError> {
        let mut unets = BTreeMap::new();
        for model in &family.models {
            let own = ops_of(&ops, model)?;
            let weights = Weights::open_folder(&model.unet_path, STEM)?;
            let unet = Unet::load(&own, &weights, &model.unet)?;
            unets.insert(model.id.clone(), Hosted::new(own, unet));
        }
        let weights = Weights::open_folder(&family.path.join("vae"), STEM)?;
        Ok(Self {
            decoder: Decoder::load(&ops, &weights, &family.vae)?,
            ops,
            unets,
            batches: Spare::default(),
        })
    }
}

impl<B: Sampling> Networks for On<B> {
    fn models(&self) -> Vec<&ModelId> {
        self.unets.keys().collect()
    }

    fn has(&self, model: &ModelId) -> bool {
        self.unets.contains_key(model)
    }

    fn begin(&self, latents: &Latents, n_denoised: usize) -> Result<Box<dyn Numbers>, EngineError> {
        Ok(Box::new(Canvas::new(&self.ops, latents, n_denoised)?))
    }

    fn step(&self, rows: &mut [&mut Trajectory], at_once: usize) -> Result<Moved, EngineError> {
        let model = rows[0].model();
        let hosted = self.unets.get(model).ok_or_else(|| self.unknown(model))?;
        self.advance(hosted, rows, at_once)
    }

    fn decode(&self, shape: Shape, latents: &[f32]) -> Result<(Shape, Vec<f32>), EngineError> {
        let xs = self.ops.upload_chw(shape, latents)?;
        let pictures = self.decoder.forward(&self.ops, &xs)?;
        let shape = self.ops.shape(&pictures);
        let mut values = vec![0.0; shape.len()];
        self.ops.download_chw(&pictures, &mut values)?;
        Ok((shape, values))
    }

    fn memory(&self) -> Memory {
        let texts = self.unets.values().map(Hosted::text_bytes);
        Memory {
            texts: texts.sum(),
            ..self.ops.memory()
        }
    }
}
