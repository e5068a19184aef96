//! `goldilocks simulate`: what would the users of a trace get, from this server and from others?

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::{examples, latency, out, precision, serve, table::aligned};
use crate::{
    catalog::Family,
    config,
    load::{record::Record, report::Report, trace::Trace},
    planner::{Menus, Planner},
    progress::Progress,
    runtime::Rules,
    simulate::{self, Setup, oracle, strategy::Strategy},
};

/// A trace longer than this is too much for a policy that weighs every request against every other.
const MOST_FOR_ORACLE: usize = 5000;

/// Runs a trace through the server's own runtime in virtual time, and through others
///
/// Everything that decides is the server's: planner, admission, dispatch, review; only the drawing is replaced, by what
/// this machine was measured to take. Of several devices the one with the least to do gets a request. All
/// policies know the family's frontier and draw with the same models; `oracle` knows the future as well.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::SIMULATE)]
pub struct Args {
    /// The trace: CSV, `arrival_seconds,latency_ms,tflops,images,prompt` (`goldilocks trace` makes one)
    #[arg(value_name = "TRACE.csv")]
    trace: PathBuf,

    /// Devices, all like this machine
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    devices: u16,

    /// Policies to compare [default: all, the oracle for up to 5000 requests]
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    policy: Vec<Policy>,

    /// How far real times are from predicted ones: the standard deviation of the logarithm
    #[arg(long, default_value_t = 0.05)]
    noise: f64,

    /// Names the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// The family [default: the first one]
    #[arg(long)]
    family: Option<String>,

    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    config: PathBuf,

    /// Where measured latencies are kept [default: goldilocks in the XDG state folder]
    #[arg(long, env = "GOLDILOCKS_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Print the reports as JSON
    #[arg(long)]
    json: bool,
}

/// What can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The fastest plan for everybody, first come, first served
    AlwaysSmall,
    /// The best plan for everybody
    AlwaysLarge,
    /// The largest model at thirty steps
    ThirtySteps,
    /// For each budget the best plan that an idle server has for it
    PerClass,
    /// The fast plan, and the best one after it where a perfect discriminator finds fault
    Cascade,
    /// The server's own
    Goldilocks,
    /// One that knows every request in advance
    Oracle,
}

impl Policy {
    fn name(self) -> &'static str {
        self.strategy().map_or("oracle", Strategy::name)
    }

    fn strategy(self) -> Option<Strategy> {
        match self {
            Self::AlwaysSmall => Some(Strategy::AlwaysSmall),
            Self::AlwaysLarge => Some(Strategy::AlwaysLarge),
            Self::ThirtySteps => Some(Strategy::ThirtySteps),
            Self::PerClass => Some(Strategy::PerClass),
            Self::Cascade => Some(Strategy::Cascade),
            Self::Goldilocks => Some(Strategy::Goldilocks),
            Self::Oracle => None,
        }
    }

    fn run(self, setup: &Setup, trace: &Trace) -> Vec<Record> {
        match self.strategy() {
            Some(strategy) => simulate::run(setup, trace, strategy),
            None => oracle::run(setup, trace),
        }
    }
}

/// Simulates and prints.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let shown = args.trace.display();
    let text = std::fs::read_to_string(&args.trace)
        .with_context(|| format!("cannot read the trace {shown}"))?;
    let trace = Trace::parse(&text).with_context(|| format!("{shown} is not a trace"))?;
    let setup = args.setup()?;
    let mut reports: Vec<(Policy, Report)> = Vec::new();
    let policies = args.policies(&trace)?;
    let progress = Progress::new("simulating", policies.len() as u64);
    for policy in policies {
        progress.say(policy.name().to_owned());
        let records = policy.run(&setup, &trace);
        reports.extend(Report::of(&records).map(|report| (policy, report)));
        progress.advance(1);
    }
    progress.finish();
    if args.json {
        return json(&reports);
    }
    out::print(&table(&reports))
}

impl Args {
    fn setup(&self) -> anyhow::Result<Setup> {
        let catalog = precision::load(&self.config)?;
        let family = match &self.family {
            None => catalog.default_family(),
            Some(name) => catalog.family(name).with_context(|| {
                let known: Vec<&str> = catalog.families.iter().map(|f| f.id.as_str()).collect();
                format!(
                    "there is no family {name:?}; choose one of {}",
                    known.join(", ")
                )
            })?,
        };
        let menus_of = |family: &Family| -> anyhow::Result<Planner> {
            let profile = family.profile.as_ref();
            let profile = profile.map(|path| serve::read_profile(family, path));
            Ok(Planner::new(family, profile.transpose()?))
        };
        let planner = menus_of(family)?;
        let state_dir = self.state_dir.clone().or_else(config::default_state_dir);
        let latency = latency::known(&catalog, state_dir)?;
        if !(0.0..=1.0).contains(&self.noise) {
            bail!("--noise {} is not between 0 and 1", self.noise);
        }
        Ok(Setup {
            family: Arc::new(family.clone()),
            menus: Arc::new(Menus::new(&planner, latency.phases())),
            latency,
            rules: Rules::default(),
            devices: usize::from(self.devices),
            noise: self.noise,
            seed: self.seed,
        })
    }

    fn policies(&self, trace: &Trace) -> anyhow::Result<Vec<Policy>> {
        let is_long = trace.arrivals().len() > MOST_FOR_ORACLE;
        if is_long && self.policy.contains(&Policy::Oracle) {
            bail!(
                "the oracle weighs every request against every other, and {} are too many; \
                 it does {MOST_FOR_ORACLE} at most",
                trace.arrivals().len()
            );
        }
        if !self.policy.is_empty() {
            return Ok(self.policy.clone());
        }
        let all = Policy::value_variants().iter().copied();
        Ok(all
            .filter(|policy| !is_long || *policy != Policy::Oracle)
            .collect())
    }
}

fn json(reports: &[(Policy, Report)]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Printed<'r>(BTreeMap<&'static str, &'r Report>);
    let by_name = reports
        .iter()
        .map(|(policy, report)| (policy.name(), report));
    out::print_json(&Printed(by_name.collect()))
}

fn table(reports: &[(Policy, Report)]) -> String {
    let head = [
        "policy",
        "attainment",
        "goodput/s",
        "score at budget",
        "score of attained",
        "p50 ms",
        "p99 ms",
        "budget used",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for (policy, report) in reports {
        let all = &report.all;
        let quantile = |of: fn(&crate::load::report::Quantiles) -> f64| {
            all.latency_ms
                .as_ref()
                .map_or("-".to_owned(), |q| format!("{:.0}", of(q)))
        };
        let share = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3}"));
        rows.push([
            policy.name().to_owned(),
            format!("{:.3}", all.attainment.mean),
            format!("{:.2}", report.goodput_per_second.mean),
            format!("{:.3}", all.score_at_budget.mean),
            share(all.score_of_attained),
            quantile(|q| q.p50),
            quantile(|q| q.p99),
            share(all.latency_utilization),
        ]);
    }
    aligned(&rows)
}
