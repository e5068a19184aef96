//! What does a text say to a cross-attention? Its keys and values, packed once for all steps.

use super::{
    super::{
        Native, Tensor, bf16,
        memory::Lines,
        number::{Number, Pair},
    },
    packed::{Layout, Source},
};
use crate::engine::ops::Shape;

/// The keys and values of one text, packed.
#[derive(Debug)]
pub struct Context {
    pub(super) layout: Layout,
    pub(super) values: Lines,
}

impl Context {
    /// Packs keys and values that lie side by side at every token of the first row.
    pub(in super::super) fn pack(native: &Native, keys_values: &Tensor, heads: usize) -> Self {
        let channels = keys_values.shape.channels / 2;
        let layout = Layout::new(native, keys_values.shape.positions(), channels / heads);
        if layout.is_bf16() {
            let rounded = bf16::round(native, keys_values.row(0), 2 * channels);
            Self::pack_words::<Pair>(layout, bytemuck::cast_slice(&rounded), heads)
        } else {
            Self::pack_words::<f32>(layout, keys_values.row(0), heads)
        }
    }

    fn pack_words<N: Number>(layout: Layout, words: &[N], heads: usize) -> Self {
        let depth = layout.words(layout.depth);
        let mut values = Lines::zeros(heads * layout.head_length());
        for (head, packed) in values.chunks_exact_mut(layout.head_length()).enumerate() {
            let source = Source {
                words,
                stride: 2 * heads * depth,
                key: head * depth,
                value: (heads + head) * depth,
            };
            layout.pack(&source, packed);
        }
        Self { layout, values }
    }

    /// Tokens, with the channels of all heads.
    pub(in super::super) fn shape(&self) -> Shape {
        let heads = self.values.len() / self.layout.head_length();
        Shape::tokens(1, self.layout.tokens, heads * self.layout.depth)
    }
}
