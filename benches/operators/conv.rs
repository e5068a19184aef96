//! How long do 3x3 convolutions take? The shapes decide between the algorithms, as they do in a network.

use criterion::Criterion;
use goldilocks::engine::ops::{
    Backend as _, ConvFusion, ConvSpec, GroupNormSpec,
    native::{Conv, Native, Tensor},
};

use crate::places::{NATIVE, Place, compare, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    // On 4x4 there are too few tiles for Winograd's algorithm.
    let small = |place: Place| place.side == 4;
    compare(criterion, "conv3x3_direct", small, same);
    // Channels must fill vectors for it.
    let large = |place: Place| place.side >= 8 && place.channels >= 16;
    compare(criterion, "conv3x3_winograd", large, same);
    let halved = |place: Place| place.side >= 8;
    compare(criterion, "conv3x3_stride2", halved, stride_2);
}

/// After a norm, as in a residual block.
fn same(native: Native, place: Place, rows: usize) -> impl FnMut() -> Tensor {
    let channels = place.channels;
    let conv = pack(&native, ConvSpec::same(channels, channels));
    let norm = native.pack_norm(numbers(channels), numbers(channels));
    let spec = GroupNormSpec {
        groups: 4,
        epsilon: 1e-5,
        silu: true,
    };
    let xs = place.batch(&native, rows, channels);
    let xs = native.group_norm(&norm.expect(NATIVE), &xs, spec);
    apply(native, conv, xs.expect(NATIVE))
}

/// After a residual block, as between two levels.
fn stride_2(native: Native, place: Place, rows: usize) -> impl FnMut() -> Tensor {
    let spec = ConvSpec {
        stride: 2,
        ..ConvSpec::same(place.channels, place.channels)
    };
    let xs = place.batch(&native, rows, place.channels);
    let conv = pack(&native, spec);
    apply(native, conv, xs)
}

fn pack(native: &Native, spec: ConvSpec) -> Conv {
    let weight = numbers(9 * spec.inputs * spec.outputs);
    let conv = native.pack_conv(spec, weight, numbers(spec.outputs));
    conv.expect(NATIVE)
}

fn apply(native: Native, conv: Conv, xs: Tensor) -> impl FnMut() -> Tensor {
    move || {
        let output = native.conv(&conv, &xs, &ConvFusion::default());
        output.expect(NATIVE)
    }
}
