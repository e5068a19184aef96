//! Does a picture show what its caption says? A verdict for each picture, and the share that holds.

use std::collections::BTreeMap;

/// Answers by question: `object` to `dog`, `count` to `3`.
pub type Attributes = BTreeMap<String, String>;

/// Whether every accepted attribute that the caption names is found in the picture.
///
/// `accepted` are the questions the evaluator answers reliably on real pictures; others prove nothing.
pub fn holds(caption: &Attributes, seen: &Attributes, accepted: &[String]) -> bool {
    accepted
        .iter()
        .filter_map(|question| Some((question, caption.get(question)?)))
        .all(|(question, wanted)| seen.get(question) == Some(wanted))
}

/// The share of pictures whose verdict is true, picture `i` counted `counts[i]` times.
pub fn weighted_share(verdicts: &[bool], counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    let pairs = verdicts.iter().zip(counts);
    let held: f64 = pairs
        .filter(|(verdict, _)| **verdict)
        .map(|(_, count)| count)
        .sum();
    held / total
}

/// The share of pictures whose verdict is true.
pub fn share(verdicts: &[bool]) -> f64 {
    verdicts.iter().filter(|verdict| **verdict).count() as f64 / verdicts.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    }

    #[test]
    fn every_accepted_attribute_of_the_caption_must_be_found() {
        let accepted = ["object", "count", "color"].map(String::from);
        let caption = attributes(&[("object", "dog"), ("count", "3"), ("background", "grass")]);
        let verdict = |seen: &[(&str, &str)]| holds(&caption, &attributes(seen), &accepted);
        assert!(verdict(&[("object", "dog"), ("count", "3")]));
        assert!(
            !verdict(&[("object", "dog"), ("count", "2")]),
            "one wrong attribute"
        );
        assert!(!verdict(&[("object", "dog")]), "one missing attribute");
        assert!(
            verdict(&[
                ("object", "dog"),
                ("count", "3"),
                ("color", "teal"),
                ("background", "snow")
            ]),
            "what the caption leaves open and what is not accepted is not judged"
        );
    }

    #[test]
    fn shares_count_what_was_drawn_twice_twice() {
        let verdicts = [true, false, true, false];
        assert_eq!(share(&verdicts), 0.5);
        assert_eq!(weighted_share(&verdicts, &[3.0, 1.0, 0.0, 0.0]), 0.75);
    }
}
