//! Does a calibration measure what it says, from captions to a profile the planner reads?

mod quality;
mod self_reference;

mod toy;
