//! Each operation on any shape.

use super::*;

/// Sides and channels with every kind of rest.
fn shapes() -> impl Strategy<Value = Shape> {
    (1..=3usize, 1..=19usize, 1..=19usize, 1..=40usize)
        .prop_map(|(rows, height, width, channels)| Shape::grid(rows, height, width, channels))
}

/// A stride and padding that diffusers knows, and maybe an enlargement that a convolution keeps.
fn conv_kinds() -> impl Strategy<Value = (usize, usize, Option<(usize, usize)>)> {
    prop_oneof![
        Just((1, 1, None)),
        Just((2, 1, None)),
        Just((2, 0, None)),
        (0..=1usize, 0..=1usize).prop_map(|(y, x)| (1, 1, Some((y, x)))),
    ]
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn convolutions(
        shape in shapes(),
        outputs in 1..=70usize,
        (stride, padding_before, enlarge) in conv_kinds(),
        fused in any::<(bool, bool)>(),
    ) {
        // diffusers' asymmetric padding needs a second line.
        prop_assume!(padding_before == 1 || (shape.height > 1 && shape.width > 1));
        let spec = ConvSpec { inputs: shape.channels, outputs, stride, padding_before };
        let enlarge_to = enlarge.map(|(y, x)| (2 * shape.height - y, 2 * shape.width - x));
        check_conv(shape, spec, enlarge_to, fused, TOLERANCE);
    }

    #[test]
    fn convolutions_that_may_be_winograds(
        rows in 1..=3usize,
        tiles in (2..=5usize, 2..=5usize),
        (inputs, outputs) in (1..=3usize, 1..=3usize),
        fused in any::<(bool, bool)>(),
        enlarged in any::<bool>(),
    ) {
        let spec = ConvSpec::same(16 * inputs, 16 * outputs);
        let side = if enlarged { 2 } else { 4 };
        let shape = Shape::grid(rows, side * tiles.0, side * tiles.1, spec.inputs);
        let enlarge_to = enlarged.then_some((4 * tiles.0, 4 * tiles.1));
        for level in Level::available() {
            let output = Shape::grid(rows, 4 * tiles.0, 4 * tiles.1, spec.outputs);
            prop_assert!(winograd::Winograd::<f32, 4, 6>::pays(level, spec, output));
        }
        check_conv(shape, spec, enlarge_to, fused, WINOGRAD_TOLERANCE);
    }

    #[test]
    fn linear_layers(
        shape in shapes(),
        outputs in 1..=70usize,
        activation in prop_oneof![
            Just(Activation::None), Just(Activation::Silu), Just(Activation::GeGlu)
        ],
        (with_bias, with_residual) in any::<(bool, bool)>(),
    ) {
        let inputs = shape.channels;
        let outputs = if activation == Activation::GeGlu { 2 * outputs } else { outputs };
        let (values, weight) = (random(1, shape.len()), random(2, outputs * inputs));
        let bias = with_bias.then(|| random(3, outputs));
        let wide = Reference::new(shape, &values).linear(&weight, bias.as_deref(), outputs);
        let mut expected = match activation {
            Activation::None => wide,
            Activation::Silu => wide.silu(),
            Activation::GeGlu => wide.geglu(),
        };
        let residual = random(4, expected.shape.len());
        if with_residual {
            expected = expected.plus(&Reference::new(expected.shape, &residual));
        }
        for native in natives() {
            let linear = native
                .pack_linear(weight.clone(), bias.clone(), outputs, activation)
                .unwrap();
            let residual = with_residual.then(|| upload(&native, expected.shape, &residual));
            let xs = upload(&native, shape, &values);
            let found = native.linear(&linear, &xs, residual.as_ref()).unwrap();
            assert_near(&format!("{} {activation:?}", native.level()), &found, &expected, TOLERANCE);
        }
    }

    #[test]
    fn group_norms(
        shape in shapes(),
        (groups, per_group) in (1..=6usize, 1..=12usize),
        silu in any::<bool>(),
        offset in prop_oneof![Just(0.0f32), Just(-40.0)],
    ) {
        let shape = shape.with_channels(groups * per_group);
        let values = random(1, shape.len());
        let values: Vec<_> = values.iter().map(|value| value + offset).collect();
        let (weight, bias) = (random(2, shape.channels), random(3, shape.channels));
        let spec = GroupNormSpec { groups, epsilon: 1e-5, silu };
        let normed = Reference::new(shape, &values).group_norm(groups, 1e-5, (&weight, &bias));
        let expected = if silu { normed.silu() } else { normed };
        // One number alone is its own mean: what is left of it is rounding, divided by epsilon's root.
        prop_assume!(shape.positions() * per_group > 1);
        for native in natives() {
            let norm = native.pack_norm(weight.clone(), bias.clone()).unwrap();
            let found = native.group_norm(&norm, &upload(&native, shape, &values), spec).unwrap();
            let tolerance = if offset == 0.0 { TOLERANCE } else { 2e-4 };
            assert_near(&format!("{}", native.level()), &found, &expected, tolerance);
        }
    }

    #[test]
    fn layer_norms(shape in shapes(), offset in prop_oneof![Just(0.0f32), Just(-40.0)]) {
        prop_assume!(shape.channels > 1);
        let values = random(1, shape.len());
        let values: Vec<_> = values.iter().map(|value| value + offset).collect();
        let (weight, bias) = (random(2, shape.channels), random(3, shape.channels));
        let expected = Reference::new(shape, &values).layer_norm(1e-5, (&weight, &bias));
        for native in natives() {
            let norm = native.pack_norm(weight.clone(), bias.clone()).unwrap();
            let found = native.layer_norm(&norm, &upload(&native, shape, &values), 1e-5).unwrap();
            let tolerance = if offset == 0.0 { TOLERANCE } else { 2e-4 };
            assert_near(&format!("{}", native.level()), &found, &expected, tolerance);
        }
    }

    #[test]
    fn attention_with_itself(shape in shapes(), heads in 1..=3usize, depth in 1..=40usize) {
        let shape = shape.with_channels(3 * heads * depth);
        let values = random(1, shape.len());
        let reference = Reference::new(shape, &values);
        let expected = reference.attention(heads * depth, (&reference, heads * depth), heads);
        for native in natives() {
            let xs = upload(&native, shape, &values);
            let found = native.self_attention(&xs, heads).unwrap();
            assert_near(&format!("{}", native.level()), &found, &expected, TOLERANCE);
        }
    }

    #[test]
    fn attention_with_texts(
        shape in shapes(),
        tokens in 1..=90usize,
        heads in 1..=3usize,
        depth in 1..=40usize,
    ) {
        let channels = heads * depth;
        let shape = shape.with_channels(channels);
        let texts = Shape::tokens(shape.rows, tokens, 2 * channels);
        let (values, keys_values) = (random(1, shape.len()), random(2, texts.len()));
        let reference = Reference::new(texts, &keys_values);
        let expected = Reference::new(shape, &values).attention(channels, (&reference, 0), heads);
        for native in natives() {
            let one = Shape { rows: 1, ..texts };
            let pack = |values| native.pack_context(&upload(&native, one, values), heads).unwrap();
            let contexts: Vec<_> = keys_values.chunks_exact(one.len()).map(pack).collect();
            prop_assert_eq!(native.context_shape(&contexts[0]), one.with_channels(channels));
            let xs = upload(&native, shape, &values);
            let found = native.cross_attention(&xs, &|row| &contexts[row], heads).unwrap();
            assert_near(&format!("{}", native.level()), &found, &expected, TOLERANCE);
        }
    }

    #[test]
    fn channels_side_by_side(shape in shapes(), other in 1..=40usize) {
        let (xs, ys) = (random(1, shape.len()), random(2, shape.with_channels(other).len()));
        let expected = Reference::new(shape, &xs)
            .concat(&Reference::new(shape.with_channels(other), &ys));
        for native in natives() {
            let xs = upload(&native, shape, &xs);
            let ys = upload(&native, shape.with_channels(other), &ys);
            assert_near("concat", &native.concat(&xs, &ys).unwrap(), &expected, 1e-9);
        }
    }
}

