//! The image file while it grows: what is put at its end is gathered and written in large pieces.

use byoi_agent::failpoint;
use std::fmt;

use super::{Target, WriteError};
use crate::units::byte_len;

/// Bytes of one write: whole pages of the file, if it began at one, but less than a huge page. For
/// each of those, a virtual machine may have to wait until its host has memory for it.
const PIECE: usize = 1 << 20;

/// Bytes that are kept back: gaps this close to the end are often filled.
const KEPT: usize = 256 << 10;

/// A file that is mostly appended to.
pub struct Sink<'a> {
    file: &'a dyn Target,
    /// Where `tail` goes.
    start: u64,
    /// The end of the file, not written yet.
    tail: Vec<u8>,
    piece: usize,
    kept: usize,
}

impl<'a> Sink<'a> {
    /// Takes an empty file, of which the first `start` bytes are put later.
    pub fn new(file: &'a dyn Target, start: u64) -> Self {
        Self::in_pieces(file, start, PIECE, KEPT)
    }

    fn in_pieces(file: &'a dyn Target, start: u64, piece: usize, kept: usize) -> Self {
        Self {
            file,
            start,
            tail: Vec::with_capacity(piece + 2 * kept),
            piece,
            kept,
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
        while self.tail.len() >= self.piece + self.kept {
            self.write_at(self.start, &self.tail[..self.piece])?;
            self.file.write_back(self.start, self.piece);
            self.start += byte_len(self.piece);
            self.tail.drain(..self.piece);
        }
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
            Ok(gap) if gap <= self.kept => self.tail.resize(self.tail.len() + gap, 0),
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;

    /// Counts the writes.
    struct Counted {
        file: File,
        writes: std::cell::RefCell<Vec<usize>>,
    }

    impl FileExt for Counted {
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
            self.file.read_at(bytes, offset)
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
            self.writes.borrow_mut().push(bytes.len());
            self.file.write_at(bytes, offset)
        }
    }

    impl Target for Counted {
        fn write_back(&self, offset: u64, length: usize) {
            self.file.write_back(offset, length);
        }
    }

    #[test]
    fn small_writes_become_large_ones() {
        let output = Counted {
            file: tempfile::tempfile().unwrap(),
            writes: Vec::new().into(),
        };
        let mut sink = Sink::new(&output, 0);
        for number in 0..1000_u64 {
            let bytes = number.to_be_bytes().repeat(2500);
            sink.put(number * 20_000, &bytes).unwrap();
            // A gap a little before the end.
            sink.put((number * 20_000).saturating_sub(50_000), &[1; 10])
                .unwrap();
        }
        sink.flush().unwrap();
        assert_eq!(sink.end(), 20_000_000);
        let writes = output.writes.into_inner();
        assert_eq!(writes[..18], [PIECE; 18]);
        assert_eq!(writes.len(), 19);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn the_file_is_what_was_put(
            start in 0_usize..100,
            puts in prop::collection::vec((0_usize..600, 1_usize..200, any::<bool>()), 0..40),
        ) {
            let mut file = tempfile::tempfile().unwrap();
            let mut expected = vec![0; start];
            let mut sink = Sink::in_pieces(&file, byte_len(start), 64, 32);
            for (number, &(place, length, at_end)) in (1_u8..).zip(&puts) {
                let bytes = vec![number; length];
                let place = if at_end { expected.len() } else { place };
                if at_end {
                    sink.append(&bytes).unwrap();
                } else {
                    sink.put(byte_len(place), &bytes).unwrap();
                }
                expected.resize(expected.len().max(place + length), 0);
                expected[place..place + length].copy_from_slice(&bytes);
                prop_assert_eq!(sink.end(), byte_len(expected.len()));
            }
            sink.flush().unwrap();
            file.set_len(byte_len(expected.len())).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            prop_assert_eq!(content, expected);
        }
    }
}
