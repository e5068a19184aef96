//! What is a layer of a network? Packed weights with their name, behind which every shape is checked.
//!
//! Names are those of the checkpoint, so that an error says which layer it is about.

use super::{Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape};
use crate::engine::{EngineError, weights::Scope};

/// A 3x3 convolution.
#[derive(Debug)]
pub struct Conv<B: Backend> {
    name: String,
    spec: ConvSpec,
    packed: B::Conv,
}

impl<B: Backend> Conv<B> {
    /// Loads `weight` and `bias`.
    pub fn load(ops: &B, vs: &Scope<'_>, spec: ConvSpec) -> Result<Self, EngineError> {
        let weight = vs.get("weight", &[spec.outputs, spec.inputs, 3, 3])?;
        let bias = vs.get("bias", &[spec.outputs])?;
        Ok(Self {
            name: vs.name().to_owned(),
            spec,
            packed: ops.pack_conv(spec, weight, bias)?,
        })
    }

    /// Convolves, with nothing fused.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        self.forward_fused(ops, xs, &ConvFusion::default())
    }

    /// Convolves, with what `fusion` names.
    pub fn forward_fused(
        &self,
        ops: &B,
        xs: &B::Tensor,
        fusion: &ConvFusion<'_, B>,
    ) -> Result<B::Tensor, EngineError> {
        let input = ops.shape(xs);
        check(
            &self.name,
            "input",
            input.with_channels(self.spec.inputs),
            input,
        )?;
        let resized = self.resized(input, fusion.enlarge_to)?;
        let output = self.spec.output(resized);
        if let Some(vectors) = fusion.per_row {
            let expected = Shape::vectors(output.rows, output.channels);
            check(&self.name, "vector per row", expected, ops.shape(vectors))?;
        }
        if let Some(residual) = fusion.residual {
            check(&self.name, "residual", output, ops.shape(residual))?;
        }
        ops.conv(&self.packed, xs, fusion)
    }

    fn resized(&self, input: Shape, to: Option<(usize, usize)>) -> Result<Shape, EngineError> {
        let Some((height, width)) = to else {
            return Ok(input);
        };
        let double = Shape::grid(
            input.rows,
            2 * input.height,
            2 * input.width,
            input.channels,
        );
        let target = Shape {
            height,
            width,
            ..double
        };
        let fits = |side: usize, input: usize| side == 2 * input || side + 1 == 2 * input;
        if fits(height, input.height) && fits(width, input.width) {
            Ok(target)
        } else {
            Err(EngineError::shape(
                &self.name,
                "enlarged input",
                double,
                target,
            ))
        }
    }
}

/// A linear layer, or a 1x1 convolution, which is the same thing.
#[derive(Debug)]
pub struct Linear<B: Backend> {
    name: String,
    inputs: usize,
    /// Behind the activation.
    outputs: usize,
    packed: B::Linear,
}

impl<B: Backend> Linear<B> {
    /// Loads `weight` and `bias`.
    pub fn load(
        ops: &B,
        vs: &Scope<'_>,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, EngineError> {
        Self::load_activated(ops, vs, (inputs, outputs), Activation::None)
    }

    /// Loads `weight` and `bias`; `activation` follows. The size is inputs and outputs in front of it.
    pub fn load_activated(
        ops: &B,
        vs: &Scope<'_>,
        size: (usize, usize),
        activation: Activation,
    ) -> Result<Self, EngineError> {
        let bias = vs.get("bias", &[size.1])?;
        let scopes = std::slice::from_ref(vs);
        Self::pack(ops, scopes, size, Some(bias), activation)
    }

    /// Loads several layers of one input as one, their outputs side by side; `outputs` is that of each.
    pub fn load_stacked(
        ops: &B,
        scopes: &[Scope<'_>],
        inputs: usize,
        outputs: usize,
        with_bias: bool,
    ) -> Result<Self, EngineError> {
        let mut bias = Vec::new();
        for vs in scopes.iter().filter(|_| with_bias) {
            bias.extend(vs.get("bias", &[outputs])?);
        }
        let bias = with_bias.then_some(bias);
        Self::pack(ops, scopes, (inputs, outputs), bias, Activation::None)
    }

    fn pack(
        ops: &B,
        scopes: &[Scope<'_>],
        (inputs, outputs): (usize, usize),
        bias: Option<Vec<f32>>,
        activation: Activation,
    ) -> Result<Self, EngineError> {
        let shapes: [&[usize]; 2] = [&[outputs, inputs], &[outputs, inputs, 1, 1]];
        let mut weight = Vec::with_capacity(scopes.len() * outputs * inputs);
        for vs in scopes {
            weight.extend(vs.get_any("weight", &shapes)?);
        }
        let wide = scopes.len() * outputs;
        Ok(Self {
            name: scopes.first().map_or("", |vs| vs.name()).to_owned(),
            inputs,
            outputs: match activation {
                Activation::GeGlu => wide / 2,
                Activation::None | Activation::Silu => wide,
            },
            packed: ops.pack_linear(weight, bias, wide, activation)?,
        })
    }

    /// Applies the layer and its activation.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        self.forward_fused(ops, xs, None)
    }

    /// Applies the layer and its activation, then adds `residual`.
    pub fn forward_fused(
        &self,
        ops: &B,
        xs: &B::Tensor,
        residual: Option<&B::Tensor>,
    ) -> Result<B::Tensor, EngineError> {
        let input = ops.shape(xs);
        check(&self.name, "input", input.with_channels(self.inputs), input)?;
        if let Some(residual) = residual {
            let expected = input.with_channels(self.outputs);
            check(&self.name, "residual", expected, ops.shape(residual))?;
        }
        ops.linear(&self.packed, xs, residual)
    }
}

/// Scale and shift of every channel, which both norms have.
#[derive(Debug)]
struct Affine<B: Backend> {
    name: String,
    channels: usize,
    packed: B::Norm,
}

impl<B: Backend> Affine<B> {
    fn load(ops: &B, vs: &Scope<'_>, channels: usize) -> Result<Self, EngineError> {
        let (weight, bias) = (vs.get("weight", &[channels])?, vs.get("bias", &[channels])?);
        Ok(Self {
            name: vs.name().to_owned(),
            channels,
            packed: ops.pack_norm(weight, bias)?,
        })
    }

