//! The disk after the last write: checked, flushed, attached to nothing.
//!
//! Only a [`SealedDisk`] is turned into an output. There are two ways to one: a working disk whose
//! file systems passed their checks, or a source that nobody has touched.

use std::fs::File;
use std::io;

use byoi_agent::cmd::{Cmd, CmdError};

use crate::disk::{Access, AttachedDisk, DiskError};
use crate::image::RawDisk;
use crate::layout::{Layout, LinuxFs, Part, PartId};
use crate::lvm::Backing;

/// Why a disk cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A partition cannot be attached or detached, or something is attached still.
    #[error("sealing the disk")]
    Disk {
        /// The reason.
        source: DiskError,
    },
    /// A file system is damaged, or its checker is missing.
    #[error("checking the file system on {part}")]
    Check {
        /// Which part of the disk.
        part: PartId,
        /// What the checker said.
        source: CmdError,
    },
    /// The disk could not be written back.
    #[error("writing the working disk back")]
    Flush {
        /// What the system said.
        source: io::Error,
    },
}

/// A disk that does not change any more.
#[derive(Debug)]
pub struct SealedDisk {
    file: File,
    size: u64,
}

impl SealedDisk {
    /// A source as it is. Whoever writes to it from elsewhere breaks the seal.
    pub fn unchanged(source: RawDisk) -> Self {
        let (file, size) = source.into_parts();
        Self { file, size }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl AttachedDisk {
    /// Checks every Linux file system (ext: also corrects what `e2fsck -p` corrects), flushes and
    /// detaches the disk.
    ///
    /// # Errors
    ///
    /// [`SealError`]: a file system is damaged, a checker is missing, or a write failed late.
    pub fn seal(self, layout: &Layout) -> Result<SealedDisk, SealError> {
        for part in layout.parts() {
            if let (Some(fs), Some(backing)) = (part.content().kind.linux_fs(), part.backing()) {
                check(&self, part, &backing, fs)?;
            }
        }
        self.file()
            .sync_all()
            .map_err(|source| SealError::Flush { source })?;
        let (file, size) = self.detach().map_err(|source| SealError::Disk { source })?;
        Ok(SealedDisk { file, size })
    }
}

fn check(
    disk: &AttachedDisk,
    part: Part<'_>,
    backing: &Backing,
    fs: LinuxFs,
) -> Result<(), SealError> {
    let (access, checker) = match fs {
        // 1 means that errors were corrected.
        LinuxFs::Ext => (
            Access::ReadWrite,
            Cmd::new("e2fsck").args(["-f", "-p"]).success_codes(&[1]),
        ),
        LinuxFs::Xfs => (Access::ReadOnly, Cmd::new("xfs_repair").arg("-n")),
        LinuxFs::Btrfs => (
            Access::ReadOnly,
            Cmd::new("btrfs").args(["check", "--readonly"]),
        ),
    };
    let device = disk
        .attach_backing(backing, access)
        .map_err(|source| SealError::Disk { source })?;
    let result = checker.arg(device.path()).run();
    device
        .detach()
        .map_err(|source| SealError::Disk { source })?;
    result.map_err(|source| SealError::Check {
        part: part.id(),
        source,
    })?;
    Ok(())
}
