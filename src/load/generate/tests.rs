//! Made-up traces: how many come, how unequally, and that a seed says it all.

use super::*;
use crate::load::generate::mix::{Latency, images, tflops};

fn recipe(process: Process, seconds: f64, seed: u64) -> Recipe {
    let latencies = Mix::parse("60:1,250:3", Latency::parse).unwrap();
    Recipe {
        process,
        seconds,
        latencies: latencies.map(|latency| latency.limit(None)).unwrap(),
        tflops: Mix::parse("none", tflops).unwrap(),
        images: Mix::parse("1:2,4:1", images).unwrap(),
        prompts: Prompts::BuiltIn,
        seed,
    }
}

fn made(process: Process, seconds: f64, seed: u64) -> Trace {
    generate(&recipe(process, seconds, seed)).unwrap()
}

fn times(trace: &Trace) -> Vec<f64> {
    let arrivals = trace.arrivals().iter();
    arrivals.map(|arrival| arrival.arrival_seconds).collect()
}

#[test]
fn poisson_arrivals_have_the_rate_the_spread_and_the_gaps_of_their_law() {
    let trace = made(Process::Poisson { rate: 2.0 }, 60_000.0, 1);
    let times = times(&trace);
    let n = times.len() as f64;
    // Four standard deviations of a Poisson count of 120,000.
    assert!((n - 120_000.0).abs() < 4.0 * 120_000_f64.sqrt(), "{n}");
    // The ratio over 1000 minutes has a standard error of 0.045.
    let ratio = trace.variance_to_mean().unwrap();
    assert!((ratio - 1.0).abs() < 0.18, "{ratio}");
    // A gap is longer than t with probability exp(-2 t).
    for t in [0.1, 0.5, 1.5] {
        let longer = times
            .windows(2)
            .filter(|pair| pair[1] - pair[0] > t)
            .count();
        let share = longer as f64 / n;
        let expected = (-2.0 * t).exp();
        assert!(
            (share - expected).abs() < 0.005,
            "{share} against {expected}"
        );
    }
}

#[test]
fn bursty_minutes_are_as_unequal_as_was_measured() {
    for (rate, seed) in [(1.0, 1), (0.25, 2), (5.0, 3)] {
        let process = Process::Bursty {
            rate,
            ratio: MEASURED_RATIO,
        };
        let trace = made(process, 4000.0 * MINUTE, seed);
        // Over 4000 minutes the ratio's standard error is 3%, most of it from the gamma's tail.
        let ratio = trace.variance_to_mean().unwrap();
        assert!((3.1..=3.7).contains(&ratio), "{ratio} at rate {rate}");
        let mean = trace.arrivals().len() as f64 / (4000.0 * MINUTE);
        assert!((mean / rate - 1.0).abs() < 0.04, "{mean} at rate {rate}");
    }
}

#[test]
fn a_flash_crowd_comes_and_goes() {
    let process = Process::Flash {
        rate: 5.0,
        factor: 10.0,
        from: 100.0,
        lasting: 50.0,
    };
    let times = times(&made(process, 300.0, 7));
    let within = |from: f64, until: f64| {
        let there = times.iter().filter(|time| (from..until).contains(*time));
        there.count() as f64
    };
    for (from, until, expected) in [
        (0.0, 100.0, 500.0),
        (100.0, 150.0, 2500.0),
        (150.0, 300.0, 750.0),
    ] {
        let count = within(from, until);
        let error: f64 = count - expected;
        assert!(error.abs() < 4.0 * expected.sqrt(), "{count} from {from}");
    }
    assert_eq!(within(0.0, 300.0), times.len() as f64);
}

#[test]
fn a_seed_gives_the_same_trace_on_every_machine() {
    let told = made(Process::Poisson { rate: 1.0 }, 3.0, 11).to_csv();
    assert_eq!(told, "to be filled in");
    let bursty = Process::Bursty {
        rate: 1.0,
        ratio: 3.4,
    };
    assert_eq!(made(bursty, 300.0, 5), made(bursty, 300.0, 5));
    assert_ne!(made(bursty, 300.0, 5), made(bursty, 300.0, 6));
}

#[test]
fn other_budgets_are_asked_for_at_the_same_times() {
    let process = Process::Bursty {
        rate: 1.0,
        ratio: 3.4,
    };
    let mut other = recipe(process, 300.0, 5);
    other.tflops = Mix::parse("0.004,0.01", tflops).unwrap();
    other.prompts = Prompts::of_lines("a dog").unwrap();
    let (one, other) = (made(process, 300.0, 5), generate(&other).unwrap());
    assert_eq!(times(&one), times(&other));
    assert_ne!(one, other);
}

#[test]
fn requests_are_those_of_the_mixes() {
    let trace = made(Process::Poisson { rate: 10.0 }, 400.0, 2);
    let n = trace.arrivals().len() as f64;
    let share = |holds: fn(&Arrival) -> bool| {
        trace
            .arrivals()
            .iter()
            .filter(|arrival| holds(arrival))
            .count() as f64
            / n
    };
    let short = share(|arrival| arrival.class.latency_ms == Some(Millis(60.0)));
    let four = share(|arrival| arrival.images == 4);
    assert!((short - 0.25).abs() < 0.03, "{short}");
    assert!((four - 1.0 / 3.0).abs() < 0.03, "{four}");
    assert_eq!(share(|arrival| arrival.class.tflops.is_none()), 1.0);
}

#[test]
fn what_makes_no_trace_is_told_what_would() {
    let refused = |process, seconds| {
        let error = generate(&recipe(process, seconds, 0)).unwrap_err();
        error.to_string()
    };
    let poisson = |rate| Process::Poisson { rate };
    let ratio_1 = Process::Bursty {
        rate: 1.0,
        ratio: 1.0,
    };
    let early = Process::Flash {
        rate: 1.0,
        factor: 2.0,
        from: -1.0,
        lasting: 1.0,
    };
    for (process, seconds, part) in [
        (poisson(0.0), 60.0, "rate 0 must be a finite number above 0"),
        (poisson(f64::INFINITY), 60.0, "rate inf"),
        (poisson(1.0), f64::NAN, "seconds NaN"),
        (poisson(1e6), 60.0, "60000000 requests would come"),
        (poisson(1e-9), 1.0, "no request came in 1 s; raise the rate"),
        (
            ratio_1,
            60.0,
            "ratio 1 must be a finite number above 1; for 1 make a Poisson trace",
        ),
        (early, 60.0, "from -1 must be a finite number 0 or more"),
    ] {
        let told = refused(process, seconds);
        assert!(told.contains(part), "{told}");
    }
}
