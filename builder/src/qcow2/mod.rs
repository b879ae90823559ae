//! Writes a raw disk as a QCOW2 image.
//!
//! Follows QEMU's `docs/interop/qcow2.txt`, version 3: clusters of 64 KiB, refcounts of 16 bits, no
//! backing file, no encryption, no snapshots, no extended L2 entries, no external data file. What
//! is not in an [`AllocationMap`](crate::sparsify::AllocationMap) or is all zeros stays unallocated.
//!
//! ```text
//! cluster 0      1 …         …                          …            …
//! header         data        L1 table, refcount table   more data    refcount blocks
//! ```
//!
//! Within the data, the L2 table of each 512 MiB of the disk follows them. The two tables that the
//! header points to have their place before the last quarter of the data: with it the header is
//! known, so all before can be digested while the rest is compressed. The header is written last,
//! so that a file which was not finished never looks like an image.

mod alloc;
pub mod dump;
pub mod header;
mod refcounts;
pub mod tables;
pub mod types;
mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::deflate::Level;

pub use writer::write;

/// The name of the format in messages.
const NAME: &str = "QCOW2";

/// How the clusters of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate, which every reader of the format knows.
    Zlib {
        /// How hard it tries.
        level: Level,
    },
    /// Zstd, which takes a reader of 2020 or later (QEMU 5.1).
    Zstd {
        /// How hard it tries.
        level: Level,
    },
}
