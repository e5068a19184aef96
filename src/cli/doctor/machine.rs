//! Is the machine fit for it? Instructions, threads, memory, open files.

use std::{fs, path::Path};

use super::check::Check;
use crate::{
    catalog::{Catalog, Dtype, Family},
    engine::{
        device,
        ops::native::{Bf16, Level},
    },
    planner::cost::{Grid, text, unet, vae},
};

/// Bytes of a weight in f32, and in bf16.
const F32_BYTES: u64 = 4;
const BF16_BYTES: u64 = 2;
/// Files that a server holds open besides its connections.
const OTHER_FILES: u64 = 64;

/// Which kernels will run.
pub(super) fn processor() -> Check {
    let mut check = judge_processor(&Level::best().to_string(), std::env::consts::ARCH);
    if Bf16::detect().is_some() {
        check.found += ", bf16";
    }
    check
}

fn judge_processor(level: &str, arch: &str) -> Check {
    match (level, arch) {
        ("portable", "x86_64") => Check::warn(
            "processor",
            "x86_64 without AVX2: portable kernels",
            "AVX2 and FMA, or AVX-512, make the same pictures faster; a virtual machine may hide them (CPU type `host`)",
        ),
        _ => Check::ok("processor", format!("{arch}, {level} kernels")),
    }
}

/// Whether arithmetic gets the cores there are.
pub(super) fn threads() -> Check {
    judge_threads(device::n_threads(), device::n_cores())
}

fn judge_threads(threads: usize, cores: usize) -> Check {
    let found = format!("{threads} threads on {cores} cores");
    if threads > cores {
        let remedy = "threads that share a core make predictions uncertain; set RAYON_NUM_THREADS to the cores or less";
        Check::warn("threads", found, remedy)
    } else {
        Check::ok("threads", found)
    }
}

/// Whether the weights fit.
pub(super) fn memory(catalog: &Catalog) -> Check {
    let weights = catalog.families.iter().map(weights).sum();
    judge_memory(weights, available())
}

/// Bytes of a family's weights once they are loaded.
fn weights(family: &Family) -> u64 {
    let latents = Grid::of_latents(family.default_size(), family.vae.downscale());
    let n_tokens = family.text_encoder.max_position_embeddings;
    let unets = family.models.iter();
    let bytes = |dtype: Dtype| match dtype {
        Dtype::F32 | Dtype::Auto => F32_BYTES,
        Dtype::Bf16 => BF16_BYTES,
    };
    let unets: u64 = unets
        .map(|card| bytes(card.dtype) * unet::cost(&card.unet, latents, n_tokens).parameters)
        .sum();
    let decoder = vae::decoder_cost(&family.vae, latents).parameters;
    unets + F32_BYTES * (decoder + text::cost(&family.text_encoder).parameters)
}

fn judge_memory(weights: u64, available: Option<u64>) -> Check {
    let needs = format!("weights of {}", mebibytes(weights));
    let Some(available) = available else {
        return Check::ok("memory", needs);
    };
    let found = format!("{needs}, {} available", mebibytes(available));
    let remedy = "host fewer or smaller models, or give it more memory; a step's tensors and packed weights come on top";
    match weights.saturating_mul(2) > available {
        _ if weights > available => Check::fail("memory", found, remedy),
        true => Check::warn("memory", found, remedy),
        false => Check::ok("memory", found),
    }
}

/// Memory that can still be had: the machine's, or less where a container has a limit.
fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| meminfo(&text));
    let limit = number(Path::new("/sys/fs/cgroup/memory.max"));
    let used = number(Path::new("/sys/fs/cgroup/memory.current")).unwrap_or(0);
    let container = limit.map(|limit| limit.saturating_sub(used));
    machine.into_iter().chain(container).min()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kibibytes)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Whether every connection can have its file descriptor.
pub(super) fn open_files(max_connections: usize) -> Check {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    judge_open_files(open_files_of(&limits), max_connections as u64)
}

/// The soft limit; none where there is none or it is not told.
fn open_files_of(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn judge_open_files(limit: Option<u64>, max_connections: u64) -> Check {
    let Some(limit) = limit else {
        return Check::ok("open files", "no limit is known");
    };
    let needed = max_connections + OTHER_FILES;
    let found = format!("{limit} allowed, {needed} for {max_connections} connections");
    if limit < needed {
        let remedy = format!(
            "`ulimit -n {needed}` (systemd: LimitNOFILE={needed}), or a lower --max-connections"
        );
        Check::warn("open files", found, remedy)
    } else {
        Check::ok("open files", found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Level as Bad;

    #[test]
    fn a_processor_that_could_do_better_is_a_warning() {
        assert_eq!(judge_processor("avx512", "x86_64").level, Bad::Ok);
        assert_eq!(judge_processor("portable", "aarch64").level, Bad::Ok);
        assert_eq!(judge_processor("portable", "x86_64").level, Bad::Warn);
    }

    #[test]
    fn more_threads_than_cores_are_a_warning() {
        assert_eq!(judge_threads(2, 2).level, Bad::Ok);
        assert_eq!(judge_threads(1, 2).level, Bad::Ok);
        assert_eq!(judge_threads(4, 2).level, Bad::Warn);
    }

    #[test]
    fn weights_that_do_not_fit_fail_and_tight_ones_warn() {
        for (available, level) in [
            (None, Bad::Ok),
            (Some(300), Bad::Ok),
            (Some(150), Bad::Warn),
            (Some(99), Bad::Fail),
        ] {
            assert_eq!(judge_memory(100, available).level, level, "{available:?}");
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let text = "MemTotal:  8 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(meminfo(text), Some(2 << 20));
        assert_eq!(meminfo("MemTotal: 8 kB"), None);
        let limits =
            "Max processes   1  2  processes\nMax open files            1024   4096   files\n";
        assert_eq!(open_files_of(limits), Some(1024));
        assert_eq!(
            open_files_of("Max open files  unlimited  unlimited  files"),
            None
        );
    }

    #[test]
    fn few_open_files_are_a_warning_with_the_number_that_would_do() {
        let check = judge_open_files(Some(1024), 1024);
        assert_eq!(check.level, Bad::Warn);
        assert!(check.remedy.unwrap().contains("ulimit -n 1088"));
        assert_eq!(judge_open_files(Some(4096), 1024).level, Bad::Ok);
        assert_eq!(judge_open_files(None, 1024).level, Bad::Ok);
    }
}
