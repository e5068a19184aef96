//! Every operation against candle's, on odd shapes; and the promise that company changes nothing.

use candle_core::Device;

use super::*;
use crate::engine::{
    noise::{NoiseKey, gaussian},
    ops::candle::Candle,
};

const REFERENCE: Candle = Candle::new(Device::Cpu);

/// Largest error over largest value.
const TOLERANCE: f32 = 3e-6;

fn random(draw: u32, n: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: 1,
        candidate: 0,
        draw,
    };
    gaussian(key, n)
}

type Pair = (Tensor, candle_core::Tensor);

fn both(draw: u32, shape: Shape) -> Pair {
    let values = random(draw, shape.len());
    (
        Native.upload_chw(shape, &values).unwrap(),
        REFERENCE.upload_chw(shape, &values).unwrap(),
    )
}

fn assert_same(what: &str, found: &Tensor, expected: &candle_core::Tensor) {
    assert_eq!(Native.shape(found), REFERENCE.shape(expected), "{what}");
    let found = Native.download_chw(found).unwrap();
    let expected = REFERENCE.download_chw(expected).unwrap();
    let largest = expected
        .iter()
        .fold(0.0f32, |largest, x| largest.max(x.abs()));
    let apart = found.iter().zip(&expected).map(|(x, y)| (x - y).abs());
    let apart = apart.fold(0.0f32, f32::max) / largest;
    assert!(apart < TOLERANCE, "{what}: {apart:.1e}");
}

#[test]
fn numbers_come_back_as_they_went() {
    let values = random(1, 2 * 3 * 5 * 7);
    let xs = Native.upload_chw(Shape::grid(2, 3, 5, 7), &values).unwrap();
    assert_eq!(Native.download_chw(&xs).unwrap(), values);
}

#[test]
fn convolutions_agree_with_every_stride_padding_and_fusion() {
    let shape = Shape::grid(2, 9, 7, 5);
    let (xs, reference_xs) = both(1, shape);
    let cases = [
        (1, 1, None),
        (2, 1, None),
        (2, 0, None),
        (1, 1, Some((18, 14))),
        (1, 1, Some((17, 13))),
    ];
    for (stride, padding_before, enlarge_to) in cases {
        let spec = ConvSpec {
            stride,
            padding_before,
            ..ConvSpec::same(5, 6)
        };
        let (weight, bias) = (random(2, 6 * 5 * 9), random(3, 6));
        let conv = Native
            .pack_conv(spec, weight.clone(), bias.clone())
            .unwrap();
        let reference = REFERENCE.pack_conv(spec, weight, bias).unwrap();
        let (height, width) = enlarge_to.unwrap_or((9, 7));
        let output = spec.output(Shape {
            height,
            width,
            ..shape
        });
        let (vectors, reference_vectors) = both(4, Shape::vectors(2, 6));
        let (residual, reference_residual) = both(5, output);
        let found = ConvFusion {
            enlarge_to,
            per_row: Some(&vectors),
            residual: Some(&residual),
        };
        let expected = ConvFusion {
            enlarge_to,
            per_row: Some(&reference_vectors),
            residual: Some(&reference_residual),
        };
        let found = Native.conv(&conv, &xs, &found).unwrap();
        let expected = REFERENCE
            .conv(&reference, &reference_xs, &expected)
            .unwrap();
        assert_same(&format!("{spec:?} {enlarge_to:?}"), &found, &expected);
    }
}

#[test]
fn a_convolution_of_many_blocks_agrees() {
    let (xs, reference_xs) = both(1, Shape::grid(1, 33, 31, 40));
    let spec = ConvSpec::same(40, 24);
    let (weight, bias) = (random(2, 24 * 40 * 9), random(3, 24));
    let conv = Native
        .pack_conv(spec, weight.clone(), bias.clone())
        .unwrap();
    let reference = REFERENCE.pack_conv(spec, weight, bias).unwrap();
    let found = Native.conv(&conv, &xs, &ConvFusion::default()).unwrap();
    let expected = REFERENCE.conv(&reference, &reference_xs, &ConvFusion::default());
    assert_same("many blocks", &found, &expected.unwrap());
}

#[test]
fn linear_layers_agree_with_every_activation() {
    let shape = Shape::grid(2, 19, 17, 11);
    let (xs, reference_xs) = both(1, shape);
    for activation in [Activation::None, Activation::Silu, Activation::GeGlu] {
        let (weight, bias) = (random(2, 14 * 11), Some(random(3, 14)));
        let linear = Native
            .pack_linear(weight.clone(), bias.clone(), 14)
            .unwrap();
        let reference = REFERENCE.pack_linear(weight, bias, 14).unwrap();
        let outputs = if activation == Activation::GeGlu {
            7
        } else {
            14
        };
        let (residual, reference_residual) = both(4, shape.with_channels(outputs));
        let found = Native.linear(&linear, &xs, activation, Some(&residual));
        let expected = REFERENCE.linear(
            &reference,
            &reference_xs,
            activation,
            Some(&reference_residual),
        );
        assert_same(
            &format!("{activation:?}"),
            &found.unwrap(),
            &expected.unwrap(),
        );
    }
}

