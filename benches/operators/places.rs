//! Where do operations take place? On every level of every U-Net of the default family, and of one of
//! Stable Diffusion 1.5's shape.

use std::{fmt, hint::black_box};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use goldilocks::engine::{
    noise::{NoiseKey, gaussian},
    ops::{
        Backend, Shape,
        native::{Bf16, Level, Native, Tensor},
    },
};

/// Rows of one evaluation: a picture, a guided one, four guided ones.
const ROWS: [usize; 3] = [1, 2, 8];

/// What an operation returns: it fails only where a device can.
pub(crate) const NATIVE: &str = "the native backend cannot fail";

/// One level of a U-Net.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    width: &'static str,
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) heads: usize,
}

/// As `weights/emoji/unet-*/config.json` say, and Stable Diffusion 1.5's.
const PLACES: [Place; 13] = [
    Place::new("c8", 16, 8, 1),
    Place::new("c8", 8, 16, 1),
    Place::new("c8", 4, 16, 1),
    Place::new("c16", 16, 16, 1),
    Place::new("c16", 8, 32, 2),
    Place::new("c16", 4, 32, 2),
    Place::new("c32", 16, 32, 2),
    Place::new("c32", 8, 64, 4),
    Place::new("c32", 4, 64, 4),
    Place::new("sd15", 64, 320, 8),
    Place::new("sd15", 32, 640, 8),
    Place::new("sd15", 16, 1280, 8),
    Place::new("sd15", 8, 1280, 8),
];

impl Place {
    const fn new(width: &'static str, side: usize, channels: usize, heads: usize) -> Self {
        Self {
            width,
            side,
            channels,
            heads,
        }
    }

    /// Whether there are transformers here.
    pub(crate) fn attends(self) -> bool {
        self.side <= 8 || self.is_large()
    }

    /// Whether it is none of the default family's.
    fn is_large(self) -> bool {
        self.channels > 64
    }

    /// Rows that are evaluated at once.
    fn rows(self) -> &'static [usize] {
        if self.is_large() { &[1] } else { &ROWS }
    }

    /// A batch of this level's grids, of so many channels.
    pub(crate) fn batch(self, native: &Native, rows: usize, channels: usize) -> Tensor {
        let shape = Shape::grid(rows, self.side, self.side, channels);
        let batch = native.upload_chw(shape, &numbers(shape.len()));
        batch.expect(NATIVE)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{side}x{side}", self.width, side = self.side)
    }
}

/// Times an operation wherever it takes place, for all rows and levels. `ready` makes everything that is
/// not timed and returns what is.
pub(crate) fn compare<F: FnMut() -> Tensor>(
    criterion: &mut Criterion,
    operator: &str,
    takes_place: impl Fn(Place) -> bool,
    ready: impl Fn(Native, Place, usize) -> F,
) {
    let mut group = criterion.benchmark_group(operator);
    group.sampling_mode(SamplingMode::Flat);
    for place in PLACES.into_iter().filter(|place| takes_place(*place)) {
        for &rows in place.rows() {
            for (name, native) in natives(place) {
                let id = BenchmarkId::new(format!("{place}-rows{rows}"), name);
                let mut operation = None;
                group.bench_function(id, |bencher| {
                    let operation = operation.get_or_insert_with(|| {
                        let mut operation = ready(native.clone(), place, rows);
                        // The first call makes tables.
                        black_box(operation());
                        operation
                    });
                    bencher.iter(|| black_box(operation()));
                });
            }
        }
    }
}

/// One thread at every level of instructions, and in bf16. Large places take the slower levels too long.
fn natives(place: Place) -> Vec<(String, Native)> {
    let levels = Level::available().into_iter();
    let levels = levels.take(if place.is_large() { 1 } else { usize::MAX });
    let f32s = levels.map(|level| (level.to_string(), Native::new(level, 1)));
    let best = Native::new(Level::best(), 1);
    let bf16 = Bf16::detect().map(|bf16| ("bf16".to_owned(), best.in_bf16(bf16)));
    f32s.chain(bf16).collect()
}

/// Gaussian numbers, the same every time.
pub(crate) fn numbers(n: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: 0,
        candidate: 0,
        draw: 0,
    };
    gaussian(key, n)
}
