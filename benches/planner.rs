//! How long does a choice take, and what was worked out for it? Median and 99th percentile over mixed
//! requests, from menus that are kept and from none.
//!
//! Its own harness, since criterion tells a mean of many runs and the question is about single ones.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock itself"
)]

use std::{
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use goldilocks::planner::{LatencyModel, Menus};

mod choices;

/// Candidates, from those of the default family to many times as many.
const N_CANDIDATES: [usize; 3] = [200, 2_000, 10_000];
const N_REQUESTS: usize = 1_000;
/// How often every request comes; the first time fills the menus of pinned models.
const ROUNDS: usize = 50;
/// Requests for which the menu is made anew.
const N_ANEW: usize = 100;

fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| candidates | tables, ms | menus, ms | choice, us: median | p99 | explained, us: median | p99 | without menus, us: median | p99 |"
    )?;
    writeln!(
        out,
        "| --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    )?;
    for n in N_CANDIDATES {
        writeln!(out, "{}", row(n)?)?;
    }
    Ok(())
}

fn row(n_candidates: usize) -> anyhow::Result<String> {
    let begun = Instant::now();
    let scene = choices::scene(n_candidates);
    let tables = begun.elapsed();
    let begun = Instant::now();
    let menus = Menus::new(&scene.planner, &scene.phases);
    let made = begun.elapsed();
    let latency = LatencyModel::new(scene.phases.clone());
    let requests = choices::requests(N_REQUESTS);
    let choose = |menus: &Menus, (request, load)| menus.choose(request, &latency, load).is_ok();
    let n_chosen = requests
        .iter()
        .filter(|(r, l)| choose(&menus, (r, *l)))
        .count();
    anyhow::ensure!(
        n_chosen > N_REQUESTS / 2,
        "only {n_chosen} requests got a plan"
    );

    let chosen = (0..ROUNDS)
        .flat_map(|_| &requests)
        .map(|(request, load)| timed(|| menus.choose(black_box(request), &latency, *load)));
    let explained = requests
        .iter()
        .map(|(request, load)| timed(|| menus.explain(black_box(request), &latency, *load)));
    let anew = requests
        .iter()
        .take(N_ANEW)
        .map(|(request, load)| timed(|| scene.planner.choose(black_box(request), &latency, *load)));
    let (chosen, explained, anew) = (
        Spread::of(chosen.collect()),
        Spread::of(explained.collect()),
        Spread::of(anew.collect()),
    );
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    Ok(format!(
        "| {} | {:.0} | {:.1} | {chosen} | {explained} | {anew} |",
        scene.n_candidates,
        ms(tables),
        ms(made),
    ))
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed()
}

struct Spread {
    median: Duration,
    p99: Duration,
}

impl Spread {
    fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort();
        Self {
            median: spans[spans.len() / 2],
            p99: spans[spans.len() * 99 / 100],
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |span: Duration| span.as_secs_f64() * 1e6;
        write!(f, "{:.2} | {:.2}", us(self.median), us(self.p99))
    }
}
