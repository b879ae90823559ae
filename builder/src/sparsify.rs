//! Which parts of a raw disk hold data: the question that decides what an image contains.
//!
//! The unit is the cluster, 64 KiB, as in the images written from the answer. The file system
//! below the disk knows its holes (`SEEK_DATA` and `SEEK_HOLE`, lseek(2)), so that holes are never
//! read. Data extents are rounded out to whole clusters; a cluster of data may still be all zeros,
//! which [`is_zero`] tells from the content while the cluster is being copied.
//!
//! Nothing here looks into the guest's file systems: a deleted file is data until it was trimmed.

use std::fs::File;
use std::io;
use std::iter;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Bytes of a cluster.
pub const CLUSTER_SIZE: u64 = 1 << CLUSTER_BITS;

/// [`CLUSTER_SIZE`] as the length of a buffer.
pub const CLUSTER_LENGTH: usize = 1 << CLUSTER_BITS;

/// Binary logarithm of [`CLUSTER_SIZE`].
pub const CLUSTER_BITS: u32 = 16;

/// A place on the guest's disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestOffset(u64);

impl GuestOffset {
    /// The place in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// The number of a cluster of the guest's disk.
///
/// It always comes from a 64-bit offset, so its own offset never overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterIndex(u64);

impl ClusterIndex {
    /// The cluster that the byte at `offset` is in.
    pub fn containing(offset: u64) -> Self {
        Self(offset >> CLUSTER_BITS)
    }

    /// How many clusters come before this one.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Where the cluster begins.
    pub fn start(self) -> GuestOffset {
        GuestOffset(self.0 << CLUSTER_BITS)
    }
}

/// Clusters that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterRun {
    first: ClusterIndex,
    count: u64,
}

impl ClusterRun {
    /// The first cluster.
    pub fn first(self) -> ClusterIndex {
        self.first
    }

    /// How many clusters there are, at least one.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Each cluster in turn.
    pub fn clusters(self) -> impl Iterator<Item = ClusterIndex> {
        (self.first.0..self.end()).map(ClusterIndex)
    }

    /// The number of the cluster after the last.
    fn end(self) -> u64 {
        self.first.0 + self.count
    }
}

/// Why the holes of a disk could not be found.
#[derive(Debug, thiserror::Error)]
pub enum SparsifyError {
    /// lseek(2) failed.
    #[error("looking for holes in the disk from offset {offset}")]
    Seek {
        /// Where the search began, in bytes.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The answers of the file system would never reach the end of the disk.
    #[error("the file system reports data at offset {offset} that ends before it begins")]
    Inconsistent {
        /// The place in bytes.
        offset: u64,
    },
}

/// The clusters of a disk that may hold something else than zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationMap {
    size: u64,
    /// In order; neighbours neither overlap nor touch.
    runs: Vec<ClusterRun>,
}

impl AllocationMap {
    /// Asks the file system for the data extents of the first `size` bytes of `disk`.
    ///
    /// Where it cannot tell, the whole disk is data. Moves the position of `disk`. The disk must
    /// not change between this and the end of its copying.
    ///
    /// # Errors
    ///
    /// [`SparsifyError`]: `disk` cannot be searched.
    pub fn of_file(disk: &File, size: u64) -> Result<Self, SparsifyError> {
        let mut map = Self {
            size,
            runs: Vec::new(),
        };
        let mut offset = 0;
        while offset < size {
            let data = match seek(disk, SeekFrom::Data(offset))? {
                Found::At(data) if data < offset => {
                    return Err(SparsifyError::Inconsistent { offset });
                }
                Found::At(data) => data,
                Found::NothingMore => break,
                Found::Unsupported => {
                    map.push(offset, size);
                    break;
                }
            };
            if data >= size {
                break;
            }
            let hole = match seek(disk, SeekFrom::Hole(data))? {
                Found::At(hole) if hole <= data => {
                    return Err(SparsifyError::Inconsistent { offset: data });
                }
                Found::At(hole) => hole.min(size),
                Found::NothingMore | Found::Unsupported => size,
            };
            map.push(data, hole);
            offset = hole;
        }
        Ok(map)
    }

