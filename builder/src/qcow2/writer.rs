//! Puts the encoded clusters and the tables that lead to them into the image file.

use std::num::NonZeroUsize;

use super::alloc::{Allocator, Exhausted};
use super::header::{CompressionType, Header};
use super::refcounts::{self, BLOCK_ENTRIES};
use super::tables::{
    self, ENTRY_SIZE, L2_ENTRIES, MAX_L1_ENTRIES, Mapping, SECTOR_SIZE, l1_slot, l2_slot,
};
use super::types::{HostCluster, HostOffset};
use super::{Compression, NAME};
use crate::encode::{
    self, Codec, Disk, Encoded, Format, Observer, Settled, Sink, Summary, Target, WriteError,
};
use crate::sparsify::{CLUSTER_LENGTH, CLUSTER_SIZE, ClusterIndex};
use crate::units::byte_len;

impl From<Exhausted> for WriteError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted { format: NAME }
    }
}

impl Compression {
    fn codec(self) -> Codec {
        match self {
            Self::None => Codec::Plain,
            Self::Zlib { level } => Codec::Deflate(level),
            Self::Zstd { level } => Codec::Zstd(level),
        }
    }

    /// What the header calls it; an image with no compressed clusters asks nothing of its reader.
    fn kind(self) -> CompressionType {
        match self {
            Self::None | Self::Zlib { .. } => CompressionType::Zlib,
            Self::Zstd { .. } => CompressionType::Zstd,
        }
    }
}

/// Writes `disk` to the empty file `output`, which is not flushed at the end. Reads and compresses
/// on `threads` threads.
///
/// # Errors
///
/// [`WriteError`], also when a signal arrived. Then `output` has no header.
pub fn write(
    disk: Disk<'_>,
    output: &dyn Target,
    compression: Compression,
    threads: NonZeroUsize,
    observer: &mut dyn Observer,
) -> Result<Summary, WriteError> {
    let data = disk.map.runs().iter().map(|run| run.count()).sum();
    let mut image = ImageWriter::new(output, disk.map.size(), data, compression.kind())?;
    encode::clusters(disk, compression.codec(), threads, observer, &mut image)?;
    image.finish()
}

/// An image that has no header yet.
#[must_use = "an image is nothing until it is finished"]
struct ImageWriter<'a> {
    sink: Sink<'a>,
    alloc: Allocator,
    compression_type: CompressionType,
    /// The most clusters of data and L2 tables.
    most: u64,
    /// Where the tables are that the header points to, once they have a place.
    tables: Option<Tables>,
    l1: Vec<u64>,
    /// The L2 table that is being filled. Clusters come in order, so there is only one.
    l2: Option<L2Table>,
    summary: Summary,
}

#[derive(Debug, Clone, Copy)]
struct Tables {
    l1: HostCluster,
    refcounts: HostCluster,
    refcount_clusters: u64,
}

struct L2Table {
    l1_slot: usize,
    entries: Vec<u64>,
}

impl<'a> ImageWriter<'a> {
    fn new(
        output: &'a dyn Target,
        size: u64,
        data: u64,
        compression_type: CompressionType,
    ) -> Result<Self, WriteError> {
        let too_large = WriteError::Size { size, format: NAME };
        // Readers count in sectors; the last one is filled up with zeros.
        let Some(size) = size.checked_next_multiple_of(SECTOR_SIZE) else {
            return Err(too_large);
        };
        let entries = tables::l1_entries(size);
        if entries > MAX_L1_ENTRIES {
            return Err(too_large);
        }
        let mut alloc = Allocator::default();
        let _header = alloc.whole(1)?;
        Ok(Self {
            sink: Sink::new(output, CLUSTER_SIZE),
            alloc,
            compression_type,
            most: data + entries,
            tables: None,
            l1: vec![0; index(entries)?],
            l2: None,
            summary: Summary::new(size),
        })
    }

