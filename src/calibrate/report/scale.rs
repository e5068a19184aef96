//! Where on an axis does a number go, and which numbers are written beside it?

/// A linear or logarithmic axis over a span of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    is_log: bool,
    /// Powers of two are written, as step counts are.
    is_doubling: bool,
    low: f64,
    high: f64,
}

/// A number that is written beside an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where.
    pub value: f64,
    /// How it is written.
    pub label: String,
}

/// Leading digits of ticks of a logarithmic axis, from sparse to dense.
const DIGITS: [&[f64]; 5] = [
    &[1.0],
    &[1.0, 2.0, 5.0],
    &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
    &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    &[
        1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6, 3.8, 4.0, 4.5, 5.0,
        5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 9.5,
    ],
];

impl Scale {
    /// A linear axis around all of `values`, with a little room; 0 to 1 if there are none.
    pub fn linear(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = span(values).unwrap_or((0.0, 1.0));
        let room = if high > low {
            0.05 * (high - low)
        } else {
            0.5 * low.abs().max(1e-3)
        };
        Self {
            is_log: false,
            is_doubling: false,
            low: low - room,
            high: high + room,
        }
    }

    /// A linear axis with exactly these ends.
    pub fn between(low: f64, high: f64) -> Self {
        Self {
            is_log: false,
            is_doubling: false,
            low,
            high,
        }
    }

    /// A logarithmic axis around all of `values` above zero, with a little room; 1 to 10 if there are none.
    pub fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = span(positive).unwrap_or((1.0, 10.0));
        let room = (high / low).powf(0.05).max(1.05);
        Self {
            is_log: true,
            is_doubling: false,
            low: low / room,
            high: high * room,
        }
    }

    /// As [`Self::log`], with powers of two written beside it.
    pub fn doubling(values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            is_doubling: true,
            ..Self::log(values)
        }
    }

    /// The ends.
    pub fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// From 0 at the lower end to 1 at the upper one; numbers outside are moved to the nearer end.
    pub fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// As many round numbers as fit, at most `most` where there is a choice.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        match (self.is_log, self.is_doubling) {
            (_, true) => self.doubling_ticks(),
            (true, false) => self.log_ticks(most),
            (false, false) => self.linear_ticks(most),
        }
    }

    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let mut best = Vec::new();
        for digits in DIGITS {
            let ticks = self.ticks_with(digits);
            if ticks.len() <= most || best.is_empty() {
                best = ticks;
            }
        }
        best
    }

    fn doubling_ticks(&self) -> Vec<Tick> {
        let powers = self.low.log2().ceil() as i32..=self.high.log2().floor() as i32;
        let tick = |power: i32| {
            let value = 2f64.powi(power);
            let label = value.to_string();
            Tick { value, label }
        };
        powers.map(tick).collect()
    }

    fn ticks_with(&self, digits: &[f64]) -> Vec<Tick> {
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        powers
            .flat_map(|power| digits.iter().map(move |digit| format!("{digit}e{power}")))
            // Parsed rather than multiplied, so that 0.02 is not 0.020000000000000004.
            .map(|text| text.parse::<f64>().expect("a number"))
            .filter(|value| (self.low..=self.high).contains(value))
            .map(|value| Tick {
                value,
                label: value.to_string(),
            })
            .collect()
    }

    fn linear_ticks(&self, most: usize) -> Vec<Tick> {
        let rough = (self.high - self.low) / most.max(1) as f64;
        let power = rough.log10().floor() as i32;
        let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * 10f64.powi(power));
        let step = steps.into_iter().find(|step| *step >= rough * (1.0 - 1e-9));
        let step = step.unwrap_or(rough);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let (first, last) = (
            (self.low / step).ceil() as i64,
            (self.high / step).floor() as i64,
        );
        (first..=last)
            .map(|i| {
                let value = i as f64 * step;
                let label = format!("{value:.decimals$}").replace('-', "\u{2212}");
                Tick { value, label }
            })
            .collect()
    }
}

fn span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |span, value| match span {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, most: usize) -> Vec<String> {
        scale
            .ticks(most)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_of_a_linear_axis_are_round_and_few() {
        assert_eq!(
            labels(Scale::between(0.0, 1.0), 5),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(Scale::between(-0.012, 0.021), 4),
            ["\u{2212}0.01", "0.00", "0.01", "0.02"]
        );
        assert_eq!(
            labels(Scale::between(0.0, 2400.0), 5),
            ["0", "500", "1000", "1500", "2000"]
        );
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_get_denser_where_the_span_is_short() {
        assert_eq!(
            labels(Scale::log([0.9, 1100.0]), 6),
            ["1", "10", "100", "1000"]
        );
        assert_eq!(
            labels(Scale::log([1.0, 32.0]), 7),
            ["1", "2", "5", "10", "20"]
        );
        let short = labels(Scale::log([0.0028, 0.011]), 7);
        assert_eq!(short, ["0.003", "0.005", "0.007", "0.01"]);
    }

    #[test]
    fn step_counts_are_written_as_powers_of_two() {
        assert_eq!(
            labels(Scale::doubling([2.0, 32.0]), 9),
            ["2", "4", "8", "16", "32"]
        );
    }

    #[test]
    fn a_share_grows_with_the_value_and_stays_inside() {
        let scale = Scale::log([1.0, 100.0]);
        assert!((scale.share(10.0) - 0.5).abs() < 1e-9);
        assert_eq!((scale.share(0.0), scale.share(1e9)), (0.0, 1.0));
        let flat = Scale::linear([0.5, 0.5]);
        assert!(
            (flat.share(0.5) - 0.5).abs() < 1e-9,
            "one value stands in the middle"
        );
        assert!(!Scale::linear([]).share(0.3).is_nan());
    }
}
