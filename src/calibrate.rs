//! What does each plan cost here, and what is it worth?
//!
//! [`quality`] draws the same captions with every plan of the [`grid`], lets the evaluator look at
//! the pictures, and writes scores with bootstrap errors: the profile that the planner reads.
//!
//! [`self_reference`] does without an evaluator: it compares with the family's own dearest plan.
//!
//! - [`campaign`], [`trial`], `variants`, `near`, `shortened`, `held_out`: what is measured, and in which order
//! - [`captions`], [`prompts`], [`mod@reference`]: what is drawn, and what real pictures look like
//! - [`studio`], [`sweep`], [`store`]: how thousands of pictures are made and judged, and resumed
//! - [`score`], [`bootstrap`]: what that says about a plan, and how surely
//! - [`literature`]: what was printed about larger models, for display
//! - [`findings`]: what the measurements say together, in numbers
//! - [`mod@file`], [`report`], [`sheet`]: what people and the planner get to see

pub mod bootstrap;
pub mod campaign;
pub mod captions;
mod date;
pub mod file;
pub mod findings;
pub mod grid;
mod held_out;
pub mod literature;
mod near;
pub mod precision;
mod price;
pub mod prompts;
pub mod quality;
pub mod reference;
pub mod report;
pub mod score;
pub mod self_reference;
pub mod sheet;
mod shortened;
pub mod store;
pub mod studio;
pub mod sweep;
pub mod trial;
mod variants;
