//! Puts the encoded clusters and the tables that lead to them into the image file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;

use byoi_agent::{failpoint, interrupt};

use super::alloc::{Allocator, Exhausted};
use super::compress::Encoded;
use super::header::{CompressionType, Header};
use super::refcounts::{BLOCK_ENTRIES, RefcountSize};
use super::tables::{
    self, ENTRY_SIZE, L2_ENTRIES, MAX_L1_ENTRIES, Mapping, SECTOR_SIZE, l1_slot, l2_slot,
};
use super::types::{HostCluster, HostOffset};
use super::workers::Batches;
use super::{Qcow2Error, Summary, WriteOptions};
use crate::sparsify::{AllocationMap, CLUSTER_LENGTH, CLUSTER_SIZE, ClusterIndex};

impl From<Exhausted> for Qcow2Error {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Writes the disk `source`, whose data is where `map` says, to the regular file `output`, which
/// is emptied first, and makes it durable.
///
/// `progress` is told how many bytes of the map's
/// [`data_bytes`](AllocationMap::data_bytes) are done, again and again.
///
/// # Errors
///
/// [`Qcow2Error`], also when a signal arrived. Then `output` has no header.
pub fn write(
    source: &File,
    map: &AllocationMap,
    output: &File,
    options: &WriteOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, Qcow2Error> {
    let mut image = ImageWriter::new(output, map.size())?;
    thread::scope(|scope| {
        let mut done = 0;
        for batch in Batches::start(scope, source, map, options)? {
            interrupt::check().map_err(|source| Qcow2Error::Interrupted { source })?;
            let batch = batch?;
            for (index, encoded) in &batch.clusters {
                image.put(*index, encoded)?;
            }
            done += batch.bytes;
            progress(done);
        }
        Ok::<_, Qcow2Error>(())
    })?;
    // Outside of the scope, which panics if a thread did: no header then either.
    image.finish()
}

/// An image that has no header yet.
#[must_use = "an image is nothing until it is finished"]
struct ImageWriter<'a> {
    output: &'a File,
    alloc: Allocator,
    l1_table: HostCluster,
    l1: Vec<u64>,
    /// The L2 table that is being filled. Clusters come in order, so there is only one.
    l2: Option<L2Table>,
    summary: Summary,
}

struct L2Table {
    l1_slot: usize,
    entries: Vec<u64>,
}

impl<'a> ImageWriter<'a> {
    fn new(output: &'a File, size: u64) -> Result<Self, Qcow2Error> {
        // Readers count in sectors; the last one is filled up with zeros.
        let size = size
            .checked_next_multiple_of(SECTOR_SIZE)
            .ok_or(Qcow2Error::TooLarge { size })?;
        let entries = tables::l1_entries(size);
        if entries > MAX_L1_ENTRIES {
            return Err(Qcow2Error::TooLarge { size });
        }
        output
            .set_len(0)
            .map_err(|source| Qcow2Error::Empty { source })?;
        let mut alloc = Allocator::default();
        let _header = alloc.whole(1)?;
        let l1_table = alloc.whole((entries * ENTRY_SIZE).div_ceil(CLUSTER_SIZE))?;
        Ok(Self {
            output,
            alloc,
            l1_table,
            l1: vec![0; index(entries)?],
            l2: None,
            summary: Summary {
                virtual_size: size,
                file_size: 0,
                data_clusters: 0,
                compressed_clusters: 0,
                zero_clusters: 0,
            },
        })
    }

    /// Adds a guest cluster, which comes after all those before it.
    fn put(&mut self, cluster: ClusterIndex, encoded: &Encoded) -> Result<(), Qcow2Error> {
        let mapping = match encoded {
            Encoded::Zero => {
                self.summary.zero_clusters += 1;
                return Ok(());
            }
            Encoded::Stored(bytes) => {
                let place = self.alloc.whole(1)?;
                self.write_at(place.start(), bytes)?;
                Mapping::Stored(place)
            }
            Encoded::Compressed(bytes) => {
                let length = u64::try_from(bytes.len()).map_err(|_| Exhausted)?;
                let start = self.alloc.packed(length)?;
                self.write_at(start, bytes)?;
                self.summary.compressed_clusters += 1;
                Mapping::compressed(start, length).ok_or(Exhausted)?
            }
        };
        self.summary.data_clusters += 1;
        self.map(cluster, mapping)
    }

