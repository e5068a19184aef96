//! Products in bf16 against loops in f64 over the same rounded numbers. Without the instructions there
//! is nothing to test, and the tests say so.

use half::bf16;

use super::{super::Bf16, *};

/// The same for attention, whose weights are rounded too: half a unit in the last place of bf16.
const ATTENTION_TOLERANCE: f64 = 4e-3;

/// Largest error over largest value of Winograd's F(2x2, 3x3), beside a convolution without rounding.
const ROUNDING_TOLERANCE: f64 = 1.5e-2;

/// As `natives`, in bf16.
fn natives_in_bf16() -> Vec<(Native, Edge)> {
    let Some(bf16) = Bf16::detect() else {
        eprintln!("SKIPPED: this processor has no AVX-512 with BF16");
        return Vec::new();
    };
    let kinds = [(1, Edge::Last), (3, Edge::Last), (1, Edge::First)];
    let native = |(n_threads, edge)| {
        let native = Native::new(Level::best(), n_threads).in_bf16(bf16);
        (native, edge)
    };
    kinds.map(native).into()
}

fn rounded(values: &[f32]) -> Vec<f32> {
    let round = |value: &f32| bf16::from_f32(*value).to_f32();
    values.iter().map(round).collect()
}

/// Few positions, and channels that are multiplied in bf16, with every kind of rest.
fn shapes() -> impl Strategy<Value = Shape> {
    (1..=3usize, 1..=7usize, 1..=7usize, 16..=40usize)
        .prop_map(|(rows, height, width, pairs)| Shape::grid(rows, height, width, 2 * pairs))
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn direct_convolutions(
        shape in shapes(),
        outputs in 32..=70usize,
        (stride, padding_before) in prop_oneof![Just((1, 1)), Just((2, 1)), Just((2, 0))],
        fused in any::<(bool, bool)>(),
    ) {
        prop_assume!(padding_before == 1 || (shape.height > 1 && shape.width > 1));
        // Winograd's tiles would fit the others.
        prop_assume!(stride == 2 || shape.height % 2 == 1 || !outputs.is_multiple_of(16));
        let spec = ConvSpec { inputs: shape.channels, outputs, stride, padding_before };
        check_conv(shape, spec, fused, &|source, weight, bias| {
            let source = Reference::new(shape, &rounded(source));
            (source.conv(spec, &rounded(weight), bias), TOLERANCE)
        });
    }

    #[test]
    fn convolutions_by_winograd(
        rows in 1..=3usize,
        tiles in (2..=5usize, 2..=5usize),
        (inputs, outputs) in (2..=4usize, 2..=4usize),
        fused in any::<(bool, bool)>(),
    ) {
        let spec = ConvSpec::same(16 * inputs, 16 * outputs);
        let shape = Shape::grid(rows, 2 * tiles.0, 2 * tiles.1, spec.inputs);
        check_conv(shape, spec, fused, &|source, weight, bias| {
            let source = Reference::new(shape, source);
            (f2(&source, spec, weight, bias), WINOGRAD_TOLERANCE)
        });
        check_conv(shape, spec, fused, &|source, weight, bias| {
            let source = Reference::new(shape, source);
            (source.conv(spec, weight, bias), ROUNDING_TOLERANCE)
        });
    }

    #[test]
    fn linear_layers(
        shape in shapes(),
        outputs in 32..=70usize,
        activation in prop_oneof![
            Just(Activation::None), Just(Activation::Silu), Just(Activation::GeGlu)
        ],
        with_residual in any::<bool>(),
    ) {
        let (inputs, outputs) = (shape.channels, 2 * outputs);
        let (values, weight) = (random(1, shape.len()), random(2, outputs * inputs));
        let bias = random(3, outputs);
        let source = Reference::new(shape, &rounded(&values));
        let wide = source.linear(&rounded(&weight), Some(&bias), outputs);
        let mut expected = match activation {
            Activation::None => wide,
            Activation::Silu => wide.silu(),
            Activation::GeGlu => wide.geglu(),
        };
        let residual = random(4, expected.shape.len());
        if with_residual {
            expected = expected.plus(&Reference::new(expected.shape, &residual));
        }
        for (native, edge) in natives_in_bf16() {
            guard(edge);
            let (weight, bias) = (weight.clone(), Some(bias.clone()));
            let linear = native.pack_linear(weight, bias, outputs, activation).unwrap();
            let residual = with_residual.then(|| upload(&native, expected.shape, &residual));
            let xs = upload(&native, shape, &values);
            let found = native.linear(&linear, &xs, residual.as_ref()).unwrap();
            assert_near(&format!("{shape} {activation:?}"), &found, &expected, TOLERANCE);
        }
    }

    #[test]
    fn attention_with_itself(
        (rows, height, width) in (1..=3usize, 1..=19usize, 1..=19usize),
        heads in 1..=3usize,
        pairs in 1..=20usize,
    ) {
        let channels = 2 * heads * pairs;
        let shape = Shape::grid(rows, height, width, 3 * channels);
        let values = random(1, shape.len());
        let reference = Reference::new(shape, &rounded(&values));
        let expected = reference.attention(channels, (&reference, channels), heads);
        for (native, edge) in natives_in_bf16() {
            guard(edge);
            let found = native.self_attention(&upload(&native, shape, &values), heads).unwrap();
            assert_near(&format!("{shape}"), &found, &expected, ATTENTION_TOLERANCE);
        }
    }

    #[test]
    fn attention_with_texts(
        (rows, side) in (1..=3usize, 1..=9usize),
        tokens in 1..=90usize,
        heads in 1..=3usize,
        pairs in 1..=20usize,
    ) {
        let channels = 2 * heads * pairs;
        let shape = Shape::grid(rows, side, side, channels);
        let texts = Shape::tokens(rows, tokens, 2 * channels);
        let (values, keys_values) = (random(1, shape.len()), random(2, texts.len()));
        let reference = Reference::new(texts, &rounded(&keys_values));
        let queries = Reference::new(shape, &rounded(&values));
        let expected = queries.attention(channels, (&reference, 0), heads);
        for (native, edge) in natives_in_bf16() {
            guard(edge);
            let one = Shape { rows: 1, ..texts };
            let pack = |values| native.pack_context(&upload(&native, one, values), heads).unwrap();
            let contexts: Vec<_> = keys_values.chunks_exact(one.len()).map(pack).collect();
            prop_assert_eq!(native.context_shape(&contexts[0]), one.with_channels(channels));
            let xs = upload(&native, shape, &values);
            let found = native.cross_attention(&xs, &|row| &contexts[row], heads).unwrap();
            assert_near(&format!("{shape}"), &found, &expected, ATTENTION_TOLERANCE);
        }
    }
}

