//! What if a kernel reads or writes a number too far? In tests it dies, by the processor.
//!
//! The same numbers as in the product's `Lines`, but between two pages that nobody may touch: the last
//! number directly in front of one, or the first directly behind the other. They start where their
//! count puts them, so that every load and store is tested unaligned as well. What nobody has written
//! yet is not a number, so that a kernel that reads it is found out.

use std::{
    cell::Cell,
    fmt,
    ops::{Deref, DerefMut},
};

use region::{Allocation, Protection};

/// The end of a buffer that lies at an unreadable page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Edge {
    /// Nothing can be read in front of the first number.
    First,
    /// Nothing can be read behind the last number.
    Last,
}

thread_local! {
    static EDGE: Cell<Edge> = const { Cell::new(Edge::Last) };
}

/// Chooses the edge of the buffers that this thread makes or takes from an arena from now on.
pub(in super::super) fn guard(edge: Edge) {
    EDGE.set(edge);
}

/// Numbers beside an unreadable page.
#[derive(Default)]
pub(in super::super) struct Lines {
    pages: Option<Pages>,
    /// From the first readable byte.
    start: usize,
    length: usize,
}

impl Lines {
    /// Zeros.
    pub(in super::super) fn zeros(length: usize) -> Self {
        let mut lines = Self::default();
        lines.resize(length);
        lines.fill(0.0);
        lines
    }

    /// Room for numbers, in place of what is there.
    pub(super) fn resize(&mut self, length: usize) {
        let bytes = size_of::<f32>() * length;
        let pages = self.pages.take().filter(|pages| pages.readable >= bytes);
        let pages = pages.unwrap_or_else(|| Pages::new(bytes));
        self.start = match EDGE.get() {
            Edge::First => 0,
            Edge::Last => pages.readable - bytes,
        };
        self.length = length;
        self.pages = Some(pages);
        self.fill(f32::NAN);
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        self.pages.as_ref().map_or(0, |pages| pages.readable)
    }
}

impl Deref for Lines {
    type Target = [f32];

    #[expect(unsafe_code, reason = "numbers in pages of the operating system")]
    fn deref(&self) -> &[f32] {
        let Some(pages) = &self.pages else {
            return &[];
        };
        // SAFETY: `resize` found room for them; the start is a multiple of four bytes from a page's;
        // the system's zeros, or what was written over them, are numbers.
        unsafe {
            let first = pages.first().byte_add(self.start);
            std::slice::from_raw_parts(first, self.length)
        }
    }
}

impl DerefMut for Lines {
    #[expect(unsafe_code, reason = "numbers in pages of the operating system")]
    fn deref_mut(&mut self) -> &mut [f32] {
        let Some(pages) = &mut self.pages else {
            return &mut [];
        };
        // SAFETY: as above; the only owner of the pages is borrowed.
        unsafe {
            let first = pages.first().cast_mut().byte_add(self.start);
            std::slice::from_raw_parts_mut(first, self.length)
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} guarded numbers", self.length)
    }
}

/// Pages that can be read and written, between two that cannot.
struct Pages {
    allocation: Allocation,
    /// Bytes between the two.
    readable: usize,
}

#[expect(unsafe_code, reason = "pages of the operating system have no owner")]
// SAFETY: memory that every thread of the process sees alike; borrows of it are those of its owner.
unsafe impl Send for Pages {}

#[expect(unsafe_code, reason = "pages of the operating system have no owner")]
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    #[expect(unsafe_code, reason = "takes rights to its own pages away")]
    fn new(bytes: usize) -> Self {
        let page = region::page::size();
        let readable = bytes.max(1).next_multiple_of(page);
        let allocation = region::alloc(readable + 2 * page, Protection::READ_WRITE)
            .expect("the system has memory for a test");
        let range = allocation.as_ptr_range::<u8>();
        let last = range.end.wrapping_sub(page);
        for guard in [range.start, last] {
            // SAFETY: the first and the last page of this allocation, which hold nothing.
            unsafe { region::protect(guard, page, Protection::NONE) }
                .expect("a process may protect its own pages");
        }
        Self {
            allocation,
            readable,
        }
    }

    /// The first number that can be read.
    fn first(&self) -> *const f32 {
        self.allocation
            .as_ptr::<f32>()
            .wrapping_byte_add(region::page::size())
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// Tells the test's own process, started again, which number to read.
    const READ: &str = "GOLDILOCKS_TEST_READS_NUMBER";

    const LENGTH: usize = 1000;

    #[expect(unsafe_code, reason = "does what must not be done")]
    fn read(lines: &Lines, number: isize) -> f32 {
        // SAFETY: none, for some numbers: the process is to die of it.
        unsafe { lines.as_ptr().wrapping_offset(number).read_volatile() }
    }

    /// Whether a process survives reading a number of a buffer.
    fn survives(edge: Edge, number: isize) -> bool {
        let name = "engine::ops::native::memory::guarded::tests::\
                    a_number_in_front_or_behind_cannot_be_read";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name])
            .env(READ, format!("{edge:?} {number}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("running 1 test"), "{said}");
        output.status.success()
    }

    #[test]
    fn a_number_in_front_or_behind_cannot_be_read() {
        if let Some(what) = env::var_os(READ) {
            let (edge, number) = what.to_str().unwrap().split_once(' ').unwrap();
            guard(if edge == "First" {
                Edge::First
            } else {
                Edge::Last
            });
            let lines = Lines::zeros(LENGTH);
            assert_eq!(read(&lines, number.parse().unwrap()), 0.0);
            return;
        }
        let (last, behind) = (LENGTH as isize - 1, LENGTH as isize);
        assert!(survives(Edge::First, 0) && !survives(Edge::First, -1));
        assert!(survives(Edge::Last, last) && !survives(Edge::Last, behind));
    }

    #[test]
    fn numbers_keep_to_their_edge_when_their_count_changes() {
        for edge in [Edge::First, Edge::Last] {
            guard(edge);
            let mut lines = Lines::zeros(LENGTH);
            for length in [LENGTH, 17, 0, 9 * LENGTH, 3] {
                lines.resize(length);
                assert_eq!(lines.len(), length);
                assert!(lines.iter().all(|number| number.is_nan()));
                let pages = lines.pages.as_ref().unwrap();
                let range = lines.as_ptr_range();
                let end = pages.first().wrapping_byte_add(pages.readable);
                assert_eq!(
                    range.start == pages.first(),
                    edge == Edge::First || length * 4 == pages.readable
                );
                assert_eq!(
                    range.end == end,
                    edge == Edge::Last || length * 4 == pages.readable
                );
            }
        }
    }
}
