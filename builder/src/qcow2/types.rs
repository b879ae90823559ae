//! Places in the image file, as opposed to places on the guest's disk.

use crate::sparsify::{CLUSTER_BITS, CLUSTER_SIZE};

/// A place in the image file, in bytes.
///
/// Below 2^54, the most that the descriptor of a compressed cluster can hold; every other offset
/// of the format has room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostOffset(u64);

impl HostOffset {
    /// The first offset that is too large.
    pub const LIMIT: u64 = 1 << 54;

    /// The place at `bytes`, unless it is beyond what the format can name.
    pub fn new(bytes: u64) -> Option<Self> {
        (bytes < Self::LIMIT).then_some(Self(bytes))
    }

    /// The place in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The place `bytes` further on.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        Self::new(self.0.checked_add(bytes)?)
    }

    /// The cluster that this place is in.
    pub fn cluster(self) -> HostCluster {
        HostCluster(self.0 >> CLUSTER_BITS)
    }

    /// How many bytes of the cluster are before this place.
    pub fn within_cluster(self) -> u64 {
        self.0 % CLUSTER_SIZE
    }
}

/// The number of a cluster of the image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostCluster(u64);

impl HostCluster {
    /// The cluster with `number` clusters before it, unless it is beyond what the format can name.
    pub fn new(number: u64) -> Option<Self> {
        (number < HostOffset::LIMIT >> CLUSTER_BITS).then_some(Self(number))
    }

    /// How many clusters come before this one.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Where the cluster begins.
    pub fn start(self) -> HostOffset {
        HostOffset(self.0 << CLUSTER_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_end_where_descriptors_do() {
        let last = HostOffset::LIMIT - 1;
        assert_eq!(HostOffset::new(last).map(HostOffset::bytes), Some(last));
        assert_eq!(HostOffset::new(last + 1), None);
        assert_eq!(HostOffset::new(last).unwrap().checked_add(1), None);
        assert_eq!(HostOffset::new(1).unwrap().checked_add(u64::MAX), None);
        let cluster = HostOffset::new(last).unwrap().cluster();
        assert_eq!(HostCluster::new(cluster.number()), Some(cluster));
        assert_eq!(HostCluster::new(cluster.number() + 1), None);
    }
}
