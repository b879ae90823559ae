//! Places on a disk: sector numbers and byte ranges.
//!
//! A number read from a disk becomes one of these before it is used. Both kinds only come into
//! being where the arithmetic fits into 64 bits, so nothing here can overflow later.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// The sector size of every disk that byoi handles, in bytes.
pub const SECTOR_SIZE: u64 = 512;

/// The length of something in memory as a byte count on disk.
pub fn byte_len(len: usize) -> u64 {
    // No platform has wider pointers than 64 bits.
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A logical block address: the number of a sector of [`SECTOR_SIZE`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Lba(u64);

impl Lba {
    /// The first sector of the disk.
    pub const ZERO: Self = Self(0);

    /// Sector number `sector`.
    pub const fn new(sector: u64) -> Self {
        Self(sector)
    }

    /// The sector number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Where the sector begins, in bytes; `None` where that does not fit into 64 bits.
    pub const fn to_bytes(self) -> Option<u64> {
        self.0.checked_mul(SECTOR_SIZE)
    }

    /// The sector `count` sectors further on; `None` where that does not fit into 64 bits.
    #[must_use]
    pub fn checked_add(self, count: Self) -> Option<Self> {
        self.0.checked_add(count.0).map(Self)
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sector {}", self.0)
    }
}

/// Bytes `start..end` of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct ByteRange {
    start: u64,
    len: u64,
}

impl ByteRange {
    /// No bytes.
    pub const EMPTY: Self = Self { start: 0, len: 0 };

    /// `len` bytes from `start` on; `None` where the end does not fit into 64 bits.
    pub const fn new(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(_) => Some(Self { start, len }),
            None => None,
        }
    }

    /// `count` sectors from `first` on; `None` where the end does not fit into 64 bits.
    pub fn of_sectors(first: Lba, count: u64) -> Option<Self> {
        Self::new(first.to_bytes()?, count.checked_mul(SECTOR_SIZE)?)
    }

    /// The first byte.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The number of bytes.
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether there is no byte in it.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The byte after the last one.
    pub const fn end(self) -> u64 {
        // Cannot overflow: every constructor checks the sum.
        self.start + self.len
    }

    /// Whether the two share a byte.
    pub const fn overlaps(self, other: Self) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && self.start < other.end()
            && other.start < self.end()
    }

    /// Whether every byte of `other` lies in this range.
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}..{}", self.start, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_do_not_fit_are_none() {
        assert_eq!(ByteRange::new(u64::MAX, 1), None);
        assert_eq!(ByteRange::of_sectors(Lba::new(u64::MAX), 1), None);
        assert_eq!(ByteRange::of_sectors(Lba::new(1), u64::MAX / 512 + 1), None);
        assert_eq!(Lba::new(u64::MAX).checked_add(Lba::new(1)), None);
        let last = ByteRange::new(u64::MAX - 1, 1).unwrap();
        assert_eq!(last.end(), u64::MAX);
    }

    #[test]
    fn overlap_needs_a_shared_byte() {
        let range = |start, len| ByteRange::new(start, len).unwrap();
        for (one, other, expected) in [
            (range(0, 10), range(10, 10), false),
            (range(0, 11), range(10, 10), true),
            (range(5, 1), range(0, 10), true),
            (range(5, 0), range(0, 10), false),
        ] {
            assert_eq!(one.overlaps(other), expected, "{one} {other}");
            assert_eq!(other.overlaps(one), expected, "{other} {one}");
        }
    }
}
