//! How does a trace come about that nobody recorded? A process says when requests come, mixes say what they ask for.
//!
//! Every process here is a Poisson process whose rate is constant for a while: within a span of rate r the gaps are
//! exponential with mean 1/r. They differ in their spans ([`Process`]).
//!
//! A seed gives the same trace on every machine: the generator's numbers are fixed (PCG64), and arrivals are rounded to
//! microseconds, far above what mathematical libraries differ by. When requests come depends on the seed and the process
//! alone, so that other budgets are asked for at the same times.

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Exp, Gamma};
use rand_pcg::Pcg64;

use super::trace::{Arrival, BudgetClass, Trace};
use crate::units::Millis;

pub mod captions;
pub mod mix;

use captions::Prompts;
use mix::Mix;

/// The variance-to-mean ratio of the requests per minute that was measured on the busiest day of a public trace of a
/// Stable Diffusion service (GenTD26, `cluster-trace-v2026-GenAI`); 1 is Poisson.
pub const MEASURED_RATIO: f64 = 3.4;
/// A trace is held in memory; a day of 100 requests a second.
const MAX_REQUESTS: f64 = 1e7;
const MINUTE: f64 = 60.0;
/// Arrivals are rounded to so many parts of a second.
const TICKS: f64 = 1e6;

/// When requests come. Rates are requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Process {
    /// Independent users: one rate all the time.
    Poisson {
        /// The rate.
        rate: f64,
    },
    /// Users who come in crowds: every minute draws its own rate.
    ///
    /// With mu = 60 `rate`, a minute's mean count is gamma distributed with shape mu / (`ratio` - 1) and scale
    /// `ratio` - 1: mean mu, variance (`ratio` - 1) mu. Counts, Poisson given that mean, then have the mean mu and
    /// the variance mu + (`ratio` - 1) mu = `ratio` mu (they are negative binomial). The same ratio at a higher
    /// rate means minutes that are less unequal: the standard deviation of their rates over the mean one is
    /// sqrt((`ratio` - 1) / mu).
    Bursty {
        /// The mean rate.
        rate: f64,
        /// Variance over mean of the requests per minute, above 1.
        ratio: f64,
    },
    /// Everybody at once: `factor` times the rate for a while.
    Flash {
        /// The rate before and after.
        rate: f64,
        /// How many times as many come meanwhile.
        factor: f64,
        /// Seconds from the start of the trace to that of the crowd.
        from: f64,
        /// Seconds that the crowd stays.
        lasting: f64,
    },
}

/// Everything that a made-up trace follows from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// When requests come.
    pub process: Process,
    /// The length of the trace in seconds.
    pub seconds: f64,
    /// What requests grant in time.
    pub latencies: Mix<Option<Millis>>,
    /// What they grant in 10^12 operations, independently.
    pub tflops: Mix<Option<f64>>,
    /// How many pictures they ask for.
    pub images: Mix<u32>,
    /// What is to be drawn.
    pub prompts: Prompts,
    /// The same seed, the same trace.
    pub seed: u64,
}

/// A recipe makes no trace.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// A number outside its range.
    #[error("{name} {value} must be a finite number {range}")]
    OutOfRange {
        /// What it is.
        name: &'static str,
        /// What was found.
        value: f64,
        /// What would do.
        range: &'static str,
    },
    /// It would not fit.
    #[error(
        "about {expected:.0} requests would come, more than {MAX_REQUESTS:.0}; lower the rate or the length"
    )]
    TooLong {
        /// The mean number of requests.
        expected: f64,
    },
    /// Nobody came.
    #[error("no request came in {seconds} s; raise the rate or the length")]
    Empty {
        /// The length.
        seconds: f64,
    },
}

/// A stretch of time with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    from: f64,
    until: f64,
    rate: f64,
}

/// Makes the trace.
pub fn generate(recipe: &Recipe) -> Result<Trace, RecipeError> {
    recipe.check()?;
    let mut seeds = Pcg64::seed_from_u64(recipe.seed);
    let mut when = Pcg64::from_rng(&mut seeds);
    let mut what = Pcg64::from_rng(&mut seeds);
    let spans = recipe.process.spans(recipe.seconds, &mut when);
    let mut arrivals = Vec::new();
    for span in spans {
        for arrival_seconds in times(span, &mut when) {
            arrivals.push(recipe.request(arrival_seconds, &mut what));
        }
    }
    let seconds = recipe.seconds;
    Trace::new(arrivals).ok_or(RecipeError::Empty { seconds })
}

