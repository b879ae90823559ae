//! The working disk with its partitions within reach of the kernel.
//!
//! A partition becomes a block device as a loop device over a byte range of the working disk, so
//! that neither partition nodes nor the device mapper are needed; only a logical volume in several
//! pieces is put together by the latter. Every loop device clears itself
//! when its last user goes (`LO_FLAGS_AUTOCLEAR`): after an error, a panic or SIGKILL none is left.
//!
//! A loop device keeps the disk alive, and the disk is only given back, to be sealed, when
//! it was the last to hold it: a disk that something still writes to cannot be sealed.

mod device;
mod device_mapper;
mod ioctl;
mod loop_device;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use byoi_agent::narration::tell;
use loopdev::LoopControl;

pub use device::Device;
pub use device_mapper::{MappedDevice, MapperError};
pub(crate) use ioctl::{ext4_checkpoint, fitrim};
pub use loop_device::{Access, LoopDevice};

use crate::image::{RawDisk, WorkDisk};
use crate::layout::{Layout, LayoutError};
use crate::lvm::Backing;
use crate::units::ByteRange;

/// Why a part of the disk did not become a block device, or does not cease to be one.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// There are no loop devices, or this process may not use them.
    #[error("opening /dev/loop-control (root and the loop module are needed)")]
    Control {
        /// What the system said.
        source: io::Error,
    },
    /// The range is not on the disk.
    #[error("{range} end after the disk's {size} bytes")]
    OutOfBounds {
        /// What was to be attached.
        range: ByteRange,
        /// The size of the disk in bytes.
        size: u64,
    },
    /// No loop device could be had for it.
    #[error("attaching {range} as a loop device")]
    Attach {
        /// What was to be attached.
        range: ByteRange,
        /// What the system said.
        source: io::Error,
    },
    /// The loop device could not be let go.
    #[error("detaching {}", device.display())]
    Detach {
        /// The loop device.
        device: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else holds the loop device open.
    #[error("detaching {}: it is still in use", device.display())]
    Busy {
        /// The loop device.
        device: PathBuf,
    },
    /// The device mapper does not put a volume together, or does not let go of it.
    #[error("putting the volume together")]
    Mapper {
        /// The reason.
        source: MapperError,
    },
    /// A loop device of this process is still there.
    #[error("parts of the working disk are still attached")]
    StillAttached,
}

/// A working disk whose byte ranges can be attached as block devices.
#[derive(Debug)]
pub struct AttachedDisk {
    file: Arc<File>,
    size: u64,
    control: LoopControl,
}

impl AttachedDisk {
    /// Makes the disk attachable.
    ///
    /// # Errors
    ///
    /// [`DiskError::Control`]: there are no loop devices here.
    pub fn new(disk: WorkDisk) -> Result<Self, DiskError> {
        Self::of_parts(disk.into_parts())
    }

    /// Makes a source attachable. It is open for reading only, and so is what is attached of it.
    ///
    /// # Errors
    ///
    /// As [`AttachedDisk::new`].
    pub fn of_source(source: RawDisk) -> Result<Self, DiskError> {
        Self::of_parts(source.into_parts())
    }

    fn of_parts((file, size): (File, u64)) -> Result<Self, DiskError> {
        let control = LoopControl::open().map_err(|source| DiskError::Control { source })?;
        Ok(Self {
            file: Arc::new(file),
            size,
            control,
        })
    }

    /// Reads what is on the disk, also what is in thin volumes where this host has a device mapper.
    ///
    /// # Errors
    ///
    /// [`LayoutError`]: the disk cannot be read.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        let mut layout = Layout::of_file(&self.file, self.size)?;
        layout.look_into_thin_volumes(|backing| {
            // Without a device mapper it stays unknown; who needs the volume is told.
            let device = self.attach_backing(backing, Access::ReadOnly).ok()?;
            let content = File::open(device.path()).ok().and_then(Layout::content_of);
            if let Err(error) = device.detach() {
                tell(error);
            }
            content
        });
        Ok(layout)
    }

    /// Makes `range` a block device.
    ///
    /// # Errors
    ///
    /// [`DiskError`]: the range is not on the disk, or no loop device can be had.
    pub fn attach(&self, range: ByteRange, access: Access) -> Result<LoopDevice, DiskError> {
        if range.is_empty() || range.end() > self.size {
            return Err(DiskError::OutOfBounds {
                range,
                size: self.size,
            });
        }
        LoopDevice::attach(&self.control, &self.file, range, access)
            .map_err(|source| DiskError::Attach { range, source })
    }

    /// Makes a partition or logical volume a block device.
    ///
    /// # Errors
    ///
    /// [`DiskError`]: as [`AttachedDisk::attach`], or there is no device mapper where one is needed.
    pub(crate) fn attach_backing(
        &self,
        backing: &Backing,
        access: Access,
    ) -> Result<Device, DiskError> {
        let tables = match backing {
            Backing::Range(range) => return self.attach(*range, access).map(Device::Loop),
            Backing::Tables(tables) => tables,
        };
        device_mapper::require().map_err(|source| DiskError::Mapper { source })?;
        let hull = MappedDevice::hull(tables).unwrap_or(ByteRange::EMPTY);
        let below = self.attach(hull, access)?;
        MappedDevice::create(tables, below, hull.start(), access)
            .map(Device::Mapped)
            .map_err(|source| DiskError::Mapper { source })
    }

    /// The size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The open file, for what works on bytes and not on partitions.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the disk back as a file and its size in bytes.
    ///
    /// # Errors
    ///
    /// [`DiskError::StillAttached`]: a [`LoopDevice`] is still alive.
    pub(crate) fn detach(self) -> Result<(File, u64), DiskError> {
        let file = Arc::into_inner(self.file).ok_or(DiskError::StillAttached)?;
        Ok((file, self.size))
    }
}

#[cfg(test)]
mod tests;
