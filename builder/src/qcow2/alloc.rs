//! Gives out the clusters of the image file and counts the references to each.
//!
//! Compressed clusters are packed: each begins at the byte where another ended, and may go on into
//! the next host cluster. A host cluster is referred to once by each compressed cluster that
//! touches it.

use super::types::{HostCluster, HostOffset};
use crate::sparsify::CLUSTER_SIZE;

/// How many partly filled clusters are remembered. A few are enough: compressed clusters are of
/// all sizes, so each gap is soon taken.
const MAX_GAPS: usize = 32;

/// The image has no room left that its tables could describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

/// The free end of a cluster that compressed data began to fill.
#[derive(Debug, Clone, Copy)]
struct Gap {
    start: HostOffset,
    length: u64,
}

/// The space of an image file that only grows.
///
/// Takes two bytes of memory for each 64 KiB of the file.
#[derive(Debug, Default)]
pub struct Allocator {
    /// One for each cluster of the file.
    refcounts: Vec<u16>,
    gaps: Vec<Gap>,
}

impl Allocator {
    /// The refcount of each cluster of the file so far.
    pub fn refcounts(&self) -> &[u16] {
        &self.refcounts
    }

    /// How many clusters the file has so far.
    pub fn clusters(&self) -> Result<u64, Exhausted> {
        u64::try_from(self.refcounts.len()).map_err(|_| Exhausted)
    }

    /// `count` new clusters that follow one another, each with one reference.
    pub fn whole(&mut self, count: u64) -> Result<HostCluster, Exhausted> {
        let first = HostCluster::new(self.clusters()?).ok_or(Exhausted)?;
        for _ in 0..count {
            self.grow(1)?;
        }
        Ok(first)
    }

    /// `length` bytes, at least 1, for compressed data: in the smallest gap that has room, else
    /// at the end of the file, where data may go on into a new cluster.
    pub fn packed(&mut self, length: u64) -> Result<HostOffset, Exhausted> {
        let start = self.take_gap(length)?;
        let last = start.checked_add(length - 1).ok_or(Exhausted)?;
        for number in start.cluster().number()..=last.cluster().number() {
            self.refer(number)?;
        }
        let used = last.within_cluster() + 1;
        if used < CLUSTER_SIZE {
            self.add_gap(Gap {
                start: last.checked_add(1).ok_or(Exhausted)?,
                length: CLUSTER_SIZE - used,
            });
        }
        Ok(start)
    }

    /// Leaves the clusters that the file has as they are from now on.
    pub fn settle(&mut self) {
        self.gaps.clear();
    }

    fn take_gap(&mut self, length: u64) -> Result<HostOffset, Exhausted> {
        let end = self.clusters()?;
        let fitting = self
            .gaps
            .iter()
            .enumerate()
            .filter(|(_, gap)| gap.length >= length)
            .min_by_key(|(_, gap)| gap.length)
            .map(|(at, _)| at);
        let last = || {
            self.gaps
                .iter()
                .position(|gap| gap.start.cluster().number() + 1 == end)
        };
        match fitting.or_else(last) {
            Some(at) => Ok(self.gaps.swap_remove(at).start),
            None => Ok(HostCluster::new(end).ok_or(Exhausted)?.start()),
        }
    }

    fn add_gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
        if self.gaps.len() > MAX_GAPS {
            let smallest = (0..self.gaps.len()).min_by_key(|&at| self.gaps[at].length);
            if let Some(at) = smallest {
                self.gaps.swap_remove(at);
            }
        }
    }

    /// One more reference to a cluster of the file, or to the new one after its end.
    fn refer(&mut self, number: u64) -> Result<(), Exhausted> {
        if number == self.clusters()? {
            return self.grow(1);
        }
        let at = usize::try_from(number).map_err(|_| Exhausted)?;
        let count = self.refcounts.get_mut(at).ok_or(Exhausted)?;
        *count = count.checked_add(1).ok_or(Exhausted)?;
        Ok(())
    }

    fn grow(&mut self, refcount: u16) -> Result<(), Exhausted> {
        HostCluster::new(self.clusters()?).ok_or(Exhausted)?;
        self.refcounts.push(refcount);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(alloc: &mut Allocator, length: u64) -> u64 {
        alloc.packed(length).unwrap().bytes()
    }

    #[test]
    fn packed_data_goes_on_into_the_next_cluster() {
        let mut alloc = Allocator::default();
        assert_eq!(packed(&mut alloc, 40_000), 0);
        assert_eq!(packed(&mut alloc, 40_000), 40_000);
        assert_eq!(packed(&mut alloc, 51_072), 80_000);
        assert_eq!(
            alloc.refcounts(),
            [2, 2],
            "the second cluster is full to its last byte"
        );
        assert_eq!(packed(&mut alloc, 1), 131_072);
        assert_eq!(alloc.refcounts(), [2, 2, 1]);
    }

    #[test]
    fn whole_clusters_leave_gaps_that_are_filled_best_first() {
        let mut alloc = Allocator::default();
        let k = 1024;
        assert_eq!(packed(&mut alloc, 34 * k), 0);
        assert_eq!(alloc.whole(1).unwrap().number(), 1);
        assert_eq!(
            packed(&mut alloc, 44 * k),
            128 * k,
            "does not fit before the stored cluster"
        );
        assert_eq!(alloc.whole(2).unwrap().number(), 3);
        assert_eq!(
            packed(&mut alloc, 19 * k),
            172 * k,
            "20 KiB are free here, 30 KiB there"
        );
        assert_eq!(packed(&mut alloc, 30 * k), 34 * k);
        assert_eq!(packed(&mut alloc, 2 * k), 320 * k);
        assert_eq!(alloc.refcounts(), [2, 1, 2, 1, 1, 1]);
    }

    #[test]
    fn few_gaps_are_remembered_and_the_smallest_is_forgotten() {
        let mut alloc = Allocator::default();
        for left in 1..=40 {
            alloc.packed(CLUSTER_SIZE - left * 100).unwrap();
            alloc.whole(1).unwrap();
        }
        assert_eq!(alloc.gaps.len(), MAX_GAPS);
        assert_eq!(alloc.gaps.iter().map(|gap| gap.length).min(), Some(900));
    }

    #[test]
    fn settled_clusters_are_not_filled_up() {
        let mut alloc = Allocator::default();
        assert_eq!(packed(&mut alloc, 40_000), 0);
        alloc.settle();
        assert_eq!(packed(&mut alloc, 10_000), CLUSTER_SIZE);
        assert_eq!(packed(&mut alloc, 10_000), CLUSTER_SIZE + 10_000);
        assert_eq!(alloc.refcounts(), [1, 2]);
    }

    #[test]
    fn a_refcount_never_wraps() {
        let mut alloc = Allocator::default();
        for _ in 0..65_535 {
            alloc.packed(1).unwrap();
        }
        assert_eq!(alloc.refcounts(), [u16::MAX]);
        assert_eq!(alloc.packed(1), Err(Exhausted));
    }
}
