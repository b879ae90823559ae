//! Emptying the free space of the guest's file systems.
//!
//! A discard makes holes in the working disk, which read as zeros. It frees no extent smaller than
//! the granularity of the loop device, so a file system with smaller blocks keeps remains; there,
//! and where no discard is possible, the free space is filled with zeros first.
//!
//! Each file system is mounted anew for this, and once more after it was filled. As long as a mount
//! lasts, a file system that has been written to keeps extents in reserve for the files it expects
//! (ext4's preallocation), and what was freed last may not count as free yet though it was written
//! back (ext4 ends a commit after those who waited for it went on). A discard passes over both:
//! deleted contents, or the zeros, would stay there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use byoi_agent::interrupt;
use nix::errno::Errno;
use nix::sys::statvfs::fstatvfs;
use schemars::JsonSchema;
use serde::Serialize;

use super::GuestError;
use super::mounts::{MountStack, Mountable};
use crate::disk::{Access, AttachedDisk, Device, ext4_checkpoint, fitrim};
use crate::layout::{Part, PartId};
use crate::units::byte_len;

/// What is written at a time, in bytes.
pub(super) const CHUNK: usize = 1024 * 1024;
/// The smallest block of a file system, in bytes.
const SMALLEST: usize = 512;
/// Where a file system is mounted that is mounted alone.
const ALONE: &str = "/";

/// What was done to the free space of one file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trimmed {
    /// The number of the partition; of a logical volume, that of the one that it begins on.
    pub partition: u32,
    /// The logical volume, as `group/volume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_volume: Option<String>,
    /// The bytes that the file system discarded; `None` where it cannot.
    pub discarded: Option<u64>,
    /// Whether the free space was overwritten with zeros.
    pub filled: bool,
}

/// Empties the free space of the file system on a part of the disk, which is not mounted; `None`
/// where there is none that byoi mounts.
pub(super) fn trim(
    disk: &AttachedDisk,
    part: Part<'_>,
    workdir: &Path,
) -> Result<Option<Trimmed>, GuestError> {
    let Some(what) = Mountable::new(part, Access::ReadWrite, None) else {
        return Ok(None);
    };
    let id = part.id();
    let emptied = alone(disk, &what, workdir, |stack| {
        empty(stack, part, disk.file())
    })?;
    let mut discarded = emptied.discarded;
    if emptied.filled {
        // The zeros need not be stored either.
        let zeros = alone(disk, &what, workdir, |stack| discard(stack, &id))?;
        discarded = zeros.max(discarded);
    }
    Ok(Some(Trimmed {
        partition: part.partition(),
        logical_volume: id.logical_volume(),
        discarded,
        filled: emptied.filled,
    }))
}

/// Mounts a file system anew, for as long as `work` takes.
fn alone<T>(
    disk: &AttachedDisk,
    what: &Mountable,
    workdir: &Path,
    work: impl FnOnce(&MountStack) -> Result<T, GuestError>,
) -> Result<T, GuestError> {
    let mut stack = MountStack::new(workdir)?;
    stack.mount(disk, what, ALONE)?;
    let done = work(&stack)?;
    stack.tear_down()?;
    Ok(done)
}

/// What the first of the two mounts did.
struct Emptied {
    discarded: Option<u64>,
    filled: bool,
}

fn empty(stack: &MountStack, part: Part<'_>, disk: &File) -> Result<Emptied, GuestError> {
    let id = part.id();
    let device = stack.device(&id);
    let discarded = discard(stack, &id)?;
    let granularity = device.and_then(Device::discard_granularity);
    let fine = match (part.content().block_size, granularity) {
        (Some(block), Some(granularity)) => u64::from(block) >= granularity,
        _ => false,
    };
    let filled = discarded.is_none() || !fine;
    if filled {
        let error = |source| GuestError::Trim {
            part: id.clone(),
            source,
        };
        let directory = File::from(stack.open(ALONE).map_err(error)?);
        check_space(&id, &directory, disk)?;
        if let Some(device) = device {
            release_reserve(device);
        }
        fill(&directory).map_err(error)?;
    }
    Ok(Emptied { discarded, filled })
}

/// The bytes that the file system discarded; `None` where it cannot.
fn discard(stack: &MountStack, part: &PartId) -> Result<Option<u64>, GuestError> {
    let result = stack.open(ALONE).and_then(|top| fitrim(&File::from(top)));
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(None),
            _ => Err(GuestError::Trim {
                part: part.clone(),
                source: error,
            }),
        },
    }
}

/// Filling turns the holes of the working disk into data for a while. If its own file system were
/// full in the midst of that, the guest would see write errors.
fn check_space(part: &PartId, directory: &File, disk: &File) -> Result<(), GuestError> {
    let free = |file: &File| {
        let stat = fstatvfs(file).map_err(|errno| GuestError::Trim {
            part: part.clone(),
            source: errno.into(),
        })?;
        Ok((
            stat.blocks_free(),
            stat.blocks_available(),
            stat.fragment_size(),
        ))
    };
    let (blocks, _, unit) = free(directory)?;
    let needed = blocks.saturating_mul(unit);
    let (_, blocks, unit) = free(disk)?;
    let available = blocks.saturating_mul(unit);
    if needed > available {
        return Err(GuestError::NoSpace {
            part: part.clone(),
            needed,
            available,
        });
    }
    Ok(())
}

/// Ext4 keeps some blocks for itself that no file gets, until it is told not to. The setting lasts
/// as long as the mount; other file systems have none.
fn release_reserve(device: &Device) {
    // The name of a volume of the device mapper is a link to the kernel's.
    let node = fs::canonicalize(device.path()).unwrap_or_default();
    if let Some(name) = node.file_name() {
        let setting = std::path::Path::new("/sys/fs/ext4")
            .join(name)
            .join("reserved_clusters");
        // Without it a few small extents may stay unfilled; what a discard can free it still does.
        fs::write(setting, "0").ok();
    }
}

/// Writes zeros into a file without a name until the file system is full.
///
/// A file system may promise more room for its own needs than it takes in the end, so it is full
/// only when nothing goes in after all has been written back.
fn fill(directory: &File) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    while fill_once(&mut file)? > 0 {
        file.sync_all()?;
    }
    // The blocks that map the file are in the journal so far. If it went now, they would become
    // free again without ever having been written to. A kernel that cannot do this leaves those
    // few; and without a journal there are none.
    match ext4_checkpoint(directory) {
        Ok(()) => Ok(()),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENODEV | Errno::EINVAL) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Writes zeros until not even a small block goes in; gives the number of bytes written.
fn fill_once(file: &mut File) -> io::Result<u64> {
    let zeros = vec![0; CHUNK];
    let mut len = CHUNK;
    let mut total = 0;
    while len >= SMALLEST {
        interrupt::check()?;
        match file.write(&zeros[..len]) {
            Ok(0) => len /= 2,
            Ok(written) => total += byte_len(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // FAT has files of 4 GiB at most; what is left then was discarded or never used.
                Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => len /= 2,
                _ => return Err(error),
            },
        }
    }
    Ok(total)
}
