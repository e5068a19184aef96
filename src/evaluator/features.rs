//! Where does a set of pictures lie? Feature vectors as one matrix, ready for distances.

/// A number of feature vectors of one length, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dim: usize,
    values: Vec<f64>,
}

impl Features {
    /// Stacks rows; all must have the length of the first one.
    ///
    /// # Panics
    /// If there is no row, or the rows differ in length.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let mut rows = rows.into_iter().peekable();
        let dim = rows.peek().map_or(0, |row| row.len());
        assert!(dim > 0, "a set of features has at least one row");
        let mut values = Vec::new();
        for row in rows {
            assert_eq!(row.len(), dim, "feature vectors have one length");
            values.extend(row.iter().map(|&value| f64::from(value)));
        }
        Self { dim, values }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Always false: a set has at least one row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Length of each vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of one picture.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.dim..][..self.dim]
    }

    /// The first `count` pictures, or all if there are fewer.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let kept = count.min(self.len()) * self.dim;
        Self {
            dim: self.dim,
            values: self.values[..kept].to_vec(),
        }
    }

    /// Squared Euclidean distance between a row of this set and a row of another.
    pub fn squared_distance(&self, index: usize, other: &Self, other_index: usize) -> f64 {
        let pairs = self.row(index).iter().zip(other.row(other_index));
        pairs.map(|(a, b)| (a - b) * (a - b)).sum()
    }

    /// The mean vector.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim];
        for row in self.values.chunks_exact(self.dim) {
            for (total, value) in mean.iter_mut().zip(row) {
                *total += value;
            }
        }
        let n_rows = self.len() as f64;
        mean.iter().map(|total| total / n_rows).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns normally distributed features by Box-Muller over a Weyl sequence: the same for the same seed.
    pub(crate) fn gaussian(seed: u64, rows: usize, dim: usize, shift: f64) -> Features {
        let uniform = |index: u64| {
            let mut bits = (seed << 40)
                .wrapping_add(index)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (((bits ^ (bits >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let values = (0..(rows * dim) as u64).map(|i| {
            let radius = (-2.0 * uniform(2 * i).ln()).sqrt();
            radius * (std::f64::consts::TAU * uniform(2 * i + 1)).cos() + shift
        });
        Features {
            dim,
            values: values.collect(),
        }
    }

    #[test]
    fn rows_keep_their_order_and_their_distance() {
        let features = Features::from_rows([&[0.0, 3.0][..], &[4.0, 0.0]]);
        assert_eq!((features.len(), features.dim()), (2, 2));
        assert_eq!(features.squared_distance(0, &features, 1), 25.0);
        assert_eq!(features.mean(), [2.0, 1.5]);
        assert_eq!(features.first(1).row(0), [0.0, 3.0]);
    }
}
