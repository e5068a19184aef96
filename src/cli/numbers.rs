//! Which numbers can be meant? Those that could not are refused as they are typed, as requests are.

use crate::api::MAX_GUIDANCE_SCALE;

/// Limits and spans of time.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    within(text, "a number above 0", |number| number > 0.0)
}

/// Spans of time that may be none.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    within(text, "a number that is not below 0", |number| number >= 0.0)
}

/// Scores.
pub(super) fn score(text: &str) -> Result<f64, String> {
    within(text, "a score from 0 to 1", |score| {
        (0.0..=1.0).contains(&score)
    })
}

/// Scales of guidance, as wide as requests have them.
pub(super) fn guidance(text: &str) -> Result<f64, String> {
    let expected = format!("a scale from 1 (unguided) to {MAX_GUIDANCE_SCALE}");
    within(text, &expected, |scale| {
        (1.0..=MAX_GUIDANCE_SCALE).contains(&scale)
    })
}

fn within(text: &str, expected: &str, accepts: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number
        .filter(|number| accepts(*number))
        .ok_or_else(|| format!("{text:?} is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_meant_are_refused_with_what_could() {
        assert_eq!(positive("0.5"), Ok(0.5));
        assert_eq!(score("1"), Ok(1.0));
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(guidance("7.5"), Ok(7.5));
        for text in ["0", "-4", "nan", "inf", "soon", ""] {
            let told = positive(text).unwrap_err();
            assert_eq!(told, format!("{text:?} is not a number above 0"));
        }
        assert!(score("1.1").unwrap_err().contains("from 0 to 1"));
        assert!(guidance("0.5").unwrap_err().contains("1 (unguided)"));
    }
}