fn check_conv(
    shape: Shape,
    spec: ConvSpec,
    enlarge_to: Option<(usize, usize)>,
    (with_vectors, with_residual): (bool, bool),
    tolerance: f64,
) {
    let values = random(1, shape.len());
    let (weight, bias) = (
        random(2, spec.outputs * spec.inputs * 9),
        random(3, spec.outputs),
    );
    let mut source = Reference::new(shape, &values);
    if let Some(target) = enlarge_to {
        source = source.enlarged(target);
    }
    let mut expected = source.conv(spec, &weight, &bias);
    let vector_shape = Shape::vectors(shape.rows, spec.outputs);
    let (vectors, residual) = (
        random(4, vector_shape.len()),
        random(5, expected.shape.len()),
    );
    if with_vectors {
        expected = expected.plus_vectors(&Reference::new(vector_shape, &vectors));
    }
    if with_residual {
        expected = expected.plus(&Reference::new(expected.shape, &residual));
    }
    for native in natives() {
        let conv = native
            .pack_conv(spec, weight.clone(), bias.clone())
            .unwrap();
        let vectors = with_vectors.then(|| upload(&native, vector_shape, &vectors));
        let residual = with_residual.then(|| upload(&native, expected.shape, &residual));
        let fusion = ConvFusion {
            enlarge_to,
            per_row: vectors.as_ref(),
            residual: residual.as_ref(),
        };
        let found = native
            .conv(&conv, &upload(&native, shape, &values), &fusion)
            .unwrap();
        let what = format!("{}, {spec:?}, {shape}, to {enlarge_to:?}", native.level());
        assert_near(&what, &found, &expected, tolerance);
    }
}

