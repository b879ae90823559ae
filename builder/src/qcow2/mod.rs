//! Writes a raw disk as a QCOW2 image.
//!
//! Follows QEMU's `docs/interop/qcow2.txt`, version 3: clusters of 64 KiB, refcounts of 16 bits, no
//! backing file, no encryption, no snapshots, no extended L2 entries, no external data file. What
//! is not in an [`AllocationMap`](crate::sparsify::AllocationMap) or is all zeros stays unallocated.
//!
//! ```text
//! cluster 0      1 …        …                            …                 …
//! header         L1 table   data, and after each 512 MiB refcount blocks   refcount table
//!                           of disk the L2 table for it
//! ```
//!
//! Several threads read and compress, one writes in the order of the disk: the same disk gives the
//! same bytes however many threads there are. The header comes last, so that a file which was not
//! finished never looks like an image.

mod alloc;
mod compress;
pub mod dump;
pub mod header;
mod refcounts;
pub mod tables;
pub mod types;
mod workers;
mod writer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZeroUsize;

use byoi_agent::interrupt::Interrupted;

use crate::deflate::Level;

pub use writer::write;

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
}

/// How to write an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// How its clusters are compressed.
    pub compression: Compression,
    /// How many threads read and compress; each takes about 2 MiB of memory.
    pub threads: NonZeroUsize,
}

/// What an image has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The size of the guest's disk in bytes.
    pub virtual_size: u64,
    /// The size of the image file in bytes.
    pub file_size: u64,
    /// How many guest clusters have content in the image.
    pub data_clusters: u64,
    /// How many of these are compressed.
    pub compressed_clusters: u64,
    /// How many guest clusters were read, found to be all zeros and left out.
    pub zero_clusters: u64,
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// The disk needs an L1 table that QEMU refuses.
    #[error("a disk of {size} bytes is too large for QCOW2 with 64 KiB clusters")]
    TooLarge {
        /// The size in bytes.
        size: u64,
    },
    /// The content needs more space than the tables can describe.
    #[error("the content of the disk outgrows what QCOW2 can describe")]
    Exhausted,
    /// A thread could not be started.
    #[error("starting a compression thread")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// The disk could not be read.
    #[error("reading the disk at offset {offset}")]
    Read {
        /// The place on the disk in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The image could not be written; a full file system shows up here.
    #[error("writing the image at offset {offset}")]
    Write {
        /// The place in the image in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The output could not be emptied before the start.
    #[error("emptying the image file")]
    Empty {
        /// What the system said.
        source: io::Error,
    },
    /// What was written could not be made durable.
    #[error("flushing the image")]
    Flush {
        /// What the system said.
        source: io::Error,
    },
    /// A signal arrived.
    #[error("writing the image")]
    Interrupted {
        /// Says so.
        source: Interrupted,
    },
}