/// What should come out of a convolution of these numbers, weights and biases, and how nearly.
type Expected<'a> = &'a dyn Fn(&[f32], &[f32], &[f32]) -> (Reference, f64);

fn check_conv(
    shape: Shape,
    spec: ConvSpec,
    (with_vectors, with_residual): (bool, bool),
    expected: Expected<'_>,
) {
    let (values, bias) = (random(1, shape.len()), random(3, spec.outputs));
    let weight = random(2, spec.outputs * spec.inputs * 9);
    let (mut expected, tolerance) = expected(&values, &weight, &bias);
    let vector_shape = Shape::vectors(shape.rows, spec.outputs);
    let vectors = random(4, vector_shape.len());
    let residual = random(5, expected.shape.len());
    if with_vectors {
        expected = expected.plus_vectors(&Reference::new(vector_shape, &vectors));
    }
    if with_residual {
        expected = expected.plus(&Reference::new(expected.shape, &residual));
    }
    for (native, edge) in natives_in_bf16() {
        guard(edge);
        let conv = native.pack_conv(spec, weight.clone(), bias.clone());
        let vectors = with_vectors.then(|| upload(&native, vector_shape, &vectors));
        let residual = with_residual.then(|| upload(&native, expected.shape, &residual));
        let fusion = ConvFusion {
            enlarge_to: None,
            per_row: vectors.as_ref(),
            residual: residual.as_ref(),
        };
        let xs = upload(&native, shape, &values);
        let found = native.conv(&conv.unwrap(), &xs, &fusion).unwrap();
        assert_near(&format!("{spec:?}, {shape}"), &found, &expected, tolerance);
    }
}

/// F(2x2, 3x3) as the paper has it, on numbers that are rounded where ours are: weights when they are
/// packed, then both sides when they are transformed, which is exact enough in f32 to round alike.
fn f2(source: &Reference, spec: ConvSpec, weight: &[f32], bias: &[f32]) -> Reference {
    let weight = rounded(weight);
    let tables: Vec<[f64; 16]> = weight.as_chunks().0.iter().map(table).collect();
    let shape = source.shape.with_channels(spec.outputs);
    let mut values = vec![0.0; shape.len()];
    for row in 0..shape.rows {
        for (y, x) in (0..shape.height / 2).flat_map(|y| (0..shape.width / 2).map(move |x| (y, x)))
        {
            let tiles: Vec<_> = (0..spec.inputs)
                .map(|input| tile(source, row, (2 * y, 2 * x), input))
                .collect();
            for (output, tables) in tables.chunks_exact(spec.inputs).enumerate() {
                let product = |at: usize| -> f64 {
                    tiles
                        .iter()
                        .zip(tables)
                        .map(|(tile, table)| tile[at] * table[at])
                        .sum()
                };
                let products: [f64; 16] = std::array::from_fn(product);
                for (at, value) in results(&products).into_iter().enumerate() {
                    let (y, x) = (2 * y + at / 2, 2 * x + at % 2);
                    let place = ((row * shape.height + y) * shape.width + x) * shape.channels;
                    values[place + output] = value + f64::from(bias[output]);
                }
            }
        }
    }
    Reference { shape, values }
}

