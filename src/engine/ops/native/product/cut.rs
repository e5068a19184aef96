//! How is a large product cut up? Into tiles of rows, slabs of depth, and parts for the threads of the team.

use std::ops::Range;

use super::{
    super::{
        number::Number,
        tile::{self, Segments},
    },
    Finish, Product,
};

/// Multiply-accumulates below which calling another thread costs more than it saves.
const MIN_PARALLEL_WORK: usize = 1 << 17;

/// Parts for each thread, so that one that is late leaves its share to the others.
const PARTS_PER_THREAD: usize = 3;

/// Words of a panel's slab: a quarter of a core's own cache of 1 MiB.
const MAX_SLAB: usize = 64 * 1024;

/// Words of a panel that stays whole: half of that cache.
const MAX_WHOLE: usize = 2 * MAX_SLAB;

/// A grid of tiles x panels in about equal parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    tiles: (usize, usize),
    panels: (usize, usize),
}

impl Parts {
    pub(super) fn of<N: Number, P>(
        product: &Product<'_, N, P>,
        n_threads: usize,
        n_tiles: usize,
    ) -> Self {
        let panels = product.panels;
        let n_panels = panels.n_panels();
        let n_rows = product.n_pictures * product.n_positions;
        let work = n_rows * panels.depth() * panels.columns();
        if n_threads == 1 || work < MIN_PARALLEL_WORK {
            return Self::new((n_tiles, 1), (n_panels, 1));
        }
        let wanted = PARTS_PER_THREAD * n_threads;
        let groups = |n_first: usize, n_second: usize| {
            let first = n_first.min(wanted);
            (first, wanted.div_ceil(first).min(n_second))
        };
        // Every group of one side reads the whole other side, so it is the larger side that is cut.
        let (tile_groups, panel_groups) = if panels.words() > product.input.len() {
            let (panel_groups, tile_groups) = groups(n_panels, n_tiles);
            (tile_groups, panel_groups)
        } else {
            groups(n_tiles, n_panels)
        };
        Self::new((n_tiles, tile_groups), (n_panels, panel_groups))
    }

    /// Counts, each with the number of groups it is cut into.
    fn new(tiles: (usize, usize), panels: (usize, usize)) -> Self {
        Self { tiles, panels }
    }

    pub(super) fn len(&self) -> usize {
        self.tiles.1 * self.panels.1
    }

    pub(super) fn part(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let cut = |(n, groups): (usize, usize), group: usize| {
            n * group / groups..n * (group + 1) / groups
        };
        let (tile_group, panel_group) = (index / self.panels.1, index % self.panels.1);
        (cut(self.tiles, tile_group), cut(self.panels, panel_group))
    }
}

/// All rows of a result in tiles, none of them across two pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    n_pictures: usize,
    n_positions: usize,
    rows: usize,
}

impl Tiles {
    pub(super) fn new(rows: usize, n_pictures: usize, n_positions: usize) -> Self {
        Self {
            n_pictures,
            n_positions,
            rows: tile::rows_of_tiles(rows, n_positions),
        }
    }

    fn per_picture(&self) -> usize {
        self.n_positions.div_ceil(self.rows)
    }

    pub(super) fn len(&self) -> usize {
        self.n_pictures * self.per_picture()
    }

    /// The picture of a tile and its positions.
    pub(super) fn get(&self, index: usize) -> (usize, Range<usize>) {
        let (picture, tile) = (index / self.per_picture(), index % self.per_picture());
        let first = tile * self.rows;
        (picture, first..(first + self.rows).min(self.n_positions))
    }
}

/// The depth of a product in slabs, which all tiles of a part go through one after the other: so a
/// panel that is larger than a core's own cache comes from there all the same, for all tiles but the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slabs<'a> {
    segments: Segments<'a>,
    /// Slabs of each segment, or none if the depth stays whole.
    per_segment: Option<usize>,
}

impl<'a> Slabs<'a> {
    pub(super) fn of<N: Number, P>(product: &Product<'a, N, P>, n_tiles: usize) -> Self {
        let (segments, panels) = (product.segments, product.panels);
        let is_large = panels.depth() * panels.width() > MAX_WHOLE;
        // Activations want whole sums.
        let cut = is_large && n_tiles > 1 && product.finish == Finish::None;
        Self {
            segments,
            per_segment: cut.then(|| (segments.length * panels.width()).div_ceil(MAX_SLAB)),
        }
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        let n_segments = self.segments.starts.len();
        self.per_segment.map_or(1, |slabs| n_segments * slabs)
    }

    #[inline(always)]
    pub(super) fn get(self, index: usize) -> Slab<'a> {
        let Segments { starts, length } = self.segments;
        let Some(slabs) = self.per_segment else {
            return Slab {
                segments: self.segments,
                shift: 0,
                first: 0,
                is_last: true,
            };
        };
        let (segment, slab) = (index / slabs, index % slabs);
        let (shift, end) = (length * slab / slabs, length * (slab + 1) / slabs);
        Slab {
            segments: Segments {
                starts: &starts[segment..=segment],
                length: end - shift,
            },
            shift,
            first: segment * length + shift,
            is_last: index + 1 == self.len(),
        }
    }
}

/// Some rows of every panel, and the words of a left side that meet them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slab<'a> {
    pub(super) segments: Segments<'a>,
    /// Where its words start in each segment.
    pub(super) shift: usize,
    /// First row of the panels.
    pub(super) first: usize,
    pub(super) is_last: bool,
}

impl Slab<'_> {
    /// Rows of the panels.
    pub(super) fn depth(&self) -> usize {
        self.segments.starts.len() * self.segments.length
    }
}
