//! The entries of the L1 table and of the L2 tables, which lead from guest clusters to the file.

use super::types::{HostCluster, HostOffset};
use crate::sparsify::{CLUSTER_SIZE, ClusterIndex};

/// Bytes of an entry of any table.
pub const ENTRY_SIZE: u64 = 8;

/// How many clusters an L2 table, itself one cluster, describes.
pub const L2_ENTRIES: u64 = CLUSTER_SIZE / ENTRY_SIZE;

/// What compressed data is counted in.
pub const SECTOR_SIZE: u64 = 512;

/// The largest L1 table that QEMU opens, in entries (32 MiB).
pub const MAX_L1_ENTRIES: u64 = (32 << 20) / ENTRY_SIZE;

/// Bit 63 of L1 and L2 entries: the refcount is exactly one.
const COPIED: u64 = 1 << 63;

/// Bit 62 of L2 entries: a compressed cluster.
const COMPRESSED: u64 = 1 << 62;

/// Where the number of additional sectors begins in the descriptor of a compressed cluster:
/// bit 62 - (`cluster_bits` - 8).
const SECTORS_SHIFT: u32 = 54;

/// How many entries the L1 table of a disk of `size` bytes needs; an empty disk has one as well,
/// so that there is always a table.
pub fn l1_entries(size: u64) -> u64 {
    size.div_ceil(CLUSTER_SIZE).div_ceil(L2_ENTRIES).max(1)
}

/// Where a guest cluster is in the L2 table that describes it.
pub fn l2_slot(cluster: ClusterIndex) -> u64 {
    cluster.number() % L2_ENTRIES
}

/// The entry of the L1 table for the L2 table that describes a guest cluster.
pub fn l1_slot(cluster: ClusterIndex) -> u64 {
    cluster.number() / L2_ENTRIES
}

/// The L1 entry that points to an L2 table.
pub fn encode_l1(table: HostCluster) -> u64 {
    table.start().bytes() | COPIED
}

/// The L2 table that an L1 entry points to, `None` for 0: nothing in this part of the disk.
///
/// # Errors
///
/// The entry, if it breaks a rule.
pub fn decode_l1(entry: u64) -> Result<Option<HostCluster>, u64> {
    if entry == 0 {
        return Ok(None);
    }
    let offset = cluster_offset(entry & !COPIED).ok_or(entry)?;
    Ok(Some(offset.cluster()))
}

/// Where the content of a guest cluster is: an L2 entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Nowhere: it reads as zeros.
    Unallocated,
    /// In a cluster of its own, as it is.
    Stored(HostCluster),
    /// Compressed, at any byte of the file.
    Compressed {
        /// Where the compressed bytes begin.
        start: HostOffset,
        /// How many sectors they touch after the one that they begin in.
        more_sectors: u8,
    },
}

impl Mapping {
    /// The mapping of a cluster compressed to `length` bytes at `start`; `None` if they are none,
    /// or too many for a descriptor.
    pub fn compressed(start: HostOffset, length: u64) -> Option<Self> {
        let last = start.checked_add(length.checked_sub(1)?)?;
        let sectors = last.bytes() / SECTOR_SIZE - start.bytes() / SECTOR_SIZE;
        let more_sectors = u8::try_from(sectors).ok()?;
        Some(Self::Compressed {
            start,
            more_sectors,
        })
    }

    /// The L2 entry.
    pub fn encode(self) -> u64 {
        match self {
            Self::Unallocated => 0,
            Self::Stored(cluster) => cluster.start().bytes() | COPIED,
            Self::Compressed {
                start,
                more_sectors,
            } => COMPRESSED | u64::from(more_sectors) << SECTORS_SHIFT | start.bytes(),
        }
    }

