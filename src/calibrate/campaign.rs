//! In which order is a family measured? So that an early stop is worth as much as can be:
//!
//! 1. every plain plan of the grid, with few captions
//! 2. those near the frontier again, with more: scores are unbiased, so plans need not draw equally many
//! 3. what may beat them: models before them, guidance at some noise levels, the best of several, other
//!    samplers; what comes near the frontier again with more captions
//! 4. plans near the frontier that are shortened on their way
//! 5. captions and step counts that none of this rests on, to check predictions with

use anyhow::{Context, Result, ensure};

use super::{
    captions::EvaluationCaption,
    grid::Grid,
    held_out,
    near::{self, Priced},
    price,
    score::Scorer,
    shortened,
    sweep::{Measured, Set, Sweep},
    trial::Trial,
    variants,
};
use crate::{
    catalog::Family,
    planner::{
        CostTable, Plan,
        profile::{Cell, RushCell},
    },
};

/// How many captions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// By every plan.
    pub captions: usize,
    /// By those that may be worth offering; no fewer than by every plan.
    pub refined: usize,
    /// Others, to check predictions with; 0 for no check.
    pub held_out: usize,
}

impl Sizes {
    /// Refuses numbers that make no sense together.
    pub fn checked(self) -> Result<Self> {
        ensure!(
            self.refined >= self.captions,
            "{} captions for plans near the frontier are fewer than {} for every plan; raise --refined-captions or lower \
             --captions",
            self.refined,
            self.captions
        );
        ensure!(
            self.held_out != 1,
            "1 held-out caption tells nothing; 0 leaves the check out, 2 or more do it"
        );
        Ok(self)
    }
}

/// Captions with what turns pictures of them into scores.
#[derive(Debug)]
pub struct Measuring<'a> {
    /// What is drawn.
    pub captions: &'a [EvaluationCaption],
    /// Who scores it.
    pub scorer: Scorer<'a>,
}

/// Everything that a family is measured with.
pub struct Campaign<'a> {
    /// What is measured.
    pub family: &'a Family,
    /// The plain plans.
    pub grid: &'a Grid,
    /// How many captions are drawn.
    pub sizes: Sizes,
    /// How trials are run.
    pub sweep: &'a Sweep<'a>,
    /// What scores rest on.
    pub known: Measuring<'a>,
    /// What predictions are checked with; its captions may be none.
    pub held_out: Measuring<'a>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whole plans.
    pub cells: Vec<Cell>,
    /// Plans that were shortened.
    pub rush: Vec<RushCell>,
    /// Plans on the held-out captions.
    pub held_out: Vec<Cell>,
}

