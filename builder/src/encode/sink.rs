//! The image file while it grows: what is put at its end is gathered and written in large pieces.

use std::fmt;
use std::os::unix::fs::FileExt;

use byoi_agent::failpoint;

use super::WriteError;
use crate::units::byte_len;

/// Bytes of one write. Whole pages of the file, if it began at one.
const PIECE: usize = 4 << 20;

/// Bytes that are kept back: gaps this close to the end are often filled.
const KEPT: usize = 1 << 20;

/// A file that is mostly appended to.
pub struct Sink<'a> {
    file: &'a dyn FileExt,
    /// Where `tail` goes.
    start: u64,
    /// The end of the file, not written yet.
    tail: Vec<u8>,
}

impl<'a> Sink<'a> {
    /// Takes an empty file.
    pub fn new(file: &'a dyn FileExt) -> Self {
        Self {
            file,
            start: 0,
            tail: Vec::with_capacity(PIECE + 2 * KEPT),
        }
    }

    /// Where the file ends, in bytes.
    pub fn end(&self) -> u64 {
        self.start + byte_len(self.tail.len())
    }

    /// Puts `bytes` at the end.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`], perhaps of bytes that were put earlier.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() < PIECE + KEPT {
            return Ok(());
        }
        self.write_at(self.start, &self.tail[..PIECE])?;
        self.start += byte_len(PIECE);
        self.tail.drain(..PIECE);
        Ok(())
    }

    /// Puts `bytes` at `offset`, beyond the end too: what lies between reads as zeros.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        if offset >= self.end() {
            self.leave_zeros(offset)?;
            return self.append(bytes);
        }
        // What lies before the tail is in the file already.
        let before = self.start.saturating_sub(offset);
        let (early, late) = bytes.split_at(within(before, bytes.len()));
        if !early.is_empty() {
            self.write_at(offset, early)?;
        }
        let at = within(offset.saturating_sub(self.start), self.tail.len());
        let (inside, after) = late.split_at(late.len().min(self.tail.len() - at));
        self.tail[at..at + inside.len()].copy_from_slice(inside);
        self.append(after)
    }

    /// Writes all that was put.
    ///
    /// # Errors
    ///
    /// [`WriteError::Write`].
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        self.write_at(self.start, &self.tail)?;
        self.start = self.end();
        self.tail.clear();
        Ok(())
    }

    /// Moves the end to `offset`.
    fn leave_zeros(&mut self, offset: u64) -> Result<(), WriteError> {
        let gap = offset - self.end();
        match usize::try_from(gap) {
            Ok(gap) if gap <= KEPT => self.tail.resize(self.tail.len() + gap, 0),
            _ => {
                self.flush()?;
                self.start = offset;
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        failpoint::reach("image-write")
            .and_then(|()| self.file.write_all_at(bytes, offset))
            .map_err(|source| WriteError::Write { offset, source })
    }
}

impl fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

/// A number of bytes, at most `limit`.
fn within(bytes: u64, limit: usize) -> usize {
    usize::try_from(bytes).map_or(limit, |bytes| bytes.min(limit))
}
