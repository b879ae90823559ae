//! A part of the working disk as a block device, however it is put together.

use std::path::Path;

use super::{DiskError, LoopDevice, MappedDevice};

/// A block device; dropping it detaches it.
#[derive(Debug)]
#[must_use = "the device goes when this is dropped"]
pub enum Device {
    /// One piece of the disk.
    Loop(LoopDevice),
    /// Several pieces.
    Mapped(MappedDevice),
}

impl Device {
    /// The block device's node.
    pub fn path(&self) -> &Path {
        match self {
            Self::Loop(device) => device.path(),
            Self::Mapped(device) => device.path(),
        }
    }

    /// The smallest extent that a discard really frees, in bytes; `None` where it frees none.
    pub fn discard_granularity(&self) -> Option<u64> {
        match self {
            Self::Loop(device) => device.discard_granularity(),
            Self::Mapped(device) => device.discard_granularity(),
        }
    }

    /// Writes back what was written to the device and detaches it.
    ///
    /// # Errors
    ///
    /// [`DiskError`]: a write failed, or somebody keeps the device open.
    pub fn detach(self) -> Result<(), DiskError> {
        let below = match self {
            Self::Loop(device) => device,
            Self::Mapped(device) => device
                .remove()
                .map_err(|source| DiskError::Mapper { source })?,
        };
        below.detach()
    }
}