impl Campaign<'_> {
    /// Returns the CMMD of the plan that scores no fidelity.
    pub fn anchor_cmmd(&self, anchor: &Plan) -> Result<f64> {
        let measured = self.draw("anchor", self.sizes.captions, &[anchor.clone().into()])?;
        let measured = measured
            .first()
            .context("time was up before the first plan was measured; allow more minutes")?;
        Ok(self.known.scorer.cmmd(&measured.assessments))
    }

    /// Measures everything that there is time for.
    pub fn run(&self, anchor: &Plan, anchor_cmmd: f64) -> Result<Findings> {
        let costs = CostTable::of(self.family);
        let score = |measured: &[Measured]| -> Vec<Cell> {
            let cells = measured.iter();
            cells
                .map(|trial| self.known.scorer.cell(trial, anchor_cmmd))
                .collect()
        };
        let mut plans = self.grid.plans(self.family, self.family.default_size());
        plans.retain(|plan| plan != anchor);
        plans.insert(0, anchor.clone());
        let plain: Vec<Trial> = plans.into_iter().map(Trial::from).collect();
        let mut cells = score(&self.draw("plans", self.sizes.captions, &plain)?);
        self.refine(&mut cells, &costs, &score)?;

        let more = self.variants(&cells, &costs);
        cells.extend(score(&self.draw("variants", self.sizes.captions, &more)?));
        self.refine(&mut cells, &costs, &score)?;

        Ok(Findings {
            rush: self.shortened(&cells, &costs, &score)?,
            held_out: self.check(&cells, &costs, anchor_cmmd)?,
            cells,
        })
    }

    fn draw(&self, name: &str, n_captions: usize, trials: &[Trial]) -> Result<Vec<Measured>> {
        let set = Set {
            name,
            key: "",
            captions: &self.known.captions[..n_captions],
        };
        self.sweep.run(set, trials)
    }

    /// Measures the cells near the frontier again, with more captions, until none is left that drew few.
    fn refine(
        &self,
        cells: &mut [Cell],
        costs: &CostTable,
        score: &impl Fn(&[Measured]) -> Vec<Cell>,
    ) -> Result<()> {
        loop {
            let near = near::near(&self.priced(cells, costs));
            let coarse = near.iter().filter(|cell| cell.n < self.sizes.refined);
            let trials: Vec<Trial> = coarse.map(|cell| Trial::from(*cell)).collect();
            let measured = self.draw("closer looks", self.sizes.refined, &trials)?;
            if measured.is_empty() {
                return Ok(());
            }
            for fine in score(&measured) {
                if let Some(coarse) = cells.iter_mut().find(|cell| cell.plan == fine.plan) {
                    *coarse = fine;
                }
            }
        }
    }

    /// What differs in one way from a plan on the frontier, and what compares the other samplers.
    fn variants(&self, cells: &[Cell], costs: &CostTable) -> Vec<Trial> {
        let priced = self.priced(cells, costs);
        let frontier = near::frontier(&priced);
        let ranks = self.family.ranks(self.family.default_size());
        let mut plans: Vec<Plan> = frontier
            .iter()
            .flat_map(|cell| variants::around(&cell.plan, self.family, &self.grid.guidance, ranks))
            .collect();
        let undistilled = priced.iter().map(|priced| priced.cell);
        let undistilled = undistilled.filter(|cell| !self.is_distilled(cell));
        let best = undistilled.max_by(|a, b| a.balanced.mean.total_cmp(&b.balanced.mean));
        if let Some(best) = best {
            let samplers = &self.grid.samplers;
            plans.extend(variants::samplers(self.family, samplers, &best.plan));
        }
        plans.into_iter().map(Trial::from).collect()
    }

    /// Measures what shortening costs, each plan beside itself in full on the same captions.
    fn shortened(
        &self,
        cells: &[Cell],
        costs: &CostTable,
        score: &impl Fn(&[Measured]) -> Vec<Cell>,
    ) -> Result<Vec<RushCell>> {
        let rushed = self.rushed(cells, costs);
        let mut in_full: Vec<Trial> = rushed.iter().map(|t| t.plan.clone().into()).collect();
        in_full.dedup();
        let beside = score(&self.draw("plans in full", self.sizes.captions, &in_full)?);
        let measured = self.draw("shortened plans", self.sizes.captions, &rushed)?;
        let of = |cells: &[Cell], plan: &Plan| cells.iter().position(|cell| cell.plan == *plan);
        let scored = measured.iter().zip(score(&measured));
        let told = scored.filter_map(|(measured, cell)| {
            let (few, many) = (of(&beside, &cell.plan)?, of(cells, &cell.plan)?);
            Some(RushCell {
                rush: measured.trial.rush?,
                cell: shortened::restated(cell, &beside[few], &cells[many]),
            })
        });
        Ok(told.collect())
    }

    /// Plans near the frontier, in a hurry. Several candidates are one picture only when most is behind them.
    fn rushed(&self, cells: &[Cell], costs: &CostTable) -> Vec<Trial> {
        let near = near::near(&self.priced(cells, costs)).into_iter();
        let single = near.filter(|cell| cell.plan.candidates.is_none());
        single
            .flat_map(|cell| variants::rushed(&cell.plan))
            .collect()
    }

    fn check(&self, cells: &[Cell], costs: &CostTable, anchor_cmmd: f64) -> Result<Vec<Cell>> {
        if self.held_out.captions.is_empty() {
            return Ok(Vec::new());
        }
        let trials = held_out::trials(cells, &near::near(&self.priced(cells, costs)));
        let set = Set {
            name: "held-out captions",
            key: &format!(" last {} captions", self.held_out.captions.len()),
            captions: self.held_out.captions,
        };
        let measured = self.sweep.run(set, &trials)?;
        let scorer = &self.held_out.scorer;
        Ok(measured
            .iter()
            .map(|trial| scorer.cell(trial, anchor_cmmd))
            .collect())
    }

    fn priced<'c>(&self, cells: &'c [Cell], costs: &CostTable) -> Vec<Priced<'c>> {
        let priced = |cell: &'c Cell| {
            let cost = price::of_picture(self.family, costs, &cell.plan)?.0;
            Some(Priced { cost, cell })
        };
        cells.iter().filter_map(priced).collect()
    }

    fn is_distilled(&self, cell: &Cell) -> bool {
        let card = self.family.model(&cell.plan.model.0);
        card.is_some_and(|card| card.distilled)
    }
}
