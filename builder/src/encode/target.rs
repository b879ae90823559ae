//! What an image is written to.

#![expect(unsafe_code, reason = "no crate offers sync_file_range(2)")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::libc::{SYNC_FILE_RANGE_WRITE, sync_file_range};

/// A file that an image is written to.
pub trait Target: FileExt {
    /// Lets the kernel begin to bring `length` bytes from `offset` on to the disk, so that less is
    /// left to be waited for at the end. An advice only.
    fn write_back(&self, offset: u64, length: usize);
}

impl Target for File {
    fn write_back(&self, offset: u64, length: usize) {
        let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
            return;
        };
        // SAFETY: takes no pointers; the descriptor is open for the duration of the call. Where
        // the file system cannot do it, nothing happens; a failure to write is told by fsync(2).
        unsafe { sync_file_range(self.as_raw_fd(), offset, length, SYNC_FILE_RANGE_WRITE) };
    }
}
