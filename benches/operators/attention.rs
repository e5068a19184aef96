//! How long does attention take? Of a picture with itself, and with a text of 32 tokens.

use criterion::Criterion;
use goldilocks::engine::ops::{Backend as _, Shape};

use crate::places::{NATIVE, Place, compare, numbers};

/// Tokens of a text.
const TOKENS: usize = 32;

pub(crate) fn bench(criterion: &mut Criterion) {
    compare(
        criterion,
        "self_attention",
        Place::attends,
        |native, place, rows| {
            let xs = place.batch(&native, rows, 3 * place.channels);
            move || native.self_attention(&xs, place.heads).expect(NATIVE)
        },
    );
    compare(
        criterion,
        "cross_attention",
        Place::attends,
        |native, place, rows| {
            let xs = place.batch(&native, rows, place.channels);
            let text = Shape::tokens(1, TOKENS, 2 * place.channels);
            let states = native.upload_chw(text, &numbers(text.len()));
            let context = native.pack_context(&states.expect(NATIVE), place.heads);
            let context = context.expect(NATIVE);
            move || {
                let output = native.cross_attention(&xs, &|_| &context, place.heads);
                output.expect(NATIVE)
            }
        },
    );
}
