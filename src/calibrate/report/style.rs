//! What do the page and its drawings look like, by day, by night, on a telephone and on paper?

/// Colours of drawings; more models begin again.
pub(super) const N_COLORS: usize = 8;

/// Of drawings, on the page and in files of their own.
pub(super) const PLOT: &str = include_str!("plot.css");

/// Of the page around them.
pub(super) const PAGE: &str = include_str!("page.css");
