//! Writes a disk as a VMDK that streams: every byte follows the one before.
//!
//! Follows "Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse Extents": grains
//! of 64 KiB, each a zlib stream (RFC 1950) of its own. Grains that are all zeros are left out.
//!
//! ```text
//! header  descriptor  grain … grain  grain table  grain …  directory  footer  end of stream
//!                     └─── 32 MiB of the disk ───┘
//! ```
//!
//! Each of these but the first two has a marker before it. The footer is the header once more, where
//! it is known at last where the directory is: a file that was not finished has none.

mod descriptor;
mod header;
#[cfg(test)]
mod tests;
mod writer;

pub use writer::write;

/// The name of the format in messages.
const NAME: &str = "VMDK";

/// What offsets and sizes are counted in, in bytes.
const SECTOR_LENGTH: usize = 512;

/// Sectors of a grain, the cluster of this format.
const GRAIN_SECTORS: u64 = crate::sparsify::CLUSTER_SIZE / crate::units::SECTOR_SIZE;

/// How many grains a grain table describes.
const TABLE_ENTRIES: u32 = 512;