/// The times of a Poisson process within a span, rounded.
fn times(span: Span, random: &mut Pcg64) -> Vec<f64> {
    let mut times = Vec::new();
    let Ok(gaps) = Exp::new(span.rate) else {
        return times;
    };
    let mut time = span.from + gaps.sample(random);
    while time < span.until {
        times.push((time * TICKS).round() / TICKS);
        time += gaps.sample(random);
    }
    times
}

impl Process {
    /// The mean number of requests.
    fn expected(self, seconds: f64) -> f64 {
        match self {
            Self::Poisson { rate } | Self::Bursty { rate, .. } => rate * seconds,
            Self::Flash {
                rate,
                factor,
                from,
                lasting,
            } => {
                let crowd = (from + lasting).min(seconds) - from.min(seconds);
                rate * (seconds + (factor - 1.0) * crowd)
            }
        }
    }

    fn spans(self, seconds: f64, random: &mut Pcg64) -> Vec<Span> {
        let span = |from: f64, until: f64, rate| Span {
            from: from.min(seconds),
            until: until.min(seconds),
            rate,
        };
        match self {
            Self::Poisson { rate } => vec![span(0.0, seconds, rate)],
            Self::Bursty { rate, ratio } => {
                let minutes = (seconds / MINUTE).ceil() as u32;
                let starts = (0..minutes).map(|minute| f64::from(minute) * MINUTE);
                let excess = ratio - 1.0;
                let counts = Gamma::new(rate * MINUTE / excess, excess);
                let counts = counts.expect("a checked ratio is above 1");
                let minute = |from| span(from, from + MINUTE, counts.sample(random) / MINUTE);
                starts.map(minute).collect()
            }
            Self::Flash {
                rate,
                factor,
                from,
                lasting,
            } => vec![
                span(0.0, from, rate),
                span(from, from + lasting, rate * factor),
                span(from + lasting, seconds, rate),
            ],
        }
    }

    /// Every number with what it may be.
    fn checked(self) -> Vec<(&'static str, f64, Range)> {
        match self {
            Self::Poisson { rate } => vec![("rate", rate, ABOVE_0)],
            Self::Bursty { rate, ratio } => {
                vec![("rate", rate, ABOVE_0), ("ratio", ratio, ABOVE_1)]
            }
            Self::Flash {
                rate,
                factor,
                from,
                lasting,
            } => vec![
                ("rate", rate, ABOVE_0),
                ("factor", factor, ABOVE_0),
                ("from", from, FROM_0),
                ("for", lasting, ABOVE_0),
            ],
        }
    }
}

/// What a number may be, in words and as a check.
type Range = (&'static str, fn(f64) -> bool);

const ABOVE_0: Range = ("above 0", |value| value > 0.0);
const ABOVE_1: Range = ("above 1; for 1 make a Poisson trace", |value| value > 1.0);
const FROM_0: Range = ("0 or more", |value| value >= 0.0);

impl Recipe {
    fn check(&self) -> Result<(), RecipeError> {
        let mut numbers = self.process.checked();
        numbers.push(("seconds", self.seconds, ABOVE_0));
        for (name, value, (range, holds)) in numbers {
            if !(value.is_finite() && holds(value)) {
                return Err(RecipeError::OutOfRange { name, value, range });
            }
        }
        let expected = self.process.expected(self.seconds);
        if expected > MAX_REQUESTS {
            return Err(RecipeError::TooLong { expected });
        }
        Ok(())
    }

    fn request(&self, arrival_seconds: f64, random: &mut impl Rng) -> Arrival {
        Arrival {
            arrival_seconds,
            class: BudgetClass {
                latency_ms: self.latencies.draw(random),
                tflops: self.tflops.draw(random),
            },
            images: self.images.draw(random),
            prompt: self.prompts.draw(random),
        }
    }
}

#[cfg(test)]
mod tests;