    /// The size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The runs of data clusters, in order, never touching one another.
    pub fn runs(&self) -> &[ClusterRun] {
        &self.runs
    }

    /// The runs in pieces.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces {
            runs: &self.runs,
            taken: 0,
        }
    }

    /// How many bytes of the disk are in data clusters, the end of the disk taken into account.
    pub fn data_bytes(&self) -> u64 {
        self.runs.iter().map(|&run| self.bytes_of(run)).sum()
    }

    /// How many bytes of the disk are in `run`: its last cluster may be cut by the disk's end.
    pub fn bytes_of(&self, run: ClusterRun) -> u64 {
        let start = run.first.start().bytes();
        let whole = run.count.saturating_mul(CLUSTER_SIZE);
        whole.min(self.size.saturating_sub(start))
    }

    /// Adds the clusters that the bytes from `start` up to `end` touch; extents come in order and
    /// are not empty.
    fn push(&mut self, start: u64, end: u64) {
        let first = ClusterIndex::containing(start);
        let end = end.div_ceil(CLUSTER_SIZE);
        match self.runs.last_mut() {
            Some(last) if first.0 <= last.end() => last.count = end - last.first.0,
            _ => self.runs.push(ClusterRun {
                first,
                count: end - first.0,
            }),
        }
    }
}

/// Runs that are taken piece by piece.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    runs: &'a [ClusterRun],
    /// How many clusters of the first run are gone.
    taken: u64,
}

impl Pieces<'_> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes the next clusters, `limit` of them or what is left.
    pub fn take(&mut self, limit: u64) -> impl Iterator<Item = ClusterRun> {
        let mut room = limit;
        iter::from_fn(move || {
            let piece = self.piece(room)?;
            room -= piece.count;
            Some(piece)
        })
    }

    /// The next clusters that follow one another, at most `limit`.
    fn piece(&mut self, limit: u64) -> Option<ClusterRun> {
        if limit == 0 {
            return None;
        }
        let (&run, later) = self.runs.split_first()?;
        let left = run.count - self.taken;
        let piece = ClusterRun {
            first: ClusterIndex(run.first.0 + self.taken),
            count: left.min(limit),
        };
        if piece.count == left {
            self.runs = later;
            self.taken = 0;
        } else {
            self.taken += piece.count;
        }
        Some(piece)
    }
}

/// The answer of lseek(2).
enum Found {
    At(u64),
    /// Only a hole is left.
    NothingMore,
    /// This file cannot say where its holes are.
    Unsupported,
}

fn seek(disk: &File, to: SeekFrom) -> Result<Found, SparsifyError> {
    match rustix::fs::seek(disk, to) {
        Ok(offset) => Ok(Found::At(offset)),
        Err(Errno::NXIO) => Ok(Found::NothingMore),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Found::Unsupported),
        Err(errno) => Err(SparsifyError::Seek {
            offset: match to {
                SeekFrom::Data(offset) | SeekFrom::Hole(offset) => offset,
                _ => 0,
            },
            source: errno.into(),
        }),
    }
}

