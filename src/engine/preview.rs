//! What does a picture on its way look like? A linear map from latents to colors, fitted to pictures that
//! were decoded: each latent position stands for the mean color of the pixels above it.
//!
//! It costs as good as nothing beside a decoder, and needs no weights of its own.

use super::{Pixels, pipeline::Latents};
use crate::units::ImageSize;

/// Pictures that a fit rests on. Later ones change nothing, so that previews do not drift.
const ENOUGH: usize = 16;
/// Keeps the fit sound where latents hardly vary, as a share of their number.
const RIDGE: f64 = 1e-4;

/// A least-squares fit, by its normal equations.
#[derive(Debug, Clone, Default)]
pub struct LatentColors {
    /// Channels and the constant.
    width: usize,
    /// Sums of products of features, row by row.
    gram: Vec<f64>,
    /// Sums of products of features and colors.
    moments: Vec<[f64; 3]>,
    n_pictures: usize,
}

impl LatentColors {
    /// Learns from one picture and the latents that it was decoded from.
    pub fn learn(&mut self, latents: &Latents, pixels: &Pixels) {
        let (channels, height, width) = latents.shape();
        if self.n_pictures >= ENOUGH || height == 0 || width == 0 {
            return;
        }
        if self.n_pictures == 0 {
            self.width = channels + 1;
            self.gram = vec![0.0; self.width * self.width];
            self.moments = vec![[0.0; 3]; self.width];
        }
        if self.width != channels + 1 {
            return;
        }
        self.n_pictures += 1;
        for y in 0..height {
            for x in 0..width {
                let features = features(latents, y * width + x);
                let color = mean_color(pixels, (x, width), (y, height));
                for (i, a) in features.iter().enumerate() {
                    for (j, b) in features.iter().enumerate() {
                        self.gram[i * self.width + j] += a * b;
                    }
                    for (sum, part) in self.moments[i].iter_mut().zip(color) {
                        *sum += a * part;
                    }
                }
            }
        }
    }

    /// Shows latents at the size of their picture; none before anything was learned.
    pub fn show(&self, latents: &Latents, size: ImageSize) -> Option<Pixels> {
        let (channels, height, width) = latents.shape();
        if self.n_pictures == 0 || self.width != channels + 1 {
            return None;
        }
        let map = self.solve();
        let small: Vec<[f64; 3]> = (0..height * width)
            .map(|at| {
                let mut color = [0.0; 3];
                for (feature, weights) in features(latents, at).iter().zip(&map) {
                    for (sum, weight) in color.iter_mut().zip(weights) {
                        *sum += feature * weight;
                    }
                }
                color
            })
            .collect();
        Some(enlarged(&small, (width, height), size))
    }

    /// Solves the normal equations by elimination; they are positive definite.
    fn solve(&self) -> Vec<[f64; 3]> {
        let n = self.width;
        let mut left = self.gram.clone();
        let mut right = self.moments.clone();
        let count = left[n * n - 1];
        for i in 0..n {
            left[i * n + i] += RIDGE * count;
        }
        for pivot in 0..n {
            for row in pivot + 1..n {
                let factor = left[row * n + pivot] / left[pivot * n + pivot];
                for column in pivot..n {
                    left[row * n + column] -= factor * left[pivot * n + column];
                }
                let above = right[pivot];
                for (part, above) in right[row].iter_mut().zip(above) {
                    *part -= factor * above;
                }
            }
        }
        for row in (0..n).rev() {
            for column in row + 1..n {
                let (factor, known) = (left[row * n + column], right[column]);
                for (part, known) in right[row].iter_mut().zip(known) {
                    *part -= factor * known;
                }
            }
            for part in &mut right[row] {
                *part /= left[row * n + row];
            }
        }
        right
    }
}

/// The channels at one position, and the constant.
fn features(latents: &Latents, at: usize) -> Vec<f64> {
    let (_, height, width) = latents.shape();
    let channels = latents.values().chunks_exact(height * width);
    let values = channels.map(|channel| f64::from(channel[at]));
    values.chain([1.0]).collect()
}

/// The mean color of the pixels above one latent position, from 0 to 255.
fn mean_color(
    pixels: &Pixels,
    (x, columns): (usize, usize),
    (y, rows): (usize, usize),
) -> [f64; 3] {
    let (width, height) = (pixels.size.width as usize, pixels.size.height as usize);
    let xs = x * width / columns..(x + 1) * width / columns;
    let ys = y * height / rows..(y + 1) * height / rows;
    let n = (xs.len() * ys.len()).max(1) as f64;
    let mut sum = [0.0; 3];
    for row in ys {
        for column in xs.clone() {
            let at = 3 * (row * width + column);
            for (sum, byte) in sum.iter_mut().zip(&pixels.rgb[at..at + 3]) {
                *sum += f64::from(*byte);
            }
        }
    }
    sum.map(|sum| sum / n)
}

