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
        let scopes = std::slice::from_ref(vs);
        Self::load_stacked(ops, scopes, inputs, outputs, true)
    }

    /// Loads several layers of one input as one, their outputs side by side; `outputs` is that of each.
    pub fn load_stacked(
        ops: &B,
        scopes: &[Scope<'_>],
        inputs: usize,
        outputs: usize,
        with_bias: bool,
    ) -> Result<Self, EngineError> {
        let shapes: [&[usize]; 2] = [&[outputs, inputs], &[outputs, inputs, 1, 1]];
        let mut weight = Vec::with_capacity(scopes.len() * outputs * inputs);
        let mut bias = Vec::new();
        for vs in scopes {
            weight.extend(vs.get_any("weight", &shapes)?);
            if with_bias {
                bias.extend(vs.get("bias", &[outputs])?);
            }
        }
        let outputs = scopes.len() * outputs;
        let bias = with_bias.then_some(bias);
        Ok(Self {
            name: scopes.first().map_or("", |vs| vs.name()).to_owned(),
            inputs,
            outputs,
            packed: ops.pack_linear(weight, bias, outputs)?,
        })
    }

    /// Applies the layer alone.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        self.forward_fused(ops, xs, Activation::None, None)
    }

    /// Applies the layer, then `activation`, then adds `residual`.
    pub fn forward_fused(
        &self,
        ops: &B,
        xs: &B::Tensor,
        activation: Activation,
        residual: Option<&B::Tensor>,
    ) -> Result<B::Tensor, EngineError> {
        let input = ops.shape(xs);
        check(&self.name, "input", input.with_channels(self.inputs), input)?;
        let outputs = match activation {
            Activation::GeGlu => self.outputs / 2,
            Activation::None | Activation::Silu => self.outputs,
        };
        if let Some(residual) = residual {
            let expected = input.with_channels(outputs);
            check(&self.name, "residual", expected, ops.shape(residual))?;
        }
        ops.linear(&self.packed, xs, activation, residual)
    }
}

/// A group norm, with or without the SiLU behind it.
#[derive(Debug)]
pub struct GroupNorm<B: Backend> {
    name: String,
    channels: usize,
    spec: GroupNormSpec,
    packed: B::Norm,
}

impl<B: Backend> GroupNorm<B> {
    /// Loads `weight` and `bias`.
    pub fn load(
        ops: &B,
        vs: &Scope<'_>,
        channels: usize,
        spec: GroupNormSpec,
    ) -> Result<Self, EngineError> {
        if spec.groups == 0 || !channels.is_multiple_of(spec.groups) {
            return Err(EngineError::Indivisible {
                layer: vs.name().to_owned(),
                channels,
                parts: spec.groups,
            });
        }
        let (weight, bias) = (vs.get("weight", &[channels])?, vs.get("bias", &[channels])?);
        Ok(Self {
            name: vs.name().to_owned(),
            channels,
            spec,
            packed: ops.pack_norm(weight, bias)?,
        })
    }

    /// Normalizes.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        let input = ops.shape(xs);
        check(
            &self.name,
            "input",
            input.with_channels(self.channels),
            input,
        )?;
        ops.group_norm(&self.packed, xs, self.spec)
    }
}

/// A layer norm.
#[derive(Debug)]
pub struct LayerNorm<B: Backend> {
    name: String,
    channels: usize,
    epsilon: f64,
    packed: B::Norm,
}

impl<B: Backend> LayerNorm<B> {
    /// Loads `weight` and `bias`.
    pub fn load(
        ops: &B,
        vs: &Scope<'_>,
        channels: usize,
        epsilon: f64,
    ) -> Result<Self, EngineError> {
        let (weight, bias) = (vs.get("weight", &[channels])?, vs.get("bias", &[channels])?);
        Ok(Self {
            name: vs.name().to_owned(),
            channels,
            epsilon,
            packed: ops.pack_norm(weight, bias)?,
        })
    }

    /// Normalizes.
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        let input = ops.shape(xs);
        check(
            &self.name,
            "input",
            input.with_channels(self.channels),
            input,
        )?;
        ops.layer_norm(&self.packed, xs, self.epsilon)
    }
}

/// Attention of `heads` heads; has no weights of its own. See [`Backend::attention`].
pub fn attend<B: Backend>(
    ops: &B,
    layer: &str,
    xs: &B::Tensor,
    context: Option<&B::Tensor>,
    heads: usize,
) -> Result<B::Tensor, EngineError> {
    let input = ops.shape(xs);
    let parts = if context.is_some() { 1 } else { 3 };
    if heads == 0 || !input.channels.is_multiple_of(parts * heads) {
        return Err(EngineError::Indivisible {
            layer: layer.to_owned(),
            channels: input.channels,
            parts: parts * heads,
        });
    }
    if let Some(context) = context {
        let found = ops.shape(context);
        let expected = Shape {
            rows: input.rows,
            ..found.with_channels(2 * input.channels)
        };
        check(layer, "context", expected, found)?;
    }
    ops.attention(xs, context, heads)
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
