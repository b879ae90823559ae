//! Writing the pieces of a disk to a raw file.

use std::fs::File;
use std::io;

use byoi_agent::interrupt;
use flate2::{Decompress, FlushDecompress};

use super::copy::{CHUNK, Extents, Sink};
use super::disk_map::{Codec, Content, DiskMap, Piece};
use super::fault::Fault;
use super::unpack;
use super::window::Window;
use crate::units::byte_len;

/// Looks through all tables; returns how many bytes of the disk have data.
///
/// # Errors
///
/// A piece lies outside the file, or the file holds less than its tables claim: nothing of such an
/// image is worth copying.
pub(super) fn measure(map: &dyn DiskMap, window: &Window) -> Result<u64, Fault> {
    let (mut data, mut stored) = (0_u64, 0_u64);
    map.walk(&mut |piece| {
        let (at, len) = match piece.content {
            Content::Zeros => return Ok(()),
            Content::Stored { at } => {
                stored = stored.saturating_add(piece.len);
                (at, piece.len)
            }
            Content::Packed { at, packed, .. } => (at, packed),
        };
        let Some(end) = at.checked_add(len).filter(|&end| end <= window.len()) else {
            return Err(Fault::cut_off("a block of data"));
        };
        data = data.saturating_add(match piece.content {
            Content::Stored { .. } if len > byte_len(CHUNK) => allocated(window, at, end)?,
            _ => piece.len,
        });
        if stored > window.len() {
            return Err(Fault::damaged("blocks of data lie one on another"));
        }
        Ok(())
    })?;
    Ok(data)
}

/// How much of a long piece is no hole in the file.
fn allocated(window: &Window, at: u64, end: u64) -> Result<u64, Fault> {
    let (file, start) = window.place();
    Extents::between(file, start + at, start + end)
        .map(|extent| extent.map(|(start, end)| end - start))
        .sum::<io::Result<u64>>()
        .map_err(Fault::Io)
}

/// Writes all pieces to a raw file, up to `limit` bytes: a backing file may be longer than the disk.
///
/// # Errors
///
/// A read or a write failed, or compressed data is broken.
pub(super) fn write(
    map: &dyn DiskMap,
    window: &Window,
    limit: u64,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let mut run = Run::default();
    let mut unpacker = Unpacker::default();
    let (file, start) = window.place();
    map.walk(&mut |mut piece| {
        if piece.guest >= limit {
            return Ok(());
        }
        piece.len = piece.len.min(limit - piece.guest);
        if run.take(&piece) {
            return Ok(());
        }
        run.flush(file, start, sink)?;
        match piece.content {
            Content::Zeros => {
                interrupt::check()?;
                sink.zeros(piece.guest, piece.len).map_err(Fault::Io)
            }
            Content::Stored { at } => {
                run = Run {
                    at,
                    guest: piece.guest,
                    len: piece.len,
                };
                Ok(())
            }
            Content::Packed { at, packed, codec } => {
                let bytes = unpacker.unpack(window, (at, packed), codec, piece.len)?;
                sink.put(piece.guest, bytes).map_err(Fault::Io)
            }
        }
    })?;
    run.flush(file, start, sink)
}

/// Stored pieces that follow one another on the disk and in the file.
#[derive(Debug, Default)]
struct Run {
    at: u64,
    guest: u64,
    len: u64,
}

impl Run {
    /// Appends a piece if it follows.
    fn take(&mut self, piece: &Piece) -> bool {
        let follows = self.len > 0
            && piece.guest == self.guest + self.len
            && piece.content
                == Content::Stored {
                    at: self.at + self.len,
                };
        if follows {
            self.len += piece.len;
        }
        follows
    }

    fn flush(&mut self, file: &File, start: u64, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let run = std::mem::take(self);
        sink.copy(file, start + run.at, run.guest, run.len)
            .map_err(Fault::Io)
    }
}

/// Decompresses one block after another.
#[derive(Debug, Default)]
struct Unpacker {
    packed: Vec<u8>,
    bytes: Vec<u8>,
}

impl Unpacker {
    /// The first `len` bytes that come out of `packed` bytes at an offset.
    fn unpack(
        &mut self,
        window: &Window,
        (at, packed): (u64, u64),
        codec: Codec,
        len: u64,
    ) -> Result<&[u8], Fault> {
        let broken = || Fault::damaged(format!("the compressed block at offset {at} is broken"));
        self.packed
            .resize(usize::try_from(packed).map_err(|_| broken())?, 0);
        self.bytes
            .resize(usize::try_from(len).map_err(|_| broken())?, 0);
        window.read(at, &mut self.packed, "a compressed block")?;
        let whole = match codec {
            Codec::Deflate | Codec::Zlib => {
                let mut inflate = Decompress::new(codec == Codec::Zlib);
                // What comes out beyond the block is nobody's.
                inflate
                    .decompress(&self.packed, &mut self.bytes, FlushDecompress::Finish)
                    .is_ok()
                    && inflate.total_out() == len
            }
            Codec::Zstd => unpack::zstd_block(&self.packed, &mut self.bytes).is_ok(),
        };
        if whole {
            Ok(&self.bytes)
        } else {
            Err(broken())
        }
    }
}