    /// The mapping in an L2 entry.
    ///
    /// # Errors
    ///
    /// The entry, if it breaks a rule or has the bit for explicit zeros, which is never written.
    pub fn decode(entry: u64) -> Result<Self, u64> {
        if entry == 0 {
            return Ok(Self::Unallocated);
        }
        if entry & COMPRESSED == 0 {
            let offset = cluster_offset(entry & !COPIED).ok_or(entry)?;
            return Ok(Self::Stored(offset.cluster()));
        }
        if entry & COPIED != 0 {
            return Err(entry);
        }
        let start = HostOffset::new(entry % HostOffset::LIMIT).ok_or(entry)?;
        let sectors = (entry & !COMPRESSED) >> SECTORS_SHIFT;
        Ok(Self::Compressed {
            start,
            more_sectors: u8::try_from(sectors).map_err(|_| entry)?,
        })
    }
}

/// An offset that must be that of a cluster, and not of the header.
fn cluster_offset(bytes: u64) -> Option<HostOffset> {
    HostOffset::new(bytes).filter(|offset| bytes != 0 && offset.within_cluster() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_tables_cover_the_disk() {
        let two_tables = 512 << 20;
        let cases = [
            (0, 1),
            (512, 1),
            (two_tables, 1),
            (two_tables + 512, 2),
            (400 << 30, 800),
            (u64::MAX, 1 << 35),
        ];
        for (size, entries) in cases {
            assert_eq!(l1_entries(size), entries, "{size}");
        }
    }

    #[test]
    fn slots_split_the_cluster_number() {
        let cluster = ClusterIndex::containing(5 * (512 << 20) + 7 * CLUSTER_SIZE + 9);
        assert_eq!((l1_slot(cluster), l2_slot(cluster)), (5, 7));
    }

    #[test]
    fn entries_are_as_specified() {
        let at = |bytes| HostOffset::new(bytes).unwrap();
        let cases = [
            (Mapping::Unallocated, 0),
            (
                Mapping::Stored(at(0x50000).cluster()),
                0x8000_0000_0005_0000,
            ),
            (
                Mapping::compressed(at(0x50000), 1).unwrap(),
                0x4000_0000_0005_0000,
            ),
            (
                Mapping::compressed(at(0x50001), 511).unwrap(),
                0x4000_0000_0005_0001,
            ),
            (
                Mapping::compressed(at(0x50001), 512).unwrap(),
                0x4040_0000_0005_0001,
            ),
            (
                Mapping::compressed(at(0x501ff), 65_536).unwrap(),
                0x6000_0000_0005_01ff,
            ),
            (
                Mapping::compressed(at(HostOffset::LIMIT - 1), 1).unwrap(),
                0x403f_ffff_ffff_ffff,
            ),
        ];
        for (mapping, entry) in cases {
            assert_eq!(mapping.encode(), entry, "{mapping:?}");
            assert_eq!(Mapping::decode(entry), Ok(mapping), "{entry:#x}");
        }
    }

    #[test]
    fn impossible_compressed_clusters_are_refused() {
        let at = |bytes| HostOffset::new(bytes).unwrap();
        assert_eq!(Mapping::compressed(at(0x50000), 0), None);
        assert_eq!(Mapping::compressed(at(0x50000), 256 * 512 + 1), None);
        assert_eq!(Mapping::compressed(at(HostOffset::LIMIT - 1), 2), None);
    }

    #[test]
    fn entries_that_break_a_rule_are_refused() {
        let l2 = [
            0x8000_0000_0000_0000,
            0x8000_0000_0005_0001,
            0x8000_0000_0005_0200,
            0x8100_0000_0005_0000,
            0xc000_0000_0005_0000,
        ];
        for entry in l2 {
            assert_eq!(Mapping::decode(entry), Err(entry), "{entry:#x}");
        }
        for entry in [
            0x8000_0000_0000_0000,
            0x8000_0000_0005_0200,
            0x8100_0000_0005_0000,
        ] {
            assert_eq!(decode_l1(entry), Err(entry), "{entry:#x}");
        }
        let table = HostCluster::new(5).unwrap();
        assert_eq!(encode_l1(table), 0x8000_0000_0005_0000);
        assert_eq!(decode_l1(0x8000_0000_0005_0000), Ok(Some(table)));
        assert_eq!(decode_l1(0), Ok(None));
    }
}
