//! Which known word did somebody mean who typed another?

/// Returns what a word may be the regular plural of, `beach` for `beaches`.
pub(super) fn singulars(word: &str) -> [Option<String>; 3] {
    let without = |ending| word.strip_suffix(ending).map(str::to_owned);
    let of_y = word.strip_suffix("ies").map(|stem| format!("{stem}y"));
    [without("s"), without("es"), of_y]
}

/// Returns the known word that is spelled most like this one, if it is near enough to be meant.
///
/// Short words are near to many others by chance, and people rarely miss the first letter: without these
/// two rules, a mouse would be taken for a house.
pub(super) fn nearest<'a>(
    word: &str,
    known_words: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.trim_start_matches('\'');
    let first = word.chars().next()?;
    let n_letters = word.chars().count();
    let slips = |known: &str| {
        let allowed = slips_allowed(known);
        // Long texts without a space are words, too: most need not be compared.
        let is_as_long = known.chars().count().abs_diff(n_letters) <= allowed;
        let distance = is_as_long.then(|| strsim::damerau_levenshtein(word, known))?;
        (distance <= allowed).then_some(distance)
    };
    known_words
        .filter(|known| known.starts_with(first))
        .filter_map(|known| Some((slips(known)?, known)))
        .min()
        .map(|(_, known)| known)
}

fn slips_allowed(known: &str) -> usize {
    match known.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 9] = [
        "beach",
        "car",
        "cat",
        "house",
        "kitty",
        "pineapple",
        "red",
        "star",
        "strawberry",
    ];

    fn nearest_known(word: &str) -> Option<&'static str> {
        nearest(word, KNOWN.into_iter())
    }

    #[test]
    fn one_slip_in_a_word_and_two_in_a_long_one_are_seen_through() {
        for (typed, meant) in [
            ("pinapple", "pineapple"),
            ("pineaple", "pineapple"),
            ("pinaple", "pineapple"),
            ("strawbery", "strawberry"),
            ("baech", "beach"),
            ("huose", "house"),
        ] {
            assert_eq!(nearest_known(typed), Some(meant), "{typed}");
        }
        assert_eq!(nearest_known("kityt"), Some("kitty"));
        assert_eq!(nearest_known("kyty"), None, "two slips in a short word");
    }

    #[test]
    fn another_word_is_not_taken_for_a_slip() {
        for word in ["mouse", "bat", "zebra", "can", "castle", "", "'"] {
            assert_eq!(nearest_known(word), None, "{word}");
        }
    }

    #[test]
    fn a_quote_that_the_tokenizer_took_in_is_seen_through() {
        assert_eq!(nearest_known("'red"), Some("red"));
    }

    #[test]
    fn plurals_are_of_every_regular_kind() {
        let of = |word| singulars(word).into_iter().flatten().collect::<Vec<_>>();
        assert!(of("deserts").contains(&"desert".to_owned()));
        assert!(of("beaches").contains(&"beach".to_owned()));
        assert!(of("skies").contains(&"sky".to_owned()));
        assert!(of("zebra").is_empty());
    }
}
