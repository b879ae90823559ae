//! Copying a disk without its holes and without its zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use byoi_agent::{failpoint, interrupt};
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::progress::Task;
use crate::sparsify::is_zero;
use crate::units::byte_len;

/// What is read at a time, in bytes.
pub(super) const CHUNK: usize = 1024 * 1024;
/// A block of zeros of this size, aligned to it, becomes a hole.
const BLOCK: usize = 64 * 1024;

/// The extents of a file that may hold data, as byte offsets `(start, end)` in ascending order.
///
/// A block device or a file system that knows no holes is one extent.
#[derive(Debug)]
pub(crate) struct Extents<'a> {
    file: &'a File,
    end: u64,
    position: u64,
}

impl<'a> Extents<'a> {
    /// The extents between two offsets.
    pub(crate) fn between(file: &'a File, start: u64, end: u64) -> Self {
        Self {
            file,
            end,
            position: start,
        }
    }

    fn find(&mut self) -> io::Result<Option<(u64, u64)>> {
        if self.position >= self.end {
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
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => self.end,
            Err(error) => return Err(error.into()),
        };
        // A file that grows meanwhile ends where it did, and one that moves ends the walk.
        let (start, end) = (start.min(self.end), end.min(self.end));
        self.position = end;
        Ok((start < end).then_some((start, end)))
    }
}

impl Iterator for Extents<'_> {
    type Item = io::Result<(u64, u64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.find().transpose();
        if !matches!(found, Some(Ok(_))) {
            self.position = self.end;
        }
        found
    }
}

/// Whether a working disk has something in it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// It is one hole: zeros need no writing.
    Nothing,
    /// A backing file's content: zeros replace it.
    Data,
}

/// A raw disk that is being filled; what is zero becomes a hole.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    to: &'a File,
    below: Below,
    task: &'a mut Task,
    buffer: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// Fills `to`, which has its size already.
    pub(super) fn new(to: &'a File, below: Below, task: &'a mut Task) -> Self {
        Self {
            to,
            below,
            task,
            buffer: vec![0; CHUNK],
        }
    }

    /// Copies `len` bytes of `from`, from offset `at` on, to `position`.
    ///
    /// # Errors
    ///
    /// A read or write failed, or a signal arrived ([`interrupt::Interrupted`] is the inner error).
    pub(super) fn copy(&mut self, from: &File, at: u64, position: u64, len: u64) -> io::Result<()> {
        let mut done = at;
        for extent in Extents::between(from, at, at + len) {
            let (start, end) = extent?;
            self.zeros(position + (done - at), start - done)?;
            self.copy_data(from, start, position + (start - at), end - start)?;
            done = end;
        }
        self.zeros(position + (done - at), at + len - done)
    }

    fn copy_data(&mut self, from: &File, at: u64, position: u64, len: u64) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut done = 0;
        while done < len {
            interrupt::check()?;
            // Chunks end at multiples of their size, so that blocks are aligned.
            let chunk = byte_len(CHUNK);
            let to_boundary = chunk - (position + done) % chunk;
            let size = usize::try_from(to_boundary.min(len - done)).map_err(io::Error::other)?;
            from.read_exact_at(&mut buffer[..size], at + done)?;
            self.put(position + done, &buffer[..size])?;
            done += byte_len(size);
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Writes bytes to `position`, without the blocks that are all zero.
    ///
    /// # Errors
    ///
    /// A write failed.
    pub(super) fn put(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut position = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = byte_len(BLOCK);
            let to_boundary = usize::try_from(size - position % size).map_err(io::Error::other)?;
            let (block, tail) = rest.split_at(to_boundary.min(rest.len()));
            if is_zero(block) {
                self.zeros(position, byte_len(block.len()))?;
            } else {
                failpoint::reach("work-write")?;
                self.to.write_all_at(block, position)?;
            }
            position += byte_len(block.len());
            rest = tail;
        }
        self.task.advance(byte_len(bytes.len()));
        Ok(())
    }

    /// Makes `len` bytes from `position` on a hole.
    ///
    /// # Errors
    ///
    /// The file system makes none.
    pub(super) fn zeros(&mut self, position: u64, len: u64) -> io::Result<()> {
        if len > 0 && self.below == Below::Data {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(self.to, flags, position, len)?;
        }
        Ok(())
    }
}
