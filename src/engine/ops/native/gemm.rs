//! How are matrices multiplied? The `gemm` crate on one thread, behind checked slices.
//!
//! One thread, because its callers have split the work already, and because a product that is split
//! by the number of threads would round by it.

/// A matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    /// From one row to the next.
    pub(super) row_stride: usize,
    /// From one column to the next.
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, each with its columns side by side.
    pub(super) fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self {
            values,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same numbers with rows and columns swapped.
    pub(super) fn transposed(self) -> Self {
        Self {
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether every element of a `rows` x `columns` matrix lies in the slice.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
        last < self.values.len()
    }
}

/// `output += scale * left right`, where `output` is m x n with `row_stride` between its rows, `left`
/// m x k and `right` k x n.
///
/// # Panics
///
/// If a matrix does not lie in its slice, or rows of the output overlap.
#[expect(
    unsafe_code,
    reason = "the gemm crate takes pointers; every bound is asserted here"
)]
pub(super) fn multiply_add(
    output: &mut [f32],
    row_stride: usize,
    (m, n, k): (usize, usize, usize),
    (left, right): (Matrix<'_>, Matrix<'_>),
    scale: f32,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(left.holds(m, k) && right.holds(k, n), "operands in bounds");
    assert!(
        n <= row_stride && (m - 1) * row_stride + n <= output.len(),
        "output in bounds and its rows apart"
    );
    // SAFETY: the assertions above keep every element that is read or written inside its slice, the
    // output's rows do not overlap, and `&mut` keeps the output apart from the operands.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            output.as_mut_ptr(),
            1,
            row_stride as isize,
            true,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_added_to_what_is_there() {
        let left = Matrix::rows(&[1.0, 2.0, 9.0, 3.0, 4.0], 3);
        let right = Matrix::rows(&[5.0, 7.0, 6.0, 8.0], 2).transposed();
        let mut output = [1.0, 1.0, -1.0, 1.0, 1.0];
        multiply_add(&mut output, 3, (2, 2, 2), (left, right), 2.0);
        assert_eq!(output, [39.0, 45.0, -1.0, 87.0, 101.0]);
    }

    #[test]
    #[should_panic(expected = "operands in bounds")]
    fn operands_that_are_too_short_are_caught() {
        let short = Matrix::rows(&[1.0; 3], 2);
        multiply_add(&mut [0.0; 4], 2, (2, 2, 2), (short, short), 1.0);
    }

    #[test]
    #[should_panic(expected = "output in bounds")]
    fn an_output_that_is_too_short_is_caught() {
        let matrix = Matrix::rows(&[1.0; 4], 2);
        multiply_add(&mut [0.0; 3], 2, (2, 2, 2), (matrix, matrix), 1.0);
    }
}
