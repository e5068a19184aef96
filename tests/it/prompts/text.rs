//! From a typed prompt to the states that the U-Net looks at, and to the warning about unknown words.

use goldilocks::{
    catalog::Family,
    engine::{device, text_encoder::TextEncoder, tokenizer::Tokenizer, weights::Weights},
};

use super::{default_family, typed_prompts};

fn tokenizer(family: &Family) -> Tokenizer {
    let context = family.text_encoder.max_position_embeddings;
    Tokenizer::load(&family.path.join("tokenizer"), context).unwrap()
}

#[test]
fn every_unknown_word_is_told_and_no_other() {
    let family = default_family();
    let vocabulary = family.vocabulary.unwrap();
    for typed in typed_prompts() {
        let unknown = vocabulary.unknown_words(&typed.prompt);
        assert_eq!(unknown, typed.unknown_words, "{:?}", typed.prompt);
    }
}

#[test]
fn only_prompts_that_are_marked_so_are_cut() {
    let tokenizer = tokenizer(&default_family());
    for typed in typed_prompts() {
        let n_truncated = tokenizer.encode(&typed.prompt).unwrap().n_truncated;
        assert_eq!(
            n_truncated > 0,
            typed.cut,
            "{:?}: {n_truncated}",
            typed.prompt
        );
    }
}

#[test]
fn capitals_and_doubled_spaces_change_nothing() {
    let tokenizer = tokenizer(&default_family());
    let ids = |text: &str| tokenizer.encode(text).unwrap().ids;
    let mut prompts = typed_prompts();
    // The tokenizer's own marks are such in lower case only.
    prompts.retain(|typed| !typed.prompt.contains("<|"));
    for typed in &prompts {
        let prompt = &typed.prompt;
        let as_typed = ids(prompt);
        assert_eq!(ids(&prompt.to_lowercase()), as_typed, "{prompt:?}");
        assert_eq!(ids(&prompt.to_uppercase()), as_typed, "{prompt:?}");
        let wide = format!(" {}\n", prompt.replace(' ', " \t "));
        assert_eq!(ids(&wide), as_typed, "{prompt:?}");
    }
}

#[test]
fn every_prompt_has_finite_states_and_different_ones_differ() {
    let family = default_family();
    let tokenizer = tokenizer(&family);
    let weights = Weights::open_folder(&family.path.join("text_encoder"), "model").unwrap();
    let device = device::open("cpu".parse().unwrap()).unwrap();
    let encoder = TextEncoder::load(&device, &weights, &family.text_encoder).unwrap();
    let prompts = typed_prompts();
    let ids = prompts
        .iter()
        .map(|typed| tokenizer.encode(&typed.prompt).unwrap().ids);
    let ids: Vec<_> = ids.collect();
    let states = encoder.forward(&ids).unwrap();
    for (typed, states) in prompts.iter().zip(&states) {
        let is_finite = states.values.iter().all(|value| value.is_finite());
        assert!(is_finite, "{:?}", typed.prompt);
    }
    for (one, of_one) in ids.iter().zip(&states) {
        let same = ids.iter().zip(&states).filter(|(_, of)| *of == of_one);
        for (other, _) in same {
            assert_eq!(one, other);
        }
    }
}
