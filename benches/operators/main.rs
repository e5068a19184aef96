//! How long does each operation take at the shapes of the default family, at every level of
//! instructions, on one thread?

use std::time::Duration;

use criterion::Criterion;

mod attention;
mod conv;
mod linear;
mod norm;
mod places;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .nresamples(2_000)
        .warm_up_time(Duration::from_millis(20))
        .measurement_time(Duration::from_millis(60))
        .configure_from_args();
    conv::bench(&mut criterion);
    linear::bench(&mut criterion);
    norm::bench(&mut criterion);
    attention::bench(&mut criterion);
    criterion.final_summary();
}
