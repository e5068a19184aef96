//! How long do norms take? Group norm with SiLU before a convolution, layer norm before attention.

use criterion::Criterion;
use goldilocks::engine::ops::{
    Backend as _, GroupNormSpec,
    native::{Native, Norm},
};

use crate::places::{NATIVE, Place, compare, numbers};

pub(crate) fn bench(criterion: &mut Criterion) {
    let spec = GroupNormSpec {
        groups: 4,
        epsilon: 1e-5,
        silu: true,
    };
    let everywhere = |_| true;
    compare(
        criterion,
        "group_norm_silu",
        everywhere,
        |native, place, rows| {
            let norm = pack(&native, place);
            let xs = place.batch(&native, rows, place.channels);
            move || native.group_norm(&norm, &xs, spec).expect(NATIVE)
        },
    );
    compare(
        criterion,
        "layer_norm",
        Place::attends,
        |native, place, rows| {
            let norm = pack(&native, place);
            let xs = place.batch(&native, rows, place.channels);
            move || native.layer_norm(&norm, &xs, 1e-5).expect(NATIVE)
        },
    );
}

fn pack(native: &Native, place: Place) -> Norm {
    let (weight, bias) = (numbers(place.channels), numbers(place.channels));
    native.pack_norm(weight, bias).expect(NATIVE)
}
