//! What is each plan worth? Measured scores, and interpolated ones at every step count in between.
//!
//! Model, sampler, guidance and variant are discrete. Along each such curve every whole number of steps
//! between the fewest and the most measured ones has a row: the mean and every bootstrap replicate,
//! each interpolated in the logarithm of the steps. Nothing is extrapolated, and nothing imposes that
//! more steps are better.

use std::ops::RangeInclusive;

use super::{
    budget::Objective,
    candidates::{Candidate, Worth},
    pchip,
    plan::{Candidates, Plan, ScoreEstimate},
    predictions::Sample,
    profile::{Cell, Profile},
};
use crate::{
    catalog::{Family, ModelId, SamplerKind},
    diffusion::{GuidanceInterval, Stage},
    units::Steps,
};

/// The scores of every measured or interpolated plan of a family.
#[derive(Debug, Clone, Default)]
pub(super) struct ScoreTable {
    pub(super) curves: Vec<Curve>,
    variants: Vec<Variant>,
    alignment: Column,
    fidelity: Column,
    n_replicates: usize,
}

/// What a plan has beyond model, sampler, steps and guidance scale.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Variant {
    pub(super) stages: Vec<Stage>,
    pub(super) guidance_interval: Option<GuidanceInterval>,
    pub(super) candidates: Option<Candidates>,
}

/// Nothing beyond them.
static PLAIN: Variant = Variant {
    stages: Vec::new(),
    guidance_interval: None,
    candidates: None,
};

impl Variant {
    fn of(plan: &Plan) -> Self {
        Self {
            stages: plan.stages.clone(),
            guidance_interval: plan.guidance_interval,
            candidates: plan.candidates,
        }
    }
}

/// One (model, sampler, guidance, variant) with a row for every step count in its measured range.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// Index into the family's models.
    pub(super) model: usize,
    pub(super) sampler: SamplerKind,
    pub(super) guidance_scale: f64,
    /// Index into the table's variants; none is plain.
    pub(super) variant: Option<usize>,
    fewest: Steps,
    most: Steps,
    first_row: usize,
}

impl Curve {
    /// The step counts that have a row.
    pub(super) fn steps(&self) -> RangeInclusive<Steps> {
        self.fewest..=self.most
    }

    /// Its plans, one for each row.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.steps().map(|steps| Candidate {
            model: self.model,
            sampler: self.sampler,
            steps,
            guidance_scale: self.guidance_scale,
            variant: self.variant,
            worth: Worth::Measured(self.nearest_row(steps)),
        })
    }

    /// The row of the step count nearest to `steps`.
    pub(super) fn nearest_row(&self, steps: Steps) -> usize {
        self.first_row + (steps.clamp(self.fewest, self.most) - self.fewest) as usize
    }
}

/// Where a cell belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    model: usize,
    variant: Option<usize>,
}

/// One score of every row.
#[derive(Debug, Clone, Default)]
struct Column {
    means: Vec<f64>,
    /// Row after row, `n_replicates` each.
    replicates: Vec<f32>,
}

impl ScoreTable {
    /// Tabulates what the profile says of the family's models; cells of other models are left out.
    pub(super) fn new(family: &Family, profile: &Profile) -> Self {
        // What another network picked says nothing of what this one will.
        let ranks =
            family.ranks(profile.size) && profile.ranker_digest == family.image_encoder_digest;
        let usable = profile.cells.iter();
        let usable = usable.filter(|cell| ranks || cell.plan.candidates.is_none());
        Self::of_cells(family, usable, profile.provenance.n_replicates)
    }

