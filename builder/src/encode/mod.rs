//! From a disk to encoded clusters, whatever the format of the image.
//!
//! ```text
//! AllocationMap → batches (threads: read → encoder) → in the order of the disk → format → sink
//! ```
//!
//! Several threads read and encode, one puts the results into the image in the order of the disk:
//! the same disk gives the same bytes however many threads there are. Memory is that of a fixed
//! number of batches, which go round between them; nothing is allocated for a cluster.

mod batches;
mod encoder;
mod sink;
mod target;
#[cfg(test)]
pub(crate) mod testing;

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::thread;

use byoi_agent::interrupt::{self, Interrupted};

pub use encoder::Codec;
pub use sink::Sink;
pub use target::Target;

use crate::sparsify::{AllocationMap, ClusterIndex};
use batches::Batches;

/// A disk to be written.
#[derive(Debug, Clone, Copy)]
pub struct Disk<'a> {
    /// Its bytes.
    pub file: &'a File,
    /// Where they are not all zeros, and its size.
    pub map: &'a AllocationMap,
}

/// What becomes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded<'a> {
    /// It is all zeros and stays out of the image.
    Zero,
    /// It is stored as it is.
    Stored(&'a [u8]),
    /// It is stored as these bytes.
    Compressed(&'a [u8]),
}

/// What an image has become.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Summary {
    /// Of an image of which nothing is written yet.
    pub fn new(virtual_size: u64) -> Self {
        Self {
            virtual_size,
            file_size: 0,
            data_clusters: 0,
            compressed_clusters: 0,
            zero_clusters: 0,
        }
    }

    /// Counts a cluster.
    pub fn count(&mut self, encoded: Encoded<'_>) {
        match encoded {
            Encoded::Zero => self.zero_clusters += 1,
            Encoded::Stored(_) => self.data_clusters += 1,
            Encoded::Compressed(_) => {
                self.data_clusters += 1;
                self.compressed_clusters += 1;
            }
        }
    }
}

/// The part of an image that stays as it is while the rest is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What the file will begin with. It may be written last.
    pub start: Vec<u8>,
    /// Where the part ends in the file, in bytes. From `start` on it is in the file.
    pub end: u64,
}

/// Is told how the writing goes on. A function is told of progress alone.
pub trait Observer {
    /// So many of the map's [`data_bytes`](AllocationMap::data_bytes) are done. Again and again.
    fn progress(&mut self, done: u64);

    /// Most of the file is settled. At most once.
    ///
    /// # Errors
    ///
    /// The image is not wanted any more.
    fn settled(&mut self, settled: Settled) -> Result<(), WriteError>;
}

impl<F: FnMut(u64)> Observer for F {
    fn progress(&mut self, done: u64) {
        self(done);
    }

    fn settled(&mut self, _: Settled) -> Result<(), WriteError> {
        Ok(())
    }
}

/// A format, which puts encoded clusters into an image.
pub trait Format {
    /// Adds a cluster, which comes after all those before it.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    fn put(&mut self, cluster: ClusterIndex, encoded: Encoded<'_>) -> Result<(), WriteError>;

    /// Leaves what it has written so far as it is from now on.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    fn settle(&mut self) -> Result<Settled, WriteError>;
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The tables of the format end before the disk does.
    #[error("a disk of {size} bytes does not fit into a {format}")]
    Size {
        /// The size in bytes.
        size: u64,
        /// The name of the format.
        format: &'static str,
    },
    /// The content needs more space than the tables can describe.
    #[error("the content of the disk outgrows what a {format} can describe")]
    Exhausted {
        /// The name of the format.
        format: &'static str,
    },
    /// A thread could not be started.
    #[error("starting a thread")]
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
    /// A signal arrived.
    #[error("writing the image")]
    Interrupted {
        /// Says so.
        source: Interrupted,
    },
}

/// Reads and encodes the clusters of `disk` on `threads` threads and hands them to `format` in the
/// order of the disk; before the last quarter it settles what it has.
///
/// # Errors
///
/// [`WriteError`], also when a signal arrived. Panics if a thread did.
pub fn clusters(
    disk: Disk<'_>,
    codec: Codec,
    threads: NonZeroUsize,
    observer: &mut dyn Observer,
    format: &mut impl Format,
) -> Result<(), WriteError> {
    thread::scope(|scope| {
        let mut done = 0;
        let mut settle_at = Some(disk.map.data_bytes() / 4 * 3);
        let mut batches = Batches::start(scope, disk, codec, threads)?;
        while let Some(batch) = batches.next() {
            interrupt::check().map_err(|source| WriteError::Interrupted { source })?;
            let batch = batch?;
            for (cluster, encoded) in batch.clusters() {
                format.put(cluster, encoded)?;
            }
            done += batch.bytes_of_disk();
            observer.progress(done);
            if settle_at.take_if(|place| *place <= done).is_some() {
                observer.settled(format.settle()?)?;
            }
            batches.give_back(batch);
        }
        Ok(())
    })
}