#[test]
fn norms_agree_also_far_from_zero() {
    for (draw, offset) in [(1, 0.0), (2, 30.0)] {
        let shape = Shape::grid(2, 25, 23, 12);
        let values: Vec<f32> = random(draw, shape.len())
            .iter()
            .map(|x| x + offset)
            .collect();
        let xs = Native.upload_chw(shape, &values).unwrap();
        let reference_xs = REFERENCE.upload_chw(shape, &values).unwrap();
        let (weight, bias) = (random(3, 12), random(4, 12));
        let norm = Native.pack_norm(weight.clone(), bias.clone()).unwrap();
        let reference = REFERENCE.pack_norm(weight, bias).unwrap();
        for silu in [false, true] {
            let spec = GroupNormSpec {
                groups: 4,
                epsilon: 1e-6,
                silu,
            };
            let found = Native.group_norm(&norm, &xs, spec).unwrap();
            let expected = REFERENCE.group_norm(&reference, &reference_xs, spec);
            // The reference sums in f32.
            if offset == 0.0 {
                assert_same("group norm", &found, &expected.unwrap());
            } else {
                let moments = moments(&norm, &found);
                assert!(silu || moments < 1e-5, "{moments}");
            }
        }
        let found = Native.layer_norm(&norm, &xs, 1e-5).unwrap();
        let expected = REFERENCE
            .layer_norm(&reference, &reference_xs, 1e-5)
            .unwrap();
        if offset == 0.0 {
            assert_same("layer norm", &found, &expected);
        }
    }
}

/// How far the groups of a normalized tensor are from mean 0, with scale and shift taken back.
fn moments(norm: &Norm, ys: &Tensor) -> f32 {
    let channels = norm.weight.len();
    let mut worst = 0.0f32;
    for row in 0..ys.shape.rows {
        for group in 0..4 {
            let mut sum = 0.0;
            for (index, y) in ys.row(row).iter().enumerate() {
                let channel = index % channels;
                if channel / 3 == group {
                    sum += f64::from((y - norm.bias[channel]) / norm.weight[channel]);
                }
            }
            worst = worst.max((sum / (ys.row(row).len() / 4) as f64).abs() as f32);
        }
    }
    worst
}

#[test]
fn attention_agrees_with_and_without_a_context() {
    let (xs, reference_xs) = both(1, Shape::grid(2, 9, 11, 24));
    let found = Native.attention(&xs, None, 2).unwrap();
    let expected = REFERENCE.attention(&reference_xs, None, 2).unwrap();
    assert_same("self", &found, &expected);
    let (context, reference_context) = both(2, Shape::tokens(2, 77, 48));
    let found = Native.attention(&xs, Some(&context), 3).unwrap();
    let expected = REFERENCE.attention(&reference_xs, Some(&reference_context), 3);
    assert_same("cross", &found, &expected.unwrap());
}

#[test]
fn channels_are_put_side_by_side() {
    let (xs, reference_xs) = both(1, Shape::grid(2, 3, 5, 7));
    let (ys, reference_ys) = both(2, Shape::grid(2, 3, 5, 4));
    let found = Native.concat(&xs, &ys).unwrap();
    assert_same(
        "concat",
        &found,
        &REFERENCE.concat(&reference_xs, &reference_ys).unwrap(),
    );
}

#[test]
fn a_row_is_bit_for_bit_the_same_alone_and_in_a_batch() {
    let shape = Shape::grid(5, 16, 16, 24);
    let values = random(1, shape.len());
    let one = Shape { rows: 1, ..shape };
    let third = 2 * one.len()..3 * one.len();
    let batch = Native.upload_chw(shape, &values).unwrap();
    let alone = Native.upload_chw(one, &values[third]).unwrap();
    let spec = ConvSpec::same(24, 24);
    let conv = Native
        .pack_conv(spec, random(2, 24 * 24 * 9), random(3, 24))
        .unwrap();
    let linear = Native.pack_linear(random(4, 72 * 24), None, 72).unwrap();
    let norm = Native.pack_norm(random(5, 24), random(6, 24)).unwrap();
    let group = GroupNormSpec {
        groups: 4,
        epsilon: 1e-5,
        silu: true,
    };
    let run = |xs: &Tensor| {
        let xs = Native.conv(&conv, xs, &ConvFusion::default()).unwrap();
        let xs = Native.group_norm(&norm, &xs, group).unwrap();
        let xs = Native.linear(&linear, &xs, Activation::None, None).unwrap();
        Native.attention(&xs, None, 3).unwrap()
    };
    let (batch, alone) = (run(&batch), run(&alone));
    assert_eq!(batch.row(2), alone.row(0));
}