    fn map(&mut self, cluster: ClusterIndex, mapping: Mapping) -> Result<(), WriteError> {
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
    fn end_l2(&mut self) -> Result<(), WriteError> {
        if let Some(table) = self.l2.take() {
            let place = self.alloc.whole(1)?;
            self.put_at(place.start(), &table_bytes(&table.entries))?;
            self.l1[table.l1_slot] = tables::encode_l1(place);
        }
        Ok(())
    }

    /// The places of the tables, which are given out when this is asked first.
    fn tables(&mut self) -> Result<Tables, WriteError> {
        if let Some(tables) = self.tables {
            return Ok(tables);
        }
        let l1 = self
            .alloc
            .whole((byte_len(self.l1.len()) * ENTRY_SIZE).div_ceil(CLUSTER_SIZE))?;
        // One block more: the table is among the clusters that the blocks count.
        let blocks = refcounts::blocks(self.alloc.clusters()? + self.most) + 1;
        let refcount_clusters = refcounts::table_clusters(blocks);
        let tables = Tables {
            l1,
            refcounts: self.alloc.whole(refcount_clusters)?,
            refcount_clusters,
        };
        self.tables = Some(tables);
        Ok(tables)
    }

    fn header(&self, tables: Tables) -> Result<Header, Exhausted> {
        Ok(Header {
            size: self.summary.virtual_size,
            l1_size: u32::try_from(self.l1.len()).map_err(|_| Exhausted)?,
            l1_table: tables.l1.start(),
            refcount_table: tables.refcounts.start(),
            refcount_table_clusters: u32::try_from(tables.refcount_clusters)
                .map_err(|_| Exhausted)?,
            compression_type: self.compression_type,
        })
    }

    /// Writes the tables, and then the header.
    fn finish(mut self) -> Result<Summary, WriteError> {
        self.end_l2()?;
        let tables = self.tables()?;
        let first_block = self
            .alloc
            .whole(refcounts::blocks(self.alloc.clusters()?))?;
        self.put_refcounts(first_block, tables.refcounts)?;
        self.put_at(tables.l1.start(), &table_bytes(&self.l1))?;
        self.sink.flush()?;
        let start = HostOffset::new(0).ok_or(Exhausted)?;
        self.put_at(start, &self.header(tables)?.to_bytes())?;
        self.sink.flush()?;
        self.summary.file_size = self.alloc.clusters()? * CLUSTER_SIZE;
        Ok(self.summary)
    }

    /// Puts the refcount blocks from `first` on, which end the file, and the table that points to
    /// them.
    fn put_refcounts(&mut self, first: HostCluster, table: HostCluster) -> Result<(), WriteError> {
        let mut blocks = Vec::new();
        for (number, counts) in (first.number()..).zip(self.alloc.refcounts().chunks(BLOCK_ENTRIES))
        {
            let place = HostCluster::new(number).ok_or(Exhausted)?.start();
            let mut bytes: Vec<u8> = counts
                .iter()
                .flat_map(|count| count.to_be_bytes())
                .collect();
            bytes.resize(CLUSTER_LENGTH, 0);
            self.sink.put(place.bytes(), &bytes)?;
            blocks.push(place.bytes());
        }
        self.put_at(table.start(), &table_bytes(&blocks))
    }

    fn put_at(&mut self, place: HostOffset, bytes: &[u8]) -> Result<(), WriteError> {
        self.sink.put(place.bytes(), bytes)
    }
}

impl Format for ImageWriter<'_> {
    fn put(&mut self, cluster: ClusterIndex, encoded: Encoded<'_>) -> Result<(), WriteError> {
        self.summary.count(encoded);
        let mapping = match encoded {
            Encoded::Zero => return Ok(()),
            Encoded::Stored(bytes) => {
                let place = self.alloc.whole(1)?;
                self.put_at(place.start(), bytes)?;
                Mapping::Stored(place)
            }
            Encoded::Compressed(bytes) => {
                let length = byte_len(bytes.len());
                let start = self.alloc.packed(length)?;
                self.put_at(start, bytes)?;
                Mapping::compressed(start, length).ok_or(Exhausted)?
            }
        };
        self.map(cluster, mapping)
    }

    fn settle(&mut self) -> Result<Settled, WriteError> {
        self.alloc.settle();
        self.sink.flush()?;
        let tables = self.tables()?;
        Ok(Settled {
            start: self.header(tables)?.to_bytes().to_vec(),
            end: tables.l1.start().bytes(),
        })
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
        let mut image = ImageWriter::new(
            file.as_file(),
            clusters * CLUSTER_SIZE,
            clusters,
            CompressionType::Zlib,
        )
        .unwrap();
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
