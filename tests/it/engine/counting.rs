//! Is the counted cost what the engine really executes? A backend that counts the multiply-adds of every
//! operation it is asked for, by the shapes that come in, and lets another one do the work.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use goldilocks::{
    engine::{
        EngineError, device,
        ops::{
            Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape,
            candle::{Candle, Conv, Linear, Norm},
        },
        text_encoder::TextStates,
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
    planner::cost::{Grid, unet, vae},
};

use super::golden::{Golden, MODELS};

type Tensor = <Candle as Backend>::Tensor;

#[derive(Debug)]
struct Counting {
    inner: Candle,
    multiply_adds: AtomicU64,
}

impl Counting {
    fn new() -> Self {
        Self {
            inner: Candle::new(device::open("cpu".parse().unwrap()).unwrap()),
            multiply_adds: AtomicU64::new(0),
        }
    }

    fn count(&self, factors: &[usize]) {
        let product: usize = factors.iter().product();
        self.multiply_adds
            .fetch_add(product as u64, Ordering::Relaxed);
    }

    /// Two operations for each, and starts again.
    fn taken(&self) -> f64 {
        2.0 * self.multiply_adds.swap(0, Ordering::Relaxed) as f64
    }
}

impl Backend for Counting {
    type Tensor = Tensor;
    type Conv = (ConvSpec, Conv);
    /// With the numbers of a row's inputs and outputs before the activation.
    type Linear = (usize, usize, Linear);
    type Norm = Norm;
    type Context = Tensor;

    fn pack_conv(
        &self,
        spec: ConvSpec,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Self::Conv, EngineError> {
        Ok((spec, self.inner.pack_conv(spec, weight, bias)?))
    }

    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Result<Self::Linear, EngineError> {
        let inputs = weight.len() / outputs;
        let packed = self.inner.pack_linear(weight, bias, outputs, activation)?;
        Ok((inputs, outputs, packed))
    }

    fn pack_norm(&self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Norm, EngineError> {
        self.inner.pack_norm(weight, bias)
    }

    fn pack_context(&self, keys_values: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
        self.inner.pack_context(keys_values, heads)
    }

    fn context_shape(&self, context: &Tensor) -> Shape {
        self.inner.context_shape(context)
    }

    fn shape(&self, xs: &Tensor) -> Shape {
        self.inner.shape(xs)
    }

    fn upload_chw(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        self.inner.upload_chw(shape, values)
    }

    fn upload_tokens(
        &self,
        shape: Shape,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor, EngineError> {
        self.inner.upload_tokens(shape, fill)
    }

    fn download_chw(&self, xs: &Tensor, values: &mut [f32]) -> Result<(), EngineError> {
        self.inner.download_chw(xs, values)
    }

    fn conv(
        &self,
        (spec, conv): &Self::Conv,
        xs: &Tensor,
        fusion: &ConvFusion<'_, Self>,
    ) -> Result<Tensor, EngineError> {
        let fusion = ConvFusion {
            enlarge_to: fusion.enlarge_to,
            per_row: fusion.per_row,
            residual: fusion.residual,
        };
        let output = self.inner.conv(conv, xs, &fusion)?;
        let shape = self.shape(&output);
        let places = shape.rows * shape.positions();
        self.count(&[places, 9, spec.inputs, spec.outputs]);
        Ok(output)
    }

    fn linear(
        &self,
        (inputs, outputs, linear): &Self::Linear,
        xs: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        let shape = self.shape(xs);
        self.count(&[shape.rows, shape.positions(), *inputs, *outputs]);
        self.inner.linear(linear, xs, residual)
    }

    fn group_norm(
        &self,
        norm: &Norm,
        xs: &Tensor,
        spec: GroupNormSpec,
    ) -> Result<Tensor, EngineError> {
        self.inner.group_norm(norm, xs, spec)
    }

    fn layer_norm(&self, norm: &Norm, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        self.inner.layer_norm(norm, xs, epsilon)
    }

    fn self_attention(&self, xs: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
        let shape = self.shape(xs);
        let tokens = shape.positions();
        self.count(&[2, shape.rows, tokens, tokens, shape.channels / 3]);
        self.inner.self_attention(xs, heads)
    }

    fn cross_attention<'c>(
        &self,
        xs: &Tensor,
        context_of: &(dyn Fn(usize) -> &'c Tensor + Sync),
        heads: usize,
    ) -> Result<Tensor, EngineError> {
        let shape = self.shape(xs);
        for row in 0..shape.rows {
            let tokens = self.context_shape(context_of(row)).positions();
            self.count(&[2, shape.positions(), tokens, shape.channels]);
        }
        self.inner.cross_attention(xs, context_of, heads)
    }

    fn concat(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, EngineError> {
        self.inner.concat(xs, ys)
    }
}

#[test]
fn a_unets_cost_is_what_one_evaluation_of_one_row_executes() {
    for model in MODELS {
        let golden = Golden::open(model);
        let (ops, config) = (Counting::new(), golden.family().models[0].unet.clone());
        let weights = Weights::open_folder(&golden.folder.join("unet"), "diffusion_pytorch_model");
        let unet = Unet::load(&ops, &weights.unwrap(), &config).unwrap();
        let (dims, states) = golden.tensor("unet.states");
        let text = TextStates {
            values: states[..dims[1] * dims[2]].to_vec(),
            tokens: dims[1],
            width: dims[2],
            end: 0,
        };
        let grid = Grid {
            height: 8,
            width: 8,
        };
        let shape = Shape::grid(1, grid.height, grid.width, config.in_channels);
        let xs = ops.upload_chw(shape, &vec![0.1; shape.len()]).unwrap();
        ops.taken();
        // The text's keys and values are computed once for all steps; the nominal cost charges every one.
        let text = Arc::new(unet.pack_text(&ops, &text).unwrap());
        unet.forward(&ops, &xs, &[421.0], &[text]).unwrap();
        let counted = unet::cost(&config, grid, dims[1]).total().0;
        assert_eq!(ops.taken(), counted, "{model}");
    }
}

#[test]
fn a_decoders_cost_is_what_one_picture_executes() {
    for model in MODELS {
        let golden = Golden::open(model);
        let (ops, config) = (Counting::new(), golden.family().vae.clone());
        let weights = Weights::open_folder(&golden.folder.join("vae"), "diffusion_pytorch_model");
        let decoder = Decoder::load(&ops, &weights.unwrap(), &config).unwrap();
        let grid = Grid {
            height: 8,
            width: 8,
        };
        let shape = Shape::grid(1, grid.height, grid.width, config.latent_channels);
        let xs = ops.upload_chw(shape, &vec![0.1; shape.len()]).unwrap();
        ops.taken();
        decoder.forward(&ops, &xs).unwrap();
        let counted = vae::decoder_cost(&config, grid).total().0;
        assert_eq!(ops.taken(), counted, "{model}");
    }
}
