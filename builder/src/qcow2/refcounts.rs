//! The refcount table and its blocks, which say how often each cluster of the file is referred to.

use super::tables::ENTRY_SIZE;
use crate::sparsify::{CLUSTER_LENGTH, CLUSTER_SIZE};

/// Bytes of a refcount.
const REFCOUNT_SIZE: usize = 2;

/// How many clusters one refcount block, itself a cluster, counts for.
pub const BLOCK_ENTRIES: usize = CLUSTER_LENGTH / REFCOUNT_SIZE;

/// [`BLOCK_ENTRIES`] as a number of clusters.
const BLOCK_COVERS: u64 = 1 << 15;

/// How many clusters the refcounts of an image take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefcountSize {
    /// The blocks, one cluster each.
    pub blocks: u64,
    /// The clusters of the table, which points to the blocks.
    pub table_clusters: u64,
}

impl RefcountSize {
    /// What an image of `used` clusters needs, the refcounts of the refcounts included.
    pub fn of(used: u64) -> Self {
        let mut size = Self {
            blocks: 0,
            table_clusters: 0,
        };
        loop {
            let blocks = (used + size.blocks + size.table_clusters).div_ceil(BLOCK_COVERS);
            let table_clusters = (blocks * ENTRY_SIZE).div_ceil(CLUSTER_SIZE);
            let next = Self {
                blocks,
                table_clusters,
            };
            // Each round asks for as much as the last one or a little more.
            if next == size {
                return size;
            }
            size = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refcounts_count_themselves() {
        let cases = [
            (1, (1, 1)),
            (BLOCK_COVERS - 2, (1, 1)),
            (BLOCK_COVERS - 1, (2, 1)),
            (BLOCK_COVERS, (2, 1)),
            (2 * BLOCK_COVERS - 3, (2, 1)),
            (2 * BLOCK_COVERS - 2, (3, 1)),
            (8192 * BLOCK_COVERS - 8193, (8192, 1)),
            (8192 * BLOCK_COVERS - 8192, (8193, 2)),
            (1 << 38, (8_388_865, 1025)),
        ];
        for (used, (blocks, table_clusters)) in cases {
            let size = RefcountSize::of(used);
            assert_eq!(
                (size.blocks, size.table_clusters),
                (blocks, table_clusters),
                "{used}"
            );
            let all = used + blocks + table_clusters;
            assert!(blocks * BLOCK_COVERS >= all, "{used}");
        }
    }
}
