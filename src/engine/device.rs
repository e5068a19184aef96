//! Which device runs the work? The only file that knows which accelerators were compiled in.
//!
//! A program with CUDA compiled in starts and serves on a processor where there is none: it looks for CUDA's
//! libraries when the first model asks for a GPU (`scripts/cuda_build.sh` says how).

use std::{any::Any, panic};

use candle_core::Device;

use crate::catalog::DeviceSpec;

/// A device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without the feature that this device needs.
    #[error("device {device} needs a build with `--features cuda`; this build knows cpu")]
    NotCompiled {
        /// The device that was asked for.
        device: DeviceSpec,
    },
    /// A library is missing.
    #[error(
        "device {device} needs NVIDIA's driver and the libraries of CUDA 13, but lib{library}.so is not on this \
         machine, or not where LD_LIBRARY_PATH points"
    )]
    Library {
        /// The device that was asked for.
        device: DeviceSpec,
        /// The first library that was not found, without `lib` and its version.
        library: String,
    },
    /// The driver or a library refused.
    #[error("device {device} cannot be opened: {reason}")]
    Refused {
        /// The device that was asked for.
        device: DeviceSpec,
        /// What it said.
        reason: String,
    },
}

/// Opens the device that `spec` names.
pub fn open(spec: DeviceSpec) -> Result<Device, DeviceError> {
    match spec {
        DeviceSpec::Cpu => Ok(Device::Cpu),
        DeviceSpec::Cuda(_) if cfg!(not(feature = "cuda")) => {
            Err(DeviceError::NotCompiled { device: spec })
        }
        DeviceSpec::Cuda(ordinal) => open_cuda(spec, ordinal),
    }
}

/// cudarc panics where it finds no library, so that only what it says tells which.
fn open_cuda(spec: DeviceSpec, ordinal: usize) -> Result<Device, DeviceError> {
    // The panic becomes an error: whoever reads the log need not see both.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let opened = panic::catch_unwind(|| Device::new_cuda(ordinal));
    panic::set_hook(hook);
    match opened {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(DeviceError::Refused {
            device: spec,
            // What follows is candle's trace of its own calls.
            reason: error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        }),
        Err(panic) => Err(DeviceError::of_panic(spec, &*panic)),
    }
}

impl DeviceError {
    fn of_panic(device: DeviceSpec, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        let reason = text.unwrap_or("no reason was given").to_owned();
        // `Unable to dynamically load the "cuda" shared library - searched for library names: ..`
        let library = reason.strip_prefix("Unable to dynamically load the \"");
        match library.and_then(|rest| rest.split('"').next()) {
            Some(library) => Self::Library {
                device,
                library: library.to_owned(),
            },
            None => Self::Refused { device, reason },
        }
    }
}

/// Threads that arithmetic on the processor is spread over: `RAYON_NUM_THREADS`, or one for each core that this
/// process may use (its affinity and its cgroup's quota count). One more than that, and they take each other's time.
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is rayon's own, which no flag of ours stands for"
)]
pub fn n_threads() -> usize {
    let said = std::env::var("RAYON_NUM_THREADS").ok();
    let said = said.and_then(|said| said.parse().ok().filter(|n| *n > 0));
    said.unwrap_or_else(n_cores)
}

/// Cores that this process may use.
pub fn n_cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert!(open(DeviceSpec::Cpu).unwrap().is_cpu());
    }

    #[test]
    fn a_missing_library_is_named() {
        let said = "Unable to dynamically load the \"cublas\" shared library - searched for library names: [..]";
        let fault = DeviceError::of_panic(DeviceSpec::Cuda(1), &said.to_owned());
        let message = fault.to_string();
        assert!(message.starts_with("device cuda:1 needs"), "{message}");
        assert!(message.contains("libcublas.so is not on"), "{message}");
        let fault = DeviceError::of_panic(DeviceSpec::Cuda(0), &"Missing symbol cuFoo");
        assert_eq!(
            fault.to_string(),
            "device cuda:0 cannot be opened: Missing symbol cuFoo"
        );
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_machine_without_a_gpu_says_so_without_a_panic() {
        if let Err(fault) = open(DeviceSpec::Cuda(0)) {
            let message = fault.to_string();
            assert!(message.starts_with("device cuda:0 "), "{message}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        let message = open(DeviceSpec::Cuda(0)).unwrap_err().to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
