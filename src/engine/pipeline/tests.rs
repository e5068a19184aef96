//! Are the states of a text kept, found again and forgotten as they should be?

use std::path::Path;

use super::*;
use crate::catalog::family_from_folder;

fn tiny() -> Pipeline {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
    Pipeline::load(&family_from_folder(&golden, DeviceSpec::Cpu).unwrap()).unwrap()
}

fn is_same(one: &Arc<TextStates>, other: &Arc<TextStates>) -> bool {
    Arc::ptr_eq(one, other)
}

#[test]
fn a_text_encoded_again_has_the_arc_of_the_first_time() {
    let pipeline = tiny();
    let first = pipeline.encode(&["a red cat"], "dog").unwrap().remove(0);
    let again = pipeline.encode(&["a red cat"], "dog").unwrap().remove(0);
    assert_eq!((first.n_encoded(), again.n_encoded()), (2, 0));
    assert!(is_same(&first.conditional, &again.conditional));
    assert!(is_same(&first.unconditional, &again.unconditional));
    let swapped = pipeline.encode(&["dog"], "a red cat").unwrap().remove(0);
    assert!(is_same(&swapped.conditional, &first.unconditional));
    assert_eq!(swapped.n_encoded(), 0);
}

#[test]
fn the_empty_text_is_never_encoded_again() {
    let pipeline = tiny();
    let row = pipeline.encode(&[" "], "").unwrap().remove(0);
    pipeline.forget_text("");
    let later = pipeline.encode(&[""], "").unwrap().remove(0);
    assert_eq!((row.n_encoded(), later.n_encoded()), (0, 0));
    assert!(is_same(&row.conditional, &later.unconditional));
}

#[test]
fn texts_are_in_order_whether_they_were_kept_or_not_and_duplicates_are_encoded_once() {
    let pipeline = tiny();
    let kept = pipeline.encode(&["grass", "cat"], "").unwrap();
    let prompts = ["a red cat", "cat", "two dogs", "a red cat", "grass"];
    let mixed = pipeline.encode(&prompts, "blur").unwrap();
    let n_encoded: Vec<u32> = mixed.iter().map(Conditioning::n_encoded).collect();
    assert_eq!(
        n_encoded,
        [2, 0, 1, 0, 0],
        "the first one paid for \"blur\""
    );
    assert!(is_same(&mixed[1].conditional, &kept[1].conditional));
    assert!(is_same(&mixed[4].conditional, &kept[0].conditional));
    assert!(is_same(&mixed[0].conditional, &mixed[3].conditional));
    for (prompt, row) in prompts.iter().zip(&mixed) {
        let alone = tiny().encode(&[prompt], "").unwrap().remove(0);
        assert_eq!(alone.conditional, row.conditional, "{prompt}: bit for bit");
    }
}

#[test]
fn a_text_that_was_forgotten_is_encoded_to_the_same_bits() {
    let pipeline = tiny();
    let first = pipeline.encode(&["a red cat"], "").unwrap().remove(0);
    let other = pipeline.encode(&["dog"], "").unwrap().remove(0);
    pipeline.forget_text("a red cat");
    let again = pipeline.encode(&["a red cat"], "").unwrap().remove(0);
    assert_eq!(again.n_encoded(), 1);
    assert!(is_same(
        &pipeline.encode(&["dog"], "").unwrap()[0].conditional,
        &other.conditional
    ));
    assert!(!is_same(&first.conditional, &again.conditional));
    assert_eq!(first.conditional, again.conditional);
}
