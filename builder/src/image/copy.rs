//! Copying a disk without its holes and without its zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use byoi_agent::{failpoint, interrupt};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::progress::Task;
use crate::units::byte_len;

/// What is read at a time, in bytes.
const CHUNK: usize = 1024 * 1024;
/// A block of zeros of this size, aligned to it, becomes a hole.
const BLOCK: usize = 64 * 1024;

/// The extents of a file that may hold data, as byte offsets `(start, end)` in ascending order.
///
/// A block device or a file system that knows no holes is one extent.
#[derive(Debug)]
pub(super) struct Extents<'a> {
    file: &'a File,
    size: u64,
    position: u64,
}

impl<'a> Extents<'a> {
    pub(super) fn of(file: &'a File, size: u64) -> Self {
        Self {
            file,
            size,
            position: 0,
        }
    }

    fn find(&mut self) -> io::Result<Option<(u64, u64)>> {
        if self.position >= self.size {
            return Ok(None);
        }
        let start = match rustix::fs::seek(self.file, SeekFrom::Data(self.position)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.position,
            Err(error) => return Err(error.into()),
        };
        let end = match rustix::fs::seek(self.file, SeekFrom::Hole(start)) {
            Ok(end) => end,
            // NXIO: the file has become shorter; reading will say so.
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => self.size,
            Err(error) => return Err(error.into()),
        };
        // A file that grows meanwhile ends where it did, and one that moves ends the walk.
        let (start, end) = (start.min(self.size), end.min(self.size));
        self.position = end;
        Ok((start < end).then_some((start, end)))
    }
}

impl Iterator for Extents<'_> {
    type Item = io::Result<(u64, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.find().transpose();
        if !matches!(found, Some(Ok(_))) {
            self.position = self.size;
        }
        found
    }
}

/// Copies the first `size` bytes of `from` to the new file `to`, which gets that size; what is zero
/// is not written.
///
/// # Errors
///
/// A read or write failed, or a signal arrived ([`interrupt::Interrupted`] is the inner error).
pub(super) fn copy_sparse(from: &File, to: &File, size: u64, task: &mut Task) -> io::Result<()> {
    to.set_len(size)?;
    let mut buffer = vec![0; CHUNK];
    for extent in Extents::of(from, size) {
        let (start, end) = extent?;
        let mut position = start;
        while position < end {
            interrupt::check()?;
            // Chunks end at multiples of their size, so that blocks are aligned.
            let chunk = byte_len(CHUNK);
            let stop = end.min((position / chunk + 1).saturating_mul(chunk));
            let len = usize::try_from(stop - position).map_err(io::Error::other)?;
            from.read_exact_at(&mut buffer[..len], position)?;
            write_data(to, &buffer[..len], position)?;
            position = stop;
            task.advance_to(position);
        }
    }
    task.advance_to(size);
    Ok(())
}

/// Writes the blocks of `bytes`, which begin at `position`, that are not all zero.
fn write_data(to: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut position = position;
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = byte_len(BLOCK);
        let to_boundary = usize::try_from(size - position % size).map_err(io::Error::other)?;
        let (block, tail) = rest.split_at(to_boundary.min(rest.len()));
        if block != &ZEROS[..block.len()] {
            failpoint::reach("work-write")?;
            to.write_all_at(block, position)?;
        }
        position += byte_len(block.len());
        rest = tail;
    }
    Ok(())
}
