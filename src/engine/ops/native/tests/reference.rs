//! What should come out? Every operation as its definition says, number by number, in f64.

use crate::engine::ops::{ConvSpec, Shape};

/// A batch in rows x height x width x channels.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) shape: Shape,
    pub(super) values: Vec<f64>,
}

impl Reference {
    pub(super) fn new(shape: Shape, values: &[f32]) -> Self {
        assert_eq!(shape.len(), values.len());
        let values = values.iter().map(|value| f64::from(*value)).collect();
        Self { shape, values }
    }

    fn build(shape: Shape, at: impl Fn(usize, usize, usize, usize) -> f64) -> Self {
        let mut values = Vec::with_capacity(shape.len());
        for row in 0..shape.rows {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    values.extend((0..shape.channels).map(|channel| at(row, y, x, channel)));
                }
            }
        }
        Self { shape, values }
    }

    pub(super) fn get(&self, row: usize, y: usize, x: usize, channel: usize) -> f64 {
        let Shape {
            height,
            width,
            channels,
            ..
        } = self.shape;
        self.values[((row * height + y) * width + x) * channels + channel]
    }

    fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        let values = self.values.iter().map(|value| function(*value)).collect();
        Self { values, ..*self }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        assert_eq!(self.shape, other.shape);
        let pairs = self.values.iter().zip(&other.values);
        let values = pairs.map(|(x, y)| x + y).collect();
        Self { values, ..*self }
    }

    pub(super) fn plus_vectors(&self, vectors: &Self) -> Self {
        Self::build(self.shape, |row, y, x, channel| {
            self.get(row, y, x, channel) + vectors.get(row, 0, 0, channel)
        })
    }

    pub(super) fn enlarged(&self, (height, width): (usize, usize)) -> Self {
        let shape = Shape {
            height,
            width,
            ..self.shape
        };
        Self::build(shape, |row, y, x, channel| {
            self.get(row, y / 2, x / 2, channel)
        })
    }

    pub(super) fn conv(&self, spec: ConvSpec, weight: &[f32], bias: &[f32]) -> Self {
        Self::build(spec.output(self.shape), |row, y, x, output| {
            let mut sum = f64::from(bias[output]);
            for tap in 0..9 {
                let line = y * spec.stride + tap / 3;
                let column = x * spec.stride + tap % 3;
                let inside = |at: usize, side: usize| {
                    at.checked_sub(spec.padding_before).filter(|at| *at < side)
                };
                let (Some(line), Some(column)) = (
                    inside(line, self.shape.height),
                    inside(column, self.shape.width),
                ) else {
                    continue;
                };
                for input in 0..spec.inputs {
                    let weight = weight[(output * spec.inputs + input) * 9 + tap];
                    sum += f64::from(weight) * self.get(row, line, column, input);
                }
            }
            sum
        })
    }

    pub(super) fn linear(&self, weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Self {
        let inputs = self.shape.channels;
        Self::build(self.shape.with_channels(outputs), |row, y, x, output| {
            let products = (0..inputs).map(|input| {
                f64::from(weight[output * inputs + input]) * self.get(row, y, x, input)
            });
            bias.map_or(0.0, |bias| f64::from(bias[output])) + products.sum::<f64>()
        })
    }

    pub(super) fn silu(&self) -> Self {
        self.map(silu)
    }

    pub(super) fn geglu(&self) -> Self {
        let half = self.shape.channels / 2;
        Self::build(self.shape.with_channels(half), |row, y, x, channel| {
            self.get(row, y, x, channel) * gelu(self.get(row, y, x, half + channel))
        })
    }

    pub(super) fn group_norm(&self, groups: usize, epsilon: f64, affine: (&[f32], &[f32])) -> Self {
        let per_group = self.shape.channels / groups;
        let members = |group: usize| group * per_group..(group + 1) * per_group;
        let moments: Vec<_> = (0..self.shape.rows * groups)
            .map(|index| {
                let (row, group) = (index / groups, index % groups);
                let mut values = Vec::new();
                for y in 0..self.shape.height {
                    for x in 0..self.shape.width {
                        values.extend(members(group).map(|channel| self.get(row, y, x, channel)));
                    }
                }
                moments(&values)
            })
            .collect();
        Self::build(self.shape, |row, y, x, channel| {
            let moments = moments[row * groups + channel / per_group];
            normed(
                self.get(row, y, x, channel),
                moments,
                epsilon,
                affine,
                channel,
            )
        })
    }

    pub(super) fn layer_norm(&self, epsilon: f64, affine: (&[f32], &[f32])) -> Self {
        Self::build(self.shape, |row, y, x, channel| {
            let all = (0..self.shape.channels).map(|channel| self.get(row, y, x, channel));
            let moments = moments(&all.collect::<Vec<_>>());
            normed(
                self.get(row, y, x, channel),
                moments,
                epsilon,
                affine,
                channel,
            )
        })
    }

    fn token(&self, row: usize, index: usize, channel: usize) -> f64 {
        let width = self.shape.width;
        self.get(row, index / width, index % width, channel)
    }

    /// Attention; keys and values lie side by side in `keys_values` from channel `first` on.
    pub(super) fn attention(
        &self,
        channels: usize,
        (keys_values, first): (&Self, usize),
        heads: usize,
    ) -> Self {
        let depth = channels / heads;
        let n_keys = keys_values.shape.positions();
        let shape = self.shape.with_channels(channels);
        let mut values = Vec::with_capacity(shape.len());
        for row in 0..shape.rows {
            for query in 0..shape.positions() {
                for head in 0..heads {
                    let at = head * depth;
                    let scores = (0..n_keys).map(|key| {
                        let products = (at..at + depth).map(|channel| {
                            self.token(row, query, channel)
                                * keys_values.token(row, key, first + channel)
                        });
                        products.sum::<f64>() / (depth as f64).sqrt()
                    });
                    let weights = softmax(scores.collect());
                    values.extend((at..at + depth).map(|channel| {
                        let of_key = |key| keys_values.token(row, key, first + channels + channel);
                        weights
                            .iter()
                            .enumerate()
                            .map(|(key, weight)| weight * of_key(key))
                            .sum::<f64>()
                    }));
                }
            }
        }
        Self { shape, values }
    }

    pub(super) fn concat(&self, other: &Self) -> Self {
        let first = self.shape.channels;
        let shape = self.shape.with_channels(first + other.shape.channels);
        Self::build(shape, |row, y, x, channel| {
            match channel.checked_sub(first) {
                None => self.get(row, y, x, channel),
                Some(channel) => other.get(row, y, x, channel),
            }
        })
    }
}

fn softmax(mut scores: Vec<f64>) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for score in &mut scores {
        *score = (*score - largest).exp();
    }
    let sum: f64 = scores.iter().sum();
    scores.iter().map(|weight| weight / sum).collect()
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    (mean, squares.sum::<f64>() / count)
}

fn normed(
    value: f64,
    (mean, variance): (f64, f64),
    epsilon: f64,
    (weight, bias): (&[f32], &[f32]),
    channel: usize,
) -> f64 {
    (value - mean) / (variance + epsilon).sqrt() * f64::from(weight[channel])
        + f64::from(bias[channel])
}

pub(super) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

pub(super) fn gelu(x: f64) -> f64 {
    x * (1.0 + erf(x / 2.0f64.sqrt())) / 2.0
}

/// By its Maclaurin series, which is exact enough in f64 for arguments up to 4; beyond, it is 1.
fn erf(z: f64) -> f64 {
    if z.abs() > 4.0 {
        return z.signum();
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..120 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}