/// G g G^T, rounded.
fn table(weights: &[f32; 9]) -> [f64; 16] {
    let half = |row: [f64; 3]| {
        let (sum, middle) = (row[0] + row[2], row[1]);
        [
            row[0],
            f64::midpoint(sum, middle),
            (sum - middle) / 2.0,
            row[2],
        ]
    };
    let across: Vec<_> = weights
        .chunks_exact(3)
        .map(|row| half([0, 1, 2].map(|x| f64::from(row[x]))))
        .collect();
    let columns = [0, 1, 2, 3].map(|x| half([across[0][x], across[1][x], across[2][x]]));
    std::array::from_fn(|at| bf16::from_f64(columns[at % 4][at / 4]).to_f64())
}

/// B^T d B of the tile whose results start there, rounded.
fn tile(source: &Reference, row: usize, (y, x): (usize, usize), input: usize) -> [f64; 16] {
    let at = |y: usize, x: usize| {
        let inside = |at: usize, side: usize| at.checked_sub(1).filter(|at| *at < side);
        let (line, column) = (
            inside(y, source.shape.height),
            inside(x, source.shape.width),
        );
        line.zip(column)
            .map_or(0.0, |(y, x)| source.get(row, y, x, input) as f32)
    };
    let transform = |d: [f32; 4]| [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]];
    let columns: [_; 4] =
        std::array::from_fn(|dx| transform(std::array::from_fn(|dy| at(y + dy, x + dx))));
    let lines: [_; 4] = std::array::from_fn(|dy| transform(columns.map(|column| column[dy])));
    std::array::from_fn(|at| bf16::from_f32(lines[at / 4][at % 4]).to_f64())
}

/// A^T m A.
fn results(products: &[f64; 16]) -> [f64; 4] {
    let transform = |m: [f64; 4]| [m[0] + m[1] + m[2], m[1] - m[2] - m[3]];
    let columns: [_; 4] =
        std::array::from_fn(|x| transform(std::array::from_fn(|y| products[4 * y + x])));
    let lines = [0, 1].map(|y| transform(columns.map(|column| column[y])));
    [lines[0][0], lines[0][1], lines[1][0], lines[1][1]]
}

#[test]
fn attention_in_bf16_over_several_blocks_of_keys_of_an_odd_number() {
    let shape = Shape::tokens(1, 1101, 3 * 20);
    let values = random(1, shape.len());
    let reference = Reference::new(shape, &rounded(&values));
    let expected = reference.attention(20, (&reference, 20), 1);
    for (native, edge) in natives_in_bf16() {
        guard(edge);
        let xs = upload(&native, shape, &values);
        let found = native.self_attention(&xs, 1).unwrap();
        assert_near("long", &found, &expected, ATTENTION_TOLERANCE);
    }
}

#[test]
fn packed_weights_take_half_the_memory() {
    let spec = ConvSpec::same(64, 64);
    let packed = |native: Native| {
        let conv = native.pack_conv(spec, random(1, 64 * 64 * 9), vec![0.0; 64]);
        let linear = native.pack_linear(random(1, 64 * 64), None, 64, Activation::None);
        let _both = (conv.unwrap(), linear.unwrap());
        native.memory().packed
    };
    let biases = 2 * 64 * size_of::<f32>();
    let in_f32 = packed(Native::new(Level::best(), 1));
    for (native, _) in natives_in_bf16() {
        assert_eq!(2 * (packed(native) - biases), in_f32 - biases);
    }
}

#[test]
fn what_does_not_come_in_pairs_is_multiplied_in_f32() {
    let shape = Shape::grid(1, 5, 5, 33);
    let (values, spec) = (random(1, shape.len()), ConvSpec::same(33, 64));
    let compute = |native: &Native| {
        let conv = native.pack_conv(spec, random(2, 64 * 33 * 9), random(3, 64));
        let xs = upload(native, shape, &values);
        let output = native.conv(&conv.unwrap(), &xs, &ConvFusion::default());
        output.unwrap().row(0).to_vec()
    };
    let expected = compute(&Native::new(Level::best(), 1));
    for (native, _) in natives_in_bf16() {
        assert_eq!(compute(&native), expected);
    }
}
