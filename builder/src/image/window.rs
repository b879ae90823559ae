//! A part of a file, read within its bounds.
//!
//! Every offset and every length that an image states comes through here, so that none of them
//! leads out of the image or to an allocation that the file itself does not pay for.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use byoi_agent::interrupt;

use super::fault::Fault;
use crate::units::byte_len;

/// How much of a table is read at a time, in bytes: a multiple of every entry's size.
const TABLE_CHUNK: usize = 64 * 1024;

/// Bytes of a file: all of them, or a member of an archive.
#[derive(Debug, Clone)]
pub(super) struct Window {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl Window {
    /// The first `len` bytes of a file.
    pub(super) fn of(file: Arc<File>, len: u64) -> Self {
        Self {
            file,
            start: 0,
            len,
        }
    }

    /// `len` bytes from `start` on; `None` where they are not all in this window.
    pub(super) fn part(&self, start: u64, len: u64) -> Option<Self> {
        (start.checked_add(len)? <= self.len).then(|| Self {
            file: Arc::clone(&self.file),
            start: self.start + start,
            len,
        })
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The file, and where in it the window begins.
    pub(super) fn place(&self) -> (&Arc<File>, u64) {
        (&self.file, self.start)
    }

    /// Fills `buffer` from `offset` on; `what` is the object that lies there.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8], what: &str) -> Result<(), Fault> {
        interrupt::check()?;
        let end = offset.checked_add(byte_len(buffer.len()));
        if end.is_none_or(|end| end > self.len) {
            return Err(Fault::cut_off(what));
        }
        self.file
            .read_exact_at(buffer, self.start + offset)
            .map_err(Fault::Io)
    }

    /// `N` bytes from `offset` on.
    pub(super) fn array<const N: usize>(&self, offset: u64, what: &str) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes, what)?;
        Ok(bytes)
    }

    /// At most `len` bytes from `offset` on: fewer where the window ends before.
    pub(super) fn up_to(&self, offset: u64, len: usize) -> Result<Vec<u8>, Fault> {
        let left = self.len.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).map_or(len, |left| left.min(len))];
        self.read(offset, &mut bytes, "the header")?;
        Ok(bytes)
    }

    /// Visits `count` entries of `N` bytes, one after another from `offset` on, with their index.
    pub(super) fn entries<const N: usize>(
        &self,
        offset: u64,
        count: u64,
        what: &str,
        mut visit: impl FnMut(u64, [u8; N]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let end = count
            .checked_mul(byte_len(N))
            .and_then(|len| len.checked_add(offset));
        let Some(end) = end.filter(|&end| end <= self.len) else {
            return Err(Fault::cut_off(what));
        };
        let mut buffer = [0; TABLE_CHUNK];
        let (mut at, mut index) = (offset, 0);
        while at < end {
            let len = usize::try_from(end - at).map_or(TABLE_CHUNK, |left| left.min(TABLE_CHUNK));
            self.read(at, &mut buffer[..len], what)?;
            for entry in buffer[..len].as_chunks::<N>().0 {
                visit(index, *entry)?;
                index += 1;
            }
            at += byte_len(len);
        }
        Ok(())
    }

    /// The bytes as a stream.
    pub(super) fn stream(&self) -> WindowReader<'_> {
        WindowReader {
            window: self,
            position: 0,
        }
    }
}

/// Reads a window from its first byte to its last.
#[derive(Debug)]
pub(super) struct WindowReader<'a> {
    window: &'a Window,
    position: u64,
}

impl Read for WindowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        interrupt::check()?;
        let left = self.window.len - self.position;
        let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self
            .window
            .file
            .read_at(&mut buffer[..len], self.window.start + self.position)?;
        self.position += byte_len(read);
        Ok(read)
    }
}

/// `N` bytes of a header that is known to be long enough.
pub(super) fn field<const N: usize>(header: &[u8], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}
