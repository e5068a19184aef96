//! What do requests ask for when they do not all ask for the same? Each thing as often as its weight says.
//!
//! A mix is written `THING:WEIGHT,THING:WEIGHT`, as in `60:1,250:3`; a weight that is left out is 1.

use rand::{
    Rng,
    distr::{Distribution, weighted::WeightedIndex},
};

use crate::units::Millis;

/// Things, and how often each is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix<T> {
    things: Vec<T>,
    weights: WeightedIndex<f64>,
}

impl<T: Clone> Mix<T> {
    /// Reads a mix whose things are read by `read`.
    pub fn parse(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Self, String> {
        let (mut things, mut weights) = (Vec::new(), Vec::new());
        for part in text.split(',') {
            let (thing, weight) = part.split_once(':').unwrap_or((part, "1"));
            let weight: Option<f64> = weight.trim().parse().ok();
            let weight = weight.filter(|weight| weight.is_finite() && *weight >= 0.0);
            things.push(read(thing.trim())?);
            weights.push(weight.ok_or_else(|| {
                format!("the weight of {part:?} must be a number, 0 or more, as in 60:1,250:3")
            })?);
        }
        let weights = WeightedIndex::new(weights);
        let weights = weights.map_err(|_| format!("no weight in {text:?} is above 0"))?;
        Ok(Self { things, weights })
    }

    /// Applies `change` to every thing; its weight stays.
    pub fn map<U>(self, change: impl FnMut(T) -> Result<U, String>) -> Result<Mix<U>, String> {
        let things = self.things.into_iter().map(change);
        Ok(Mix {
            things: things.collect::<Result<_, _>>()?,
            weights: self.weights,
        })
    }

    /// Draws one.
    pub fn draw(&self, random: &mut impl Rng) -> T {
        self.things[self.weights.sample(random)].clone()
    }
}

/// A latency budget as it is typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// None: `none`.
    Unlimited,
    /// So long: `60` or `60ms`.
    Absolute(Millis),
    /// So many times what the cheapest plan takes: `2x`.
    Multiple(f64),
}

impl Latency {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Unlimited);
        }
        let (number, is_multiple) = match text.strip_suffix('x') {
            Some(number) => (number, true),
            None => (text.strip_suffix("ms").unwrap_or(text), false),
        };
        match positive(number) {
            Some(factor) if is_multiple => Ok(Self::Multiple(factor)),
            Some(ms) => Ok(Self::Absolute(Millis(ms))),
            None => Err(format!(
                "{text:?} is no latency budget; write milliseconds as in 60, a multiple of the floor as in 2x, or none"
            )),
        }
    }

    /// Returns the limit where the cheapest plan takes `floor`.
    pub fn limit(self, floor: Option<Millis>) -> Result<Option<Millis>, String> {
        match (self, floor) {
            (Self::Unlimited, _) => Ok(None),
            (Self::Absolute(limit), _) => Ok(Some(limit)),
            (Self::Multiple(factor), Some(floor)) => Ok(Some(floor * factor)),
            (Self::Multiple(factor), None) => Err(format!(
                "{factor}x is a multiple of what the cheapest plan takes; say how long with --floor-ms"
            )),
        }
    }
}

/// Reads a number of 10^12 operations, or `none`.
pub fn tflops(text: &str) -> Result<Option<f64>, String> {
    if text == "none" {
        return Ok(None);
    }
    let limit = positive(text);
    limit.map(Some).ok_or_else(|| {
        format!("{text:?} is no budget of operations; write 10^12 of them as in 0.004, or none")
    })
}

/// Reads a number of pictures.
pub fn images(text: &str) -> Result<u32, String> {
    let count: Option<u32> = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{text:?} is no number of pictures; write a whole one from 1"))
}

fn positive(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn things_are_drawn_as_often_as_their_weights_say() {
        let mix = Mix::parse("1:3, 2 ,4:0", images).unwrap();
        let mut random = Pcg64::seed_from_u64(1);
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[mix.draw(&mut random) as usize] += 1;
        }
        assert_eq!(counts[4], 0, "a weight of zero");
        // 3000 are expected, give or take 27.
        assert!((2890..=3110).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[1] + counts[2], 4000);
    }

    #[test]
    fn budgets_are_read_as_milliseconds_multiples_and_none() {
        let mix = Mix::parse("60ms,120,2.5x:2,none", Latency::parse).unwrap();
        let told = mix.clone().map(|latency| latency.limit(None));
        assert!(told.unwrap_err().contains("--floor-ms"));
        let limits = mix
            .map(|latency| latency.limit(Some(Millis(20.0))))
            .unwrap();
        let expected = [Some(60.0), Some(120.0), Some(50.0), None];
        assert_eq!(limits.things, expected.map(|limit| limit.map(Millis)));
    }

    #[test]
    fn what_is_no_mix_is_told_what_would_be() {
        let latency = |text| Mix::parse(text, Latency::parse).unwrap_err();
        for (text, part) in [
            ("", "write milliseconds"),
            ("60:1,,", "write milliseconds"),
            ("0:1", "write milliseconds"),
            ("infx", "write milliseconds"),
            ("60:one", "as in 60:1,250:3"),
            ("60:-1", "as in 60:1,250:3"),
            ("60:0,70:0", "no weight in \"60:0,70:0\" is above 0"),
        ] {
            assert!(latency(text).contains(part), "{text}: {}", latency(text));
        }
        assert!(Mix::parse("0.5", images).unwrap_err().contains("whole one"));
        assert!(Mix::parse("-1", tflops).unwrap_err().contains("or none"));
        assert_eq!(tflops("0.004"), Ok(Some(0.004)));
        assert_eq!(tflops("none"), Ok(None));
    }
}
