//! Emptying bytes of the disk that nobody uses: unused extents of LVM, and gaps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use byoi_agent::interrupt;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::GuestError;
use super::trim::CHUNK;
use crate::bytes::FirstBytes;
use crate::disk::AttachedDisk;
use crate::image::Extents;
use crate::layout::{Layout, VolumeGroup};
use crate::sparsify::is_zero;
use crate::units::{ByteRange, byte_len};

/// Makes a hole of a range of a file or block device; where there are no holes, writes zeros.
///
/// # Errors
///
/// What the system says, or a signal arrived.
pub(super) fn erase(file: &File, range: ByteRange) -> io::Result<()> {
    interrupt::check()?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, range.start(), range.len()) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, range),
        Err(errno) => Err(errno.into()),
    }
}

/// Overwrites with zeros whatever is something else in a range of a file. What reads as zeros takes
/// no space from the host, nor from the pool of a thin volume, and is left as it is.
///
/// # Errors
///
/// A read or a write failed, or a signal arrived.
pub(super) fn write_zeros(file: &File, range: ByteRange) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let mut chunk = vec![0; CHUNK];
    for extent in Extents::between(file, range.start(), range.end()) {
        let (mut at, end) = extent?;
        while at < end {
            interrupt::check()?;
            let len = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            file.read_exact_at(&mut chunk[..len], at)?;
            if !is_zero(&chunk[..len]) {
                file.write_all_at(&zeros[..len], at)?;
            }
            at += byte_len(len);
        }
    }
    Ok(())
}

/// Empties the extents that no volume of a group uses, which may hold what was deleted with a
/// volume. The groups here are understood as a whole; of others nothing is known to be free.
pub(super) fn free_extents(disk: &AttachedDisk, group: &VolumeGroup) -> Result<(), GuestError> {
    for range in &group.free {
        if range.is_empty() || range.end() > disk.size() {
            continue;
        }
        erase(disk.file(), *range).map_err(|source| GuestError::FreeExtents {
            group: group.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Empties the gaps of the disk; gives them.
pub(super) fn gaps(disk: &AttachedDisk, layout: &Layout) -> Result<Vec<ByteRange>, GuestError> {
    let error = |source| GuestError::Gaps { source };
    let gaps = layout
        .gaps(&mut FirstBytes::of(disk.file(), disk.size()))
        .map_err(error)?;
    for gap in &gaps {
        erase(disk.file(), *gap).map_err(error)?;
    }
    Ok(gaps)
}
