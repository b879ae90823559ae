//! Reads back an image that this program wrote, to look at how it is made.
//!
//! Refuses every feature that is never written. All offsets and counts are checked against the
//! size of the file before they are used.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::header::{HEADER_SIZE, Header, Unsupported};
use super::tables::{self, ENTRY_SIZE, L2_ENTRIES, MAX_L1_ENTRIES, Mapping, SECTOR_SIZE};
use super::types::HostOffset;
use crate::sparsify::{CLUSTER_SIZE, ClusterIndex};

/// How many clusters [`Dump::text`] lists one by one.
const LISTED: u64 = 1000;

/// Why an image could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file could not be read, or is cut off.
    #[error("reading the image at offset {offset}")]
    Read {
        /// The place in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The header is not one of ours.
    #[error("decoding the header")]
    Header {
        /// The field.
        source: Unsupported,
    },
    /// The L1 table does not fit the disk.
    #[error("the L1 table has {entries} entries for a disk of {size} bytes")]
    L1Size {
        /// Its entries.
        entries: u32,
        /// The size of the disk in bytes.
        size: u64,
    },
    /// There are more L2 tables than clusters in the file.
    #[error("the L1 table points to {tables} L2 tables, more than the file holds")]
    L1Tables {
        /// How many.
        tables: usize,
    },
    /// A table has an entry that breaks a rule.
    #[error("an entry for offset {offset} of the disk is {entry:#x}")]
    Entry {
        /// The place on the disk in bytes.
        offset: u64,
        /// The entry.
        entry: u64,
    },
    /// A table points to where the file has ended.
    #[error("offset {offset} of the disk leads beyond the end of the file")]
    BeyondEnd {
        /// The place on the disk in bytes.
        offset: u64,
    },
}

/// Where a guest cluster is, unless the table that says so is broken.
type Located = Result<(ClusterIndex, Mapping), DumpError>;

/// An image whose header and L1 table have been checked.
#[derive(Debug)]
pub struct Dump<'a> {
    image: &'a File,
    header: Header,
    file_size: u64,
    l1: Vec<u64>,
}

impl<'a> Dump<'a> {
    /// Reads the header and the L1 table of `image`.
    ///
    /// # Errors
    ///
    /// [`DumpError`].
    pub fn read(image: &'a File) -> Result<Self, DumpError> {
        let reading = |source| DumpError::Read { offset: 0, source };
        let file_size = image.metadata().map_err(reading)?.len();
        let mut bytes = [0; HEADER_SIZE];
        image.read_exact_at(&mut bytes, 0).map_err(reading)?;
        let header = Header::parse(&bytes).map_err(|source| DumpError::Header { source })?;
        let entries = u64::from(header.l1_size);
        if entries != tables::l1_entries(header.size) || entries > MAX_L1_ENTRIES {
            return Err(DumpError::L1Size {
                entries: header.l1_size,
                size: header.size,
            });
        }
        let l1 = read_table(image, header.l1_table, entries)?;
        let tables = l1.iter().filter(|&&entry| entry != 0).count();
        if u64::try_from(tables).is_ok_and(|tables| tables > file_size / CLUSTER_SIZE) {
            return Err(DumpError::L1Tables { tables });
        }
        Ok(Self {
            image,
            header,
            file_size,
            l1,
        })
    }

    /// The header.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Where each guest cluster with content is, in the order of the disk.
    ///
    /// # Errors
    ///
    /// Each table that cannot be read and each entry that breaks a rule is an error of its own.
    pub fn clusters(&self) -> impl Iterator<Item = Located> {
        (0..)
            .zip(&self.l1)
            .flat_map(|(slot, &entry)| match self.table(slot, entry) {
                Ok(mappings) => mappings,
                Err(error) => vec![Err(error)],
            })
    }

    /// The whole image as text, its clusters up to a limit.
    ///
    /// # Errors
    ///
    /// [`DumpError`].
    pub fn text(&self) -> Result<String, DumpError> {
        let header = &self.header;
        let mut text = format!(
            "disk {} bytes\nfile {} bytes\ncompression type {:?}\n\
             L1 table at {:#x}, {} entries\nrefcount table at {:#x}, {} clusters\n",
            header.size,
            self.file_size,
            header.compression_type,
            header.l1_table.bytes(),
            header.l1_size,
            header.refcount_table.bytes(),
            header.refcount_table_clusters,
        );
        let (mut stored, mut compressed) = (0_u64, 0_u64);
        for cluster in self.clusters() {
            let (index, mapping) = cluster?;
            let listed = stored + compressed < LISTED;
            let line = match mapping {
                Mapping::Unallocated => continue,
                Mapping::Stored(place) => {
                    stored += 1;
                    format!("stored at {:#x}", place.start().bytes())
                }
                Mapping::Compressed {
                    start,
                    more_sectors,
                } => {
                    compressed += 1;
                    format!(
                        "compressed at {:#x}, +{more_sectors} sectors",
                        start.bytes()
                    )
                }
            };
            if listed {
                writeln!(text, "{:#x} {line}", index.start().bytes()).ok();
            }
        }
        let more = (stored + compressed).saturating_sub(LISTED);
        if more > 0 {
            writeln!(text, "... and {more} more").ok();
        }
        writeln!(text, "{stored} stored, {compressed} compressed").ok();
        Ok(text)
    }

    /// The clusters with content that the L2 table at an L1 entry describes.
    fn table(&self, slot: u64, entry: u64) -> Result<Vec<Located>, DumpError> {
        let offset = slot * L2_ENTRIES * CLUSTER_SIZE;
        let table = match tables::decode_l1(entry) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(Vec::new()),
            Err(entry) => return Err(DumpError::Entry { offset, entry }),
        };
        let entries = read_table(self.image, table.start(), L2_ENTRIES)?;
        Ok((0..)
            .zip(entries)
            .filter(|&(_, entry)| entry != 0)
            .map(|(at, entry)| self.mapping(offset + at * CLUSTER_SIZE, entry))
            .collect())
    }

    /// Checks the L2 entry for `offset` of the disk.
    fn mapping(&self, offset: u64, entry: u64) -> Located {
        if offset >= self.header.size {
            return Err(DumpError::Entry { offset, entry });
        }
        let mapping = Mapping::decode(entry).map_err(|entry| DumpError::Entry { offset, entry })?;
        let end = match mapping {
            Mapping::Unallocated => 0,
            Mapping::Stored(place) => place.start().bytes() + CLUSTER_SIZE,
            Mapping::Compressed {
                start,
                more_sectors,
            } => (start.bytes() / SECTOR_SIZE + 1 + u64::from(more_sectors)) * SECTOR_SIZE,
        };
        if end > self.file_size {
            return Err(DumpError::BeyondEnd { offset });
        }
        Ok((ClusterIndex::containing(offset), mapping))
    }
}

/// Reads a table of `entries`, of which there are at most [`MAX_L1_ENTRIES`].
fn read_table(image: &File, place: HostOffset, entries: u64) -> Result<Vec<u64>, DumpError> {
    let reading = |source| DumpError::Read {
        offset: place.bytes(),
        source,
    };
    let length =
        usize::try_from(entries * ENTRY_SIZE).map_err(|error| reading(io::Error::other(error)))?;
    let mut bytes = vec![0; length];
    image
        .read_exact_at(&mut bytes, place.bytes())
        .map_err(reading)?;
    let (entries, _) = bytes.as_chunks::<8>();
    Ok(entries
        .iter()
        .map(|&entry| u64::from_be_bytes(entry))
        .collect())
}
