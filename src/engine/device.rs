//! Which device runs the work? The only file that knows which accelerators were compiled in.

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
    /// The driver refused.
    #[error("device {device} cannot be opened: {source}")]
    Unavailable {
        /// The device that was asked for.
        device: DeviceSpec,
        /// What the driver said.
        source: candle_core::Error,
    },
}

/// Opens the device that `spec` names.
pub fn open(spec: DeviceSpec) -> Result<Device, DeviceError> {
    match spec {
        DeviceSpec::Cpu => Ok(Device::Cpu),
        DeviceSpec::Cuda(_) if cfg!(not(feature = "cuda")) => {
            Err(DeviceError::NotCompiled { device: spec })
        }
        DeviceSpec::Cuda(ordinal) => {
            Device::new_cuda(ordinal).map_err(|source| DeviceError::Unavailable {
                device: spec,
                source,
            })
        }
    }
}

/// Threads that arithmetic on the processor is spread over: `RAYON_NUM_THREADS`, or one for each core.
pub fn n_threads() -> usize {
    candle_core::utils::get_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert!(open(DeviceSpec::Cpu).unwrap().is_cpu());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        let message = open(DeviceSpec::Cuda(0)).unwrap_err().to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