/// Enlarges colors, linearly between the centers of their cells.
fn enlarged(colors: &[[f64; 3]], (columns, rows): (usize, usize), size: ImageSize) -> Pixels {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let (top, bottom, down) = between(y, height, rows);
        for x in 0..width {
            let (left, right, across) = between(x, width, columns);
            let at = |row: usize, column: usize| colors[row * columns + column];
            let corners = [
                at(top, left),
                at(top, right),
                at(bottom, left),
                at(bottom, right),
            ];
            let weights = [
                (1.0 - down) * (1.0 - across),
                (1.0 - down) * across,
                down * (1.0 - across),
                down * across,
            ];
            let mut value = [0.0; 3];
            for (corner, weight) in corners.into_iter().zip(weights) {
                for (sum, part) in value.iter_mut().zip(corner) {
                    *sum += weight * part;
                }
            }
            rgb.extend(value.map(|part| part.round().clamp(0.0, 255.0) as u8));
        }
    }
    Pixels { size, rgb }
}

/// The cells on both sides of a pixel's center, and how far it is from the first to the second one.
fn between(pixel: usize, pixels: usize, cells: usize) -> (usize, usize, f64) {
    let center = (pixel as f64 + 0.5) * cells as f64 / pixels as f64 - 0.5;
    let at = center.clamp(0.0, (cells - 1) as f64);
    let first = at.floor() as usize;
    (first, (first + 1).min(cells - 1), at - first as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ImageSize = ImageSize {
        width: 16,
        height: 8,
    };

    /// Two channels that tell red and blue of 4x2 cells; green is constant.
    fn latents(seed: u32) -> Latents {
        let value = |i: u32| ((i * 37 + seed * 101) % 64) as f32 / 32.0 - 1.0;
        Latents::new((2, 2, 4), (0..16).map(value).collect()).unwrap()
    }

    fn decoded(latents: &Latents) -> Pixels {
        let values = latents.values();
        let mut rgb = Vec::new();
        for y in 0..8 {
            for x in 0..16 {
                let cell = (y / 4) * 4 + x / 4;
                let byte = |value: f32| (128.0 + 100.0 * value).round() as u8;
                rgb.extend([byte(values[cell]), 50, byte(-values[8 + cell])]);
            }
        }
        Pixels { size: SIZE, rgb }
    }

    #[test]
    fn colors_that_are_linear_in_the_latents_are_found() {
        let mut colors = LatentColors::default();
        assert_eq!(colors.show(&latents(1), SIZE), None);
        for seed in 0..4 {
            colors.learn(&latents(seed), &decoded(&latents(seed)));
        }
        let (shown, expected) = (
            colors.show(&latents(9), SIZE).unwrap(),
            decoded(&latents(9)),
        );
        assert_eq!(shown.rgb.len(), expected.rgb.len());
        // The pixels right around a cell's center.
        for (row, column) in [(1, 1), (2, 5), (5, 10), (6, 14)] {
            let at = 3 * (row * 16 + column);
            let cell = (row / 4, column / 4);
            for color in 0..3 {
                let (a, b) = (shown.rgb[at + color], expected.rgb[at + color]);
                assert!(a.abs_diff(b) <= 60, "{cell:?}: {a} is not {b}");
            }
            assert!(shown.rgb[at + 1].abs_diff(50) <= 1, "green is constant");
        }
    }

    #[test]
    fn a_flat_picture_is_shown_flat() {
        let flat = |value| Latents::new((2, 2, 4), vec![value; 16]).unwrap();
        let mut colors = LatentColors::default();
        for seed in 0..4 {
            colors.learn(&latents(seed), &decoded(&latents(seed)));
        }
        let shown = colors.show(&flat(0.5), SIZE).unwrap();
        for pixel in shown.rgb.chunks_exact(3) {
            assert!(
                pixel[0].abs_diff(178) <= 2
                    && pixel[1].abs_diff(50) <= 1
                    && pixel[2].abs_diff(78) <= 2,
                "{pixel:?}"
            );
        }
    }

    #[test]
    fn later_pictures_change_nothing() {
        let mut colors = LatentColors::default();
        for seed in 0..ENOUGH as u32 {
            colors.learn(&latents(seed), &decoded(&latents(seed)));
        }
        let before = colors.show(&latents(40), SIZE);
        let odd = Pixels {
            size: SIZE,
            rgb: vec![255; 3 * 128],
        };
        colors.learn(&latents(41), &odd);
        assert_eq!(colors.show(&latents(40), SIZE), before);
    }
}
