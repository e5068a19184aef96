//! What do the texts of a batch say to one layer? Their keys and values in one tensor, row by row.
//!
//! The same pictures are usually evaluated together for many steps, and putting their texts side by side
//! would be one copy for each row and layer at every step.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{Tensor, TensorId};

use crate::engine::EngineError;

/// Layers and batches that are kept. Stable Diffusion has 16 layers with texts.
const MAX_KEPT: usize = 64;

/// Which texts, and what they say together.
type Batch = (Vec<TensorId>, Tensor);

/// The texts of batches that were evaluated lately, the latest last.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Arc<Mutex<VecDeque<Batch>>>);

impl Texts {
    /// Texts of 1 x 1 x tokens x channels, one below the other.
    pub(super) fn of_rows(&self, texts: &[&Tensor]) -> Result<Tensor, EngineError> {
        if let [only] = texts {
            return Ok((*only).clone());
        }
        let ids: Vec<TensorId> = texts.iter().map(|text| text.id()).collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(others, _)| *others == ids);
        let batch = match found.and_then(|index| kept.remove(index)) {
            Some(batch) => batch,
            None => (ids, Tensor::cat(texts, 0)?),
        };
        if kept.len() == MAX_KEPT {
            kept.pop_front();
        }
        let together = batch.1.clone();
        kept.push_back(batch);
        Ok(together)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_batch_that_comes_again_is_not_copied_again() {
        let text = |value: f64| {
            let text = Tensor::ones((1, 1, 2, 4), DType::F32, &Device::Cpu).unwrap();
            (text * value).unwrap()
        };
        let (one, other) = (text(1.0), text(2.0));
        let texts = Texts::default();
        let first = texts.of_rows(&[&one, &other]).unwrap();
        let again = texts.of_rows(&[&one, &other]).unwrap();
        assert_eq!(first.id(), again.id());
        let turned = texts.of_rows(&[&other, &one]).unwrap();
        assert_ne!(first.id(), turned.id());
        let firsts: Vec<f32> = turned
            .narrow(3, 0, 1)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_eq!(firsts, [2.0, 2.0, 1.0, 1.0]);
    }
}