/// Whether there is nothing but zeros.
///
/// Looks at 128 bytes at a time, without an exit in between: the compiler turns that into vector
/// instructions.
pub fn is_zero(bytes: &[u8]) -> bool {
    let or = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte);
    let mut chunks = bytes.chunks_exact(128);
    let rest = chunks.remainder();
    chunks.all(|chunk| or(chunk) == 0) && or(rest) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    type Pairs = &'static [(u64, u64)];

    /// The runs as (first cluster, count).
    fn runs(map: &AllocationMap) -> Vec<(u64, u64)> {
        map.runs()
            .iter()
            .map(|run| (run.first().number(), run.count()))
            .collect()
    }

    #[test]
    fn extents_are_rounded_out_and_joined() {
        const K: u64 = 1024;
        let cases: [(u64, Pairs, Pairs); 6] = [
            (0, &[], &[]),
            (512, &[(0, 512)], &[(0, 1)]),
            (256 * K, &[(64 * K, 128 * K)], &[(1, 1)]),
            (256 * K, &[(64 * K - 512, 64 * K + 512)], &[(0, 2)]),
            (256 * K, &[(0, 512), (64 * K - 512, 64 * K)], &[(0, 1)]),
            (
                512 * K,
                &[(0, 64 * K), (64 * K, 65 * K), (300 * K, 301 * K)],
                &[(0, 2), (4, 1)],
            ),
        ];
        for (size, extents, expected) in cases {
            let mut map = AllocationMap {
                size,
                runs: Vec::new(),
            };
            for &(start, end) in extents {
                map.push(start, end);
            }
            assert_eq!(runs(&map), expected, "{extents:?}");
        }
    }

    #[test]
    fn holes_are_left_out() {
        let disk = tempfile::tempfile().unwrap();
        let size = 3 * 1024 * 1024 + 512;
        disk.set_len(size).unwrap();
        disk.write_all_at(b"x", 200_000).unwrap();
        disk.write_all_at(b"x", size - 1).unwrap();
        let map = AllocationMap::of_file(&disk, size).unwrap();
        assert_eq!(runs(&map), [(3, 1), (48, 1)]);
        assert_eq!(map.data_bytes(), CLUSTER_SIZE + 512);
    }

    #[test]
    fn a_disk_of_holes_has_no_data() {
        let disk = tempfile::tempfile().unwrap();
        disk.set_len(1 << 40).unwrap();
        let map = AllocationMap::of_file(&disk, 1 << 40).unwrap();
        assert_eq!(runs(&map), []);
    }

    #[test]
    fn only_the_given_size_counts() {
        let disk = tempfile::tempfile().unwrap();
        disk.write_all_at(&vec![1; 300_000], 0).unwrap();
        let map = AllocationMap::of_file(&disk, 66_048).unwrap();
        assert_eq!(runs(&map), [(0, 2)]);
        assert_eq!(map.data_bytes(), 66_048);
    }

    #[test]
    fn a_file_without_hole_reports_is_all_data() {
        let disk = File::open("/proc/self/status").unwrap();
        let map = AllocationMap::of_file(&disk, 100_352).unwrap();
        assert_eq!(runs(&map), [(0, 2)]);
    }

    #[test]
    fn answers_without_progress_are_refused() {
        let disk = File::open("/dev/zero").unwrap();
        let error = AllocationMap::of_file(&disk, 512).unwrap_err();
        assert!(matches!(error, SparsifyError::Inconsistent { offset: 0 }));
    }

    #[test]
    fn a_pipe_is_no_disk() {
        let (reader, _writer) = io::pipe().unwrap();
        let disk = File::from(std::os::fd::OwnedFd::from(reader));
        let error = AllocationMap::of_file(&disk, 512).unwrap_err();
        assert!(matches!(error, SparsifyError::Seek { offset: 0, .. }));
    }

    #[test]
    fn pieces_cover_the_runs() {
        let run = |first, count| ClusterRun {
            first: ClusterIndex(first),
            count,
        };
        let map = AllocationMap {
            size: 20 * CLUSTER_SIZE,
            runs: vec![run(5, 9), run(15, 1), run(17, 2)],
        };
        let mut pieces = map.pieces();
        for expected in [
            &[run(5, 4)][..],
            &[run(9, 4)],
            &[run(13, 1), run(15, 1), run(17, 2)],
            &[],
        ] {
            assert_eq!(pieces.is_empty(), expected.is_empty());
            assert_eq!(pieces.take(4).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn one_byte_anywhere_is_not_zero() {
        for length in [0, 1, 127, 128, 129, 1000, 65536] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes), "{length}");
            for place in [0, 1, 126, 127, 128, 999, 65535] {
                if place < length {
                    bytes[place] = 0x80;
                    assert!(!is_zero(&bytes), "{place} of {length}");
                    bytes[place] = 0;
                }
            }
        }
    }
}
