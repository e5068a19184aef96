//! A row is the same, bit for bit, alone, in any batch and at any number of threads.

use super::*;

type Operation = (&'static str, fn(&Native, &Tensor) -> Tensor);

const CHANNELS: usize = 48;

const OPERATIONS: [Operation; 6] = [
    ("direct convolution", |native, xs| conv(native, xs, 2)),
    ("Winograd's convolution", |native, xs| conv(native, xs, 1)),
    ("group norm", |native, xs| {
        let norm = native
            .pack_norm(random(5, CHANNELS), random(6, CHANNELS))
            .unwrap();
        let spec = GroupNormSpec {
            groups: 4,
            epsilon: 1e-5,
            silu: false,
        };
        native.group_norm(&norm, xs, spec).unwrap()
    }),
    ("layer norm", |native, xs| {
        let norm = native
            .pack_norm(random(5, CHANNELS), random(6, CHANNELS))
            .unwrap();
        native.layer_norm(&norm, xs, 1e-5).unwrap()
    }),
    ("gated linear layer", |native, xs| {
        let weight = random(4, 144 * CHANNELS);
        let linear = native
            .pack_linear(weight, None, 144, Activation::GeGlu)
            .unwrap();
        native.linear(&linear, xs, None).unwrap()
    }),
    ("attention", |native, xs| {
        native.self_attention(xs, 2).unwrap()
    }),
];

fn conv(native: &Native, xs: &Tensor, stride: usize) -> Tensor {
    let spec = ConvSpec {
        stride,
        ..ConvSpec::same(CHANNELS, 32)
    };
    assert_eq!(
        winograd::Winograd::<f32, 4, 6>::pays(native.level(), spec, spec.output(xs.shape)),
        stride == 1
    );
    let conv = native
        .pack_conv(spec, random(2, 32 * CHANNELS * 9), random(3, 32))
        .unwrap();
    native.conv(&conv, xs, &ConvFusion::default()).unwrap()
}

#[test]
#[should_panic(expected = "packed for the instructions in use")]
fn weights_packed_for_shorter_vectors_are_refused() {
    let portable = Native::new(Level::Portable, 1);
    let linear = portable.pack_linear(random(1, 7), None, 7, Activation::None);
    let best = Native::new(Level::best(), 1);
    let xs = upload(&best, Shape::vectors(1, 1), &[1.0]);
    // On a machine with the shortest vectors alone there is nothing to mistake.
    assert_ne!(
        best.level().lanes(),
        portable.level().lanes(),
        "packed for the instructions in use"
    );
    let _ = best.linear(&linear.unwrap(), &xs, None);
}

#[test]
fn every_operation_gives_a_row_the_same_bits_in_any_company_on_any_threads() {
    let all = Shape::grid(8, 16, 16, CHANNELS);
    let one = Shape { rows: 1, ..all };
    let values = random(1, all.len());
    for (kind, native) in kinds() {
        let alone = native(1);
        for (name, operation) in OPERATIONS {
            for row in [0, 2] {
                let of_row = &values[row * one.len()..][..one.len()];
                let expected = operation(&alone, &upload(&alone, one, of_row));
                for n_threads in [1, 2, 5] {
                    let native = native(n_threads);
                    for rows in [row + 1, 3, 8] {
                        let shape = Shape { rows, ..all };
                        let xs = upload(&native, shape, &values[..shape.len()]);
                        let found = operation(&native, &xs);
                        let same = found.row(row) == expected.row(0);
                        assert!(
                            same,
                            "{name}, {kind}, row {row} of {rows}, {n_threads} threads"
                        );
                    }
                }
            }
        }
    }
}