    fn check(&self, input: Shape) -> Result<(), EngineError> {
        let expected = input.with_channels(self.channels);
        check(&self.name, "input", expected, input)
    }
}

/// A group norm, with or without the SiLU behind it.
#[derive(Debug)]
pub struct GroupNorm<B: Backend> {
    affine: Affine<B>,
    spec: GroupNormSpec,
}

impl<B: Backend> GroupNorm<B> {
    /// Loads `weight` and `bias`.
    pub fn load(
        ops: &B,
        vs: &Scope<'_>,
        channels: usize,
        spec: GroupNormSpec,
    ) -> Result<Self, EngineError> {
        divide(vs.name(), channels, spec.groups)?;
        let affine = Affine::load(ops, vs, channels)?;
        Ok(Self { affine, spec })
    }

    /// Normalizes.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        self.affine.check(ops.shape(xs))?;
        ops.group_norm(&self.affine.packed, xs, self.spec)
    }
}

/// A layer norm.
#[derive(Debug)]
pub struct LayerNorm<B: Backend> {
    affine: Affine<B>,
    epsilon: f64,
}

impl<B: Backend> LayerNorm<B> {
    /// Loads `weight` and `bias`.
    pub fn load(
        ops: &B,
        vs: &Scope<'_>,
        channels: usize,
        epsilon: f64,
    ) -> Result<Self, EngineError> {
        let affine = Affine::load(ops, vs, channels)?;
        Ok(Self { affine, epsilon })
    }

    /// Normalizes.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        self.affine.check(ops.shape(xs))?;
        ops.layer_norm(&self.affine.packed, xs, self.epsilon)
    }
}

/// Attention of every row with itself; has no weights of its own. See [`Backend::self_attention`].
pub fn attend_self<B: Backend>(
    ops: &B,
    layer: &str,
    xs: &B::Tensor,
    heads: usize,
) -> Result<B::Tensor, EngineError> {
    divide(layer, ops.shape(xs).channels, 3 * heads)?;
    ops.self_attention(xs, heads)
}

/// Packs the keys and values of one text. See [`Backend::pack_context`].
pub fn pack_context<B: Backend>(
    ops: &B,
    layer: &str,
    keys_values: &B::Tensor,
    heads: usize,
) -> Result<B::Context, EngineError> {
    let found = ops.shape(keys_values);
    divide(layer, found.channels, 2 * heads)?;
    check(layer, "text", Shape { rows: 1, ..found }, found)?;
    ops.pack_context(keys_values, heads)
}

/// Attention of every row with its text. See [`Backend::cross_attention`].
pub fn attend_context<'c, B: Backend>(
    ops: &B,
    layer: &str,
    xs: &B::Tensor,
    context_of: &(dyn Fn(usize) -> &'c B::Context + Sync),
    heads: usize,
) -> Result<B::Tensor, EngineError> {
    let input = ops.shape(xs);
    divide(layer, input.channels, heads)?;
    let tokens = ops.context_shape(context_of(0)).width;
    for row in 0..input.rows {
        let expected = Shape::tokens(1, tokens, input.channels);
        check(layer, "text", expected, ops.context_shape(context_of(row)))?;
    }
    ops.cross_attention(xs, context_of, heads)
}

fn divide(layer: &str, channels: usize, parts: usize) -> Result<(), EngineError> {
    if parts != 0 && channels.is_multiple_of(parts) {
        return Ok(());
    }
    Err(EngineError::Indivisible {
        layer: layer.to_owned(),
        channels,
        parts,
    })
}

/// The channels of both tensors side by side.
pub fn concat<B: Backend>(
    ops: &B,
    layer: &str,
    xs: &B::Tensor,
    ys: &B::Tensor,
) -> Result<B::Tensor, EngineError> {
    let (first, second) = (ops.shape(xs), ops.shape(ys));
    let expected = first.with_channels(second.channels);
    check(layer, "second part", expected, second)?;
    ops.concat(xs, ys)
}

fn check(
    layer: &str,
    what: &'static str,
    expected: Shape,
    found: Shape,
) -> Result<(), EngineError> {
    if expected == found && !found.is_empty() {
        Ok(())
    } else {
        Err(EngineError::shape(layer, what, expected, found))
    }
}
