//! Which noise does a seed stand for? Gaussian numbers that are a pure function of
//! (seed, candidate, draw, element): no state, no batch, no device, no model.
//!
//! Anybody can make the same numbers. For element `i`, counted in CHW order:
//!
//! 1. The Philox4x32-10 block cipher (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
//!    SC 2011) gets the key `[seed & 0xffff_ffff, seed >> 32]` and the counter
//!    `[block & 0xffff_ffff, block >> 32, draw, candidate]`, where `block = i / 4`, and gives four
//!    words `w0..w3`.
//! 2. Every word is a number in (0, 1): `u = (w + 0.5) / 2^32`, exact in f64.
//! 3. Box-Muller in f64 makes four Gaussians of them, with `r(u) = sqrt(-2 ln u)`:
//!    `r(u0) cos(2 pi u1)`, `r(u0) sin(2 pi u1)`, `r(u2) cos(2 pi u3)`, `r(u2) sin(2 pi u3)`, in this
//!    order the elements `4 block`, `4 block + 1`, `4 block + 2`, `4 block + 3`.
//! 4. Each is rounded to f32.
//!
//! The logarithm and the circular functions come from the platform's mathematical library, so two
//! platforms may differ in the last bit of an f32, in about one number of 10^8. No number is larger
//! than 6.77 in size, which is what 32 bits of a uniform can give.
//! `tests/golden/noise.json` holds test vectors.

use std::f64::consts::TAU;

/// Names one array of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NoiseKey {
    /// The seed of the request.
    pub seed: u64,
    /// Which picture of the request, counted from 0.
    pub candidate: u32,
    /// 0 for the latents that sampling starts from, `k` for what step `k`, counted from 1, adds, whether
    /// or not the steps before it drew any.
    pub draw: u32,
}

/// Returns the first `n` Gaussian numbers (mean 0, variance 1) of `key`, in CHW order.
///
/// A longer array begins with the shorter one.
pub fn gaussian(key: NoiseKey, n: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; n];
    fill_gaussian(key, &mut numbers);
    numbers
}

/// Writes the first numbers of `key`, those of [`gaussian`], over `numbers`.
pub fn fill_gaussian(key: NoiseKey, numbers: &mut [f32]) {
    for (block, numbers) in (0..).zip(numbers.chunks_mut(4)) {
        numbers.copy_from_slice(&gaussian_block(key, block)[..numbers.len()]);
    }
}

/// The elements `4 block .. 4 block + 4`.
fn gaussian_block(key: NoiseKey, block: u64) -> [f32; 4] {
    let counter = [block as u32, (block >> 32) as u32, key.draw, key.candidate];
    let words = philox4x32_10(counter, [key.seed as u32, (key.seed >> 32) as u32]);
    let [u0, u1, u2, u3] = words.map(|word| (f64::from(word) + 0.5) / 4_294_967_296.0);
    let [z0, z1] = box_muller(u0, u1);
    let [z2, z3] = box_muller(u2, u3);
    [z0, z1, z2, z3]
}

fn box_muller(u: f64, turn: f64) -> [f32; 2] {
    let radius = (-2.0 * u.ln()).sqrt();
    let angle = TAU * turn;
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

/// Philox4x32 with ten rounds; constants from the paper's table 2 and section 3.3.
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9E37_79B9);
            key[1] = key[1].wrapping_add(0xBB67_AE85);
        }
        let (high0, low0) = multiply(0xD251_1F53, counter[0]);
        let (high1, low1) = multiply(0xCD9E_8D57, counter[2]);
        counter = [
            high1 ^ counter[1] ^ key[0],
            low1,
            high0 ^ counter[3] ^ key[1],
            low0,
        ];
    }
    counter
}

/// The high and the low word of a product.
fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        seed: u64,
        candidate: u32,
        draw: u32,
        gaussian: Vec<f32>,
    }

    #[derive(Deserialize)]
    struct Golden {
        vectors: Vec<Vector>,
    }

    /// The three vectors for philox4x32-10 in Random123's `kat_vectors`.
    #[test]
    fn philox_gives_the_published_words() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    /// Made by `scripts/golden/noise.py`, which shares no code with this file.
    #[test]
    fn gaussians_equal_the_published_vectors() {
        let text = include_str!("../../tests/golden/noise.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert!(golden.vectors.len() >= 6);
        for vector in golden.vectors {
            let Vector {
                seed,
                candidate,
                draw,
                ..
            } = vector;
            let key = NoiseKey {
                seed,
                candidate,
                draw,
            };
            let numbers = gaussian(key, vector.gaussian.len());
            for (ours, theirs) in numbers.iter().zip(&vector.gaussian) {
                // One unit in the last place, for another mathematical library.
                let tolerance = f32::EPSILON * theirs.abs();
                assert!(
                    (ours - theirs).abs() <= tolerance,
                    "{key:?}: {ours} {theirs}"
                );
            }
        }
    }

    #[test]
    fn a_longer_array_begins_with_the_shorter_one() {
        let key = NoiseKey {
            seed: 7,
            candidate: 1,
            draw: 2,
        };
        let long = gaussian(key, 23);
        for n in 0..23 {
            assert_eq!(gaussian(key, n), long[..n]);
        }
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let key = NoiseKey {
            seed: 7,
            candidate: 0,
            draw: 0,
        };
        let others = [
            NoiseKey { seed: 8, ..key },
            NoiseKey {
                seed: 7 | 1 << 32,
                ..key
            },
            NoiseKey {
                candidate: 1,
                ..key
            },
            NoiseKey { draw: 1, ..key },
        ];
        for other in others {
            let equal = gaussian(key, 64)
                .iter()
                .zip(gaussian(other, 64))
                .filter(|(a, b)| **a == *b)
                .count();
            assert_eq!(equal, 0, "{other:?}");
        }
    }

    #[test]
    fn a_million_numbers_have_the_moments_of_a_gaussian() {
        let n = 1_000_000;
        let key = NoiseKey {
            seed: 20_261_122,
            candidate: 0,
            draw: 0,
        };
        let numbers = gaussian(key, n);
        let moment = |power: i32| {
            let sum: f64 = numbers.iter().map(|x| f64::from(*x).powi(power)).sum();
            sum / n as f64
        };
        // Four standard errors: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
        assert!(moment(1).abs() < 0.004, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.006, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.016, "third moment {}", moment(3));
        assert!(
            (moment(4) - 3.0).abs() < 0.040,
            "fourth moment {}",
            moment(4)
        );
        for lag in 1..=4 {
            let products = numbers.iter().zip(&numbers[lag..]);
            let sum: f64 = products.map(|(a, b)| f64::from(a * b)).sum();
            assert!((sum / n as f64).abs() < 0.004, "correlation at lag {lag}");
        }
    }
}
