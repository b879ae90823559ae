//! The refcount table and its blocks, which say how often each cluster of the file is referred to.

use super::tables::ENTRY_SIZE;
use crate::sparsify::{CLUSTER_LENGTH, CLUSTER_SIZE};

/// Bytes of a refcount.
const REFCOUNT_SIZE: usize = 2;

/// How many clusters one refcount block, itself a cluster, counts for.
pub const BLOCK_ENTRIES: usize = CLUSTER_LENGTH / REFCOUNT_SIZE;

/// [`BLOCK_ENTRIES`] as a number of clusters.
const BLOCK_COVERS: u64 = 1 << 15;

/// How many refcount blocks an image of `used` clusters needs, for themselves too.
pub fn blocks(used: u64) -> u64 {
    used.div_ceil(BLOCK_COVERS - 1)
}

/// How many clusters the table takes that points to so many blocks.
pub fn table_clusters(blocks: u64) -> u64 {
    (blocks * ENTRY_SIZE).div_ceil(CLUSTER_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_count_themselves() {
        let cases = [
            (1, 1),
            (BLOCK_COVERS - 1, 1),
            (BLOCK_COVERS, 2),
            (2 * BLOCK_COVERS - 2, 2),
            (2 * BLOCK_COVERS - 1, 3),
            (1 << 38, 8_388_865),
        ];
        for (used, expected) in cases {
            let blocks = blocks(used);
            assert_eq!(blocks, expected, "{used}");
            assert!(blocks * BLOCK_COVERS >= used + blocks, "{used}");
            assert!((blocks - 1) * BLOCK_COVERS < used + blocks - 1, "{used}");
        }
    }

    #[test]
    fn a_table_cluster_points_to_8192_blocks() {
        let clusters = [1, 8192, 8193, 8_388_865].map(table_clusters);
        assert_eq!(clusters, [1, 1, 2, 1025]);
    }
}
