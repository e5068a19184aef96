//! How long do linear layers take? Those of a transformer block: its 1x1 convolutions, and GEGLU.

use criterion::Criterion;
use goldilocks::engine::ops::{
    Activation, Backend as _,
    native::{Native, Tensor},
};

use crate::places::{NATIVE, Place, compare, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    compare(
        criterion,
        "linear",
        Place::attends,
        |native, place, rows| apply(native, place, rows, place.channels, Activation::None),
    );
    // Four times as wide, and as many gates.
    compare(criterion, "geglu", Place::attends, |native, place, rows| {
        apply(native, place, rows, 8 * place.channels, Activation::GeGlu)
    });
}

fn apply(
    native: Native,
    place: Place,
    rows: usize,
    outputs: usize,
    activation: Activation,
) -> impl FnMut() -> Tensor {
    let weight = numbers(place.channels * outputs);
    let linear = native.pack_linear(weight, Some(numbers(outputs)), outputs, activation);
    let linear = linear.expect(NATIVE);
    let xs = place.batch(&native, rows, place.channels);
    move || native.linear(&linear, &xs, None).expect(NATIVE)
}
