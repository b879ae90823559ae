//! Where the bytes of a disk lie in an image file.
//!
//! ```text
//! header, tables ──format::open──▶ DiskMap ──walk──▶ Piece, Piece, … ──expand──▶ raw disk
//! ```
//!
//! A format is read by its map alone: which parts of the guest's disk have data, and where.
//! [`super::expand`] does the rest for all of them.

use std::fmt::Debug;

use super::fault::Fault;

/// The largest disk of any format here, in bytes: that of VHDX.
pub(super) const MAX_SIZE: u64 = 64 << 40;

/// A part of the guest's disk that the image says something about. All else is zeros, or what a
/// backing file has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins on the guest's disk, in bytes.
    pub(super) guest: u64,
    /// Its length in bytes, which is not 0.
    pub(super) len: u64,
    /// What is there.
    pub(super) content: Content,
}

/// The content of a [`Piece`]. Offsets are bytes in the image's [`Window`](super::window::Window).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing but zeros.
    Zeros,
    /// As it is, from this offset on.
    Stored {
        /// Where it begins.
        at: u64,
    },
    /// Compressed; at least the piece's length comes out of it.
    Packed {
        /// Where the compressed bytes begin.
        at: u64,
        /// How many there are at most.
        packed: u64,
        /// How they are compressed.
        codec: Codec,
    },
}

/// A compression of single blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Deflate without a frame (RFC 1951).
    Deflate,
    /// Deflate in a zlib frame (RFC 1950).
    Zlib,
    /// A Zstandard frame (RFC 8878).
    Zstd,
}

/// The tables of an image.
pub(super) trait DiskMap: Debug {
    /// The size of the disk in bytes.
    fn size(&self) -> u64;

    /// Whether the first bytes of the window are the disk, so that it can be read in place.
    fn is_plain(&self) -> bool {
        false
    }

    /// Visits the pieces in ascending order. They do not overlap and none ends behind the disk.
    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault>;
}

/// What is done with each piece.
pub(super) type Visit<'a> = dyn FnMut(Piece) -> Result<(), Fault> + 'a;

/// A disk that lies in one place.
#[derive(Debug)]
pub(super) struct Plain {
    /// Its size in bytes.
    pub(super) size: u64,
}

impl DiskMap for Plain {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        if self.size == 0 {
            return Ok(());
        }
        visit(Piece {
            guest: 0,
            len: self.size,
            content: Content::Stored { at: 0 },
        })
    }
}

/// The piece that block `index` of a disk is: cut where the disk ends, `None` behind it.
pub(super) fn block(index: u64, block_size: u64, size: u64, content: Content) -> Option<Piece> {
    let guest = index.checked_mul(block_size)?;
    (guest < size).then(|| Piece {
        guest,
        len: block_size.min(size - guest),
        content,
    })
}

/// A size that a header states, if it is one of a disk.
pub(super) fn plausible_size(size: u64) -> Result<u64, Fault> {
    if size > MAX_SIZE {
        return Err(Fault::damaged(format!(
            "it states a disk of {size} bytes, more than 64 TiB"
        )));
    }
    Ok(size)
}