    fn map(&mut self, cluster: ClusterIndex, mapping: Mapping) -> Result<(), Qcow2Error> {
        let slot = index(l1_slot(cluster))?;
        if self.l2.as_ref().is_none_or(|table| table.l1_slot != slot) {
            self.end_l2()?;
        }
        let entries = index(L2_ENTRIES)?;
        let table = self.l2.get_or_insert_with(|| L2Table {
            l1_slot: slot,
            entries: vec![0; entries],
        });
        table.entries[index(l2_slot(cluster))?] = mapping.encode();
        Ok(())
    }

    /// Writes the L2 table that is being filled.
    fn end_l2(&mut self) -> Result<(), Qcow2Error> {
        if let Some(table) = self.l2.take() {
            let place = self.alloc.whole(1)?;
            self.write_at(place.start(), &table_bytes(&table.entries))?;
            self.l1[table.l1_slot] = tables::encode_l1(place);
        }
        Ok(())
    }

    /// Writes the tables, and the header once they are durable.
    fn finish(mut self) -> Result<Summary, Qcow2Error> {
        self.end_l2()?;
        self.write_at(self.l1_table.start(), &table_bytes(&self.l1))?;
        let size = RefcountSize::of(self.alloc.clusters()?);
        let first_block = self.alloc.whole(size.blocks)?;
        let table = self.alloc.whole(size.table_clusters)?;
        self.write_refcounts(first_block, table)?;
        self.flush()?;
        let header = Header {
            size: self.summary.virtual_size,
            l1_size: u32::try_from(self.l1.len()).map_err(|_| Exhausted)?,
            l1_table: self.l1_table.start(),
            refcount_table: table.start(),
            refcount_table_clusters: u32::try_from(size.table_clusters).map_err(|_| Exhausted)?,
            compression_type: CompressionType::Zlib,
        };
        let start = HostOffset::new(0).ok_or(Exhausted)?;
        self.write_at(start, &header.to_bytes())?;
        self.flush()?;
        self.summary.file_size = self.alloc.clusters()? * CLUSTER_SIZE;
        Ok(self.summary)
    }

    /// Writes the refcount blocks from `first` on, and the table that points to them, which ends
    /// the file.
    fn write_refcounts(&self, first: HostCluster, table: HostCluster) -> Result<(), Qcow2Error> {
        let mut blocks = Vec::new();
        for (number, counts) in (first.number()..).zip(self.alloc.refcounts().chunks(BLOCK_ENTRIES))
        {
            let place = HostCluster::new(number).ok_or(Exhausted)?.start();
            let mut bytes: Vec<u8> = counts
                .iter()
                .flat_map(|count| count.to_be_bytes())
                .collect();
            bytes.resize(CLUSTER_LENGTH, 0);
            self.write_at(place, &bytes)?;
            blocks.push(place.bytes());
        }
        self.write_at(table.start(), &table_bytes(&blocks))
    }

    fn write_at(&self, place: HostOffset, bytes: &[u8]) -> Result<(), Qcow2Error> {
        let offset = place.bytes();
        failpoint::reach("image-write")
            .and_then(|()| self.output.write_all_at(bytes, offset))
            .map_err(|source| Qcow2Error::Write { offset, source })
    }

    fn flush(&self) -> Result<(), Qcow2Error> {
        self.output
            .sync_all()
            .map_err(|source| Qcow2Error::Flush { source })
    }
}

/// A table as it is in the file, filled up to whole clusters.
fn table_bytes(entries: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries
        .iter()
        .flat_map(|entry| entry.to_be_bytes())
        .collect();
    bytes.resize(bytes.len().next_multiple_of(CLUSTER_LENGTH), 0);
    bytes
}

/// A place in a table that fits in memory.
fn index(number: u64) -> Result<usize, Exhausted> {
    usize::try_from(number).map_err(|_| Exhausted)
}

#[cfg(test)]
mod tests {
    use super::super::testing::qemu_img;
    use super::*;

    #[test]
    fn refcounts_of_more_than_one_block() {
        // The clusters are given out but not written: the file has holes there.
        let clusters = 2 * u64::try_from(BLOCK_ENTRIES).unwrap() + 4000;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut image = ImageWriter::new(file.as_file(), clusters * CLUSTER_SIZE).unwrap();
        for number in 0..clusters {
            let place = image.alloc.whole(1).unwrap();
            let cluster = ClusterIndex::containing(number * CLUSTER_SIZE);
            image.map(cluster, Mapping::Stored(place)).unwrap();
        }
        let summary = image.finish().unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), summary.file_size);
        qemu_img(&["check", "-q", "-f", "qcow2"], &[file.path()]);
    }
}