/// So many channels that a panel does not fit a core's own cache, however short the vectors.
const DEEP: usize = 16_400;

#[test]
fn a_deep_convolution_adds_slab_to_slab() {
    let spec = ConvSpec {
        stride: 2,
        ..ConvSpec::same(DEEP / 9 + 1, 37)
    };
    let shape = Shape::grid(2, 9, 7, spec.inputs);
    check_conv(shape, spec, None, (true, true), DEEP_TOLERANCE);
}

#[test]
fn a_deep_linear_layer_gives_a_row_the_same_bits_in_slabs_and_whole() {
    let (outputs, row) = (37, 29);
    let shape = Shape::vectors(30, DEEP);
    let (values, weight) = (random(1, shape.len()), random(2, outputs * DEEP));
    let expected = Reference::new(shape, &values).linear(&weight, None, outputs);
    for (kind, native) in kinds() {
        for native in [native(1), native(3)] {
            let linear = native
                .pack_linear(weight.clone(), None, outputs, Activation::None)
                .unwrap();
            let xs = upload(&native, shape, &values);
            let found = native.linear(&linear, &xs, None).unwrap();
            if !native.is_bf16() {
                assert_near(&kind, &found, &expected, DEEP_TOLERANCE);
            }
            // A single tile is computed whole.
            let one = upload(&native, Shape::vectors(1, DEEP), &values[row * DEEP..]);
            let alone = native.linear(&linear, &one, None).unwrap();
            assert!(found.row(row) == alone.row(0), "{kind}");
        }
    }
}

#[test]
fn attention_over_several_blocks_of_keys() {
    let shape = Shape::tokens(1, 1100, 3 * 20);
    let values = random(1, shape.len());
    let reference = Reference::new(shape, &values);
    let expected = reference.attention(20, (&reference, 20), 1);
    for native in natives() {
        let found = native
            .self_attention(&upload(&native, shape, &values), 1)
            .unwrap();
        assert_near("long", &found, &expected, TOLERANCE);
    }
}

#[test]
fn a_convolution_takes_a_normed_picture_with_its_border() {
    let shape = Shape::grid(2, 9, 7, 8);
    let (values, one, zero) = (random(1, shape.len()), vec![1.0; 8], vec![0.0; 8]);
    let spec = ConvSpec::same(8, 5);
    let (weight, bias) = (random(2, 5 * 8 * 9), random(3, 5));
    let norm = GroupNormSpec {
        groups: 2,
        epsilon: 1e-5,
        silu: true,
    };
    let normed = Reference::new(shape, &values)
        .group_norm(2, 1e-5, (&one, &zero))
        .silu();
    let expected = normed.conv(spec, &weight, &bias);
    for native in natives() {
        let packed = native.pack_norm(one.clone(), zero.clone()).unwrap();
        let xs = native
            .group_norm(&packed, &upload(&native, shape, &values), norm)
            .unwrap();
        assert_eq!(xs.border, 1);
        let conv = native
            .pack_conv(spec, weight.clone(), bias.clone())
            .unwrap();
        let found = native.conv(&conv, &xs, &ConvFusion::default()).unwrap();
        assert_near("normed", &found, &expected, TOLERANCE);
    }
}

#[test]
fn numbers_come_back_as_they_went() {
    let shape = Shape::grid(2, 3, 5, 7);
    let values = random(1, shape.len());
    for native in natives() {
        let xs = native.upload_chw(shape, &values).unwrap();
        let mut found = vec![0.0; shape.len()];
        native.download_chw(&xs, &mut found).unwrap();
        assert_eq!(found, values);
        assert_eq!(xs.line(1, 2)[7 + 3], values[((7 + 3) * 3 + 2) * 5 + 1]);
    }
}
