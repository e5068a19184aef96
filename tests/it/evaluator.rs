//! Does the shipped evaluator see what its training saw?

mod golden;