    /// Tabulates measured plans of the family's models.
    pub(super) fn of_cells<'c>(
        family: &Family,
        measured: impl Iterator<Item = &'c Cell>,
        n_replicates: usize,
    ) -> Self {
        let mut table = Self {
            n_replicates,
            ..Self::default()
        };
        let mut cells: Vec<(Place, &Cell)> = Vec::new();
        for cell in measured {
            let plan = &cell.plan;
            let is_known = |model: &ModelId| family.model(&model.0).is_some();
            let model = family.models.iter().position(|card| card.id == plan.model);
            let Some(model) = model.filter(|_| plan.models().all(is_known)) else {
                continue;
            };
            let variant = table.variant_of(plan);
            cells.push((Place { model, variant }, cell));
        }
        cells.sort_by(|(place_a, a), (place_b, b)| {
            let (a, b) = (&a.plan, &b.plan);
            (place_a, a.sampler)
                .cmp(&(place_b, b.sampler))
                .then(a.guidance_scale.total_cmp(&b.guidance_scale))
                .then(a.steps.cmp(&b.steps))
        });
        let same_curve = |(place_a, a): &(Place, &Cell), (place_b, b): &(Place, &Cell)| {
            let (a, b) = (&a.plan, &b.plan);
            (place_a, a.sampler, a.guidance_scale) == (place_b, b.sampler, b.guidance_scale)
        };
        for run in cells.chunk_by(same_curve) {
            table.push_curve(run);
        }
        table
    }

    /// The index of a plan's variant, a new one if need be; none is plain.
    fn variant_of(&mut self, plan: &Plan) -> Option<usize> {
        if plan.is_plain() {
            return None;
        }
        let variant = Variant::of(plan);
        let known = self.variants.iter().position(|known| *known == variant);
        Some(known.unwrap_or_else(|| {
            self.variants.push(variant);
            self.variants.len() - 1
        }))
    }

    /// The row of exactly this plan, if it is measured or lies between measured step counts.
    pub(super) fn row_of(&self, family: &Family, plan: &Plan) -> Option<usize> {
        let model = family
            .models
            .iter()
            .position(|card| card.id == plan.model)?;
        let variant = Variant::of(plan);
        let is_its_own = |curve: &&Curve| {
            (curve.model, curve.sampler) == (model, plan.sampler)
                && curve.guidance_scale == plan.guidance_scale
                && *self.variant(curve.variant) == variant
        };
        let curve = self.curves.iter().find(is_its_own)?;
        let is_within = curve.steps().contains(&plan.steps);
        is_within.then(|| curve.nearest_row(plan.steps))
    }

    /// The variant with this index, as curves and candidates have it.
    pub(super) fn variant(&self, index: Option<usize>) -> &Variant {
        index.map_or(&PLAIN, |index| &self.variants[index])
    }

    fn push_curve(&mut self, run: &[(Place, &Cell)]) {
        let (Place { model, variant }, first) = run[0];
        let curve = Curve {
            model,
            variant,
            sampler: first.plan.sampler,
            guidance_scale: first.plan.guidance_scale,
            fewest: first.plan.steps,
            most: run[run.len() - 1].1.plan.steps,
            first_row: self.alignment.means.len(),
        };
        let knots: Vec<Steps> = run.iter().map(|(_, cell)| cell.plan.steps).collect();
        let grid = LogGrid::new(&knots);
        self.alignment
            .push_curve(&grid, self.n_replicates, run, |cell| {
                (cell.alignment.mean, &cell.replicates.alignment)
            });
        self.fidelity
            .push_curve(&grid, self.n_replicates, run, |cell| {
                (cell.fidelity.mean, &cell.replicates.fidelity)
            });
        self.curves.push(curve);
    }

    /// The predicted score of a row.
    pub(super) fn mean(&self, row: usize, objective: Objective) -> f64 {
        match objective {
            Objective::Alignment => self.alignment.means[row],
            Objective::Fidelity => self.fidelity.means[row],
            Objective::Balanced => {
                f64::midpoint(self.alignment.means[row], self.fidelity.means[row])
            }
        }
    }

    /// The predicted score of a row with its standard error.
    pub(super) fn score(&self, row: usize, objective: Objective) -> ScoreEstimate {
        let replicates = self.replicates(row, objective);
        ScoreEstimate {
            mean: self.mean(row, objective),
            standard_error: standard_deviation(replicates),
        }
    }

    /// The predicted score of a row with its replicates.
    pub(super) fn sample(&self, row: usize, objective: Objective) -> Sample {
        Sample {
            mean: self.mean(row, objective),
            replicates: self.replicates(row, objective).collect(),
        }
    }

    /// The standard error of the difference of two rows, paired by caption.
    pub(super) fn paired_error(&self, a: usize, b: usize, objective: Objective) -> f64 {
        let pairs = self
            .replicates(a, objective)
            .zip(self.replicates(b, objective));
        standard_deviation(pairs.map(|(a, b)| a - b))
    }

    /// Whether `better` is predicted to beat `last` by more than one paired standard error.
    pub(super) fn beats(&self, better: usize, last: usize, objective: Objective) -> bool {
        let gain = self.mean(better, objective) - self.mean(last, objective);
        gain > 0.0 && gain > self.paired_error(better, last, objective)
    }

    /// What the score of a row might have been.
    pub(super) fn replicates(
        &self,
        row: usize,
        objective: Objective,
    ) -> impl Iterator<Item = f64> + Clone {
        let range = row * self.n_replicates..(row + 1) * self.n_replicates;
        let alignment = &self.alignment.replicates[range.clone()];
        let fidelity = &self.fidelity.replicates[range];
        let (a, f) = match objective {
            Objective::Alignment => (1.0, 0.0),
            Objective::Fidelity => (0.0, 1.0),
            Objective::Balanced => (0.5, 0.5),
        };
        alignment
            .iter()
            .zip(fidelity)
            .map(move |(alignment, fidelity)| a * f64::from(*alignment) + f * f64::from(*fidelity))
    }
}

/// Measured step counts and every whole number between them, in logarithms.
struct LogGrid {
    knots: Vec<f64>,
    points: Vec<f64>,
}

impl LogGrid {
    /// `steps` must increase strictly from at least 1.
    fn new(steps: &[Steps]) -> Self {
        let log = |steps: Steps| f64::from(steps).ln();
        Self {
            knots: steps.iter().map(|s| log(*s)).collect(),
            points: (steps[0]..=steps[steps.len() - 1]).map(log).collect(),
        }
    }

    fn interpolate(&self, values: &[f64]) -> impl Iterator<Item = f64> {
        let slopes = pchip::slopes(&self.knots, values);
        self.points
            .iter()
            .map(move |at| pchip::evaluate(&self.knots, values, &slopes, *at))
    }
}

impl Column {
    fn push_curve<'c>(
        &mut self,
        grid: &LogGrid,
        n_replicates: usize,
        run: &[(Place, &'c Cell)],
        score: impl Fn(&'c Cell) -> (f64, &'c Vec<f32>),
    ) {
        let first = self.replicates.len();
        let scores: Vec<(f64, &Vec<f32>)> = run.iter().map(|(_, cell)| score(cell)).collect();
        let means: Vec<f64> = scores.iter().map(|(mean, _)| *mean).collect();
        self.means.extend(grid.interpolate(&means));
        self.replicates
            .resize(first + grid.points.len() * n_replicates, 0.0);
        for i in 0..n_replicates {
            let knots: Vec<f64> = scores.iter().map(|(_, r)| f64::from(r[i])).collect();
            for (row, value) in grid.interpolate(&knots).enumerate() {
                self.replicates[first + row * n_replicates + i] = value as f32;
            }
        }
    }
}

/// The sample standard deviation, with n - 1 in the denominator.
pub(super) fn standard_deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}
