//! Reads the disk and encodes its clusters on several threads, and hands the results out in the
//! order of the disk.
//!
//! A thread takes an empty batch and the next clusters together, so that the first batch that is
//! missing is always in work: there are few of them, and none waits for one behind it.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};

use rustix::fs::{Advice, fadvise};

use super::encoder::{Encoder, Form};
use super::{Codec, Disk, Encoded, WriteError};
use crate::sparsify::{CLUSTER_LENGTH, ClusterIndex, ClusterRun, Pieces};
use crate::units::byte_len;

/// Clusters of a batch: up to 512 KiB.
const BATCH_CLUSTERS: u64 = 8;

/// Batches for each thread: one in work, the others on their way.
const BATCHES_PER_THREAD: usize = 4;

/// The least batches for all threads: so many are filled while a large piece is written.
const LEAST_BATCHES: usize = 24;

/// How many clusters the kernel reads before they are asked for: 8 MiB.
const READ_AHEAD: u64 = 128;

/// Encoded clusters in the order of the disk.
#[derive(Debug, Default)]
pub struct Batch {
    runs: Vec<ClusterRun>,
    bytes_of_disk: u64,
    /// What became of each cluster, and where its bytes end.
    clusters: Vec<(ClusterIndex, Form, usize)>,
    bytes: Vec<u8>,
}

impl Batch {
    /// How many bytes of the disk it stands for.
    pub fn bytes_of_disk(&self) -> u64 {
        self.bytes_of_disk
    }

    /// Each cluster in turn.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterIndex, Encoded<'_>)> {
        let mut start = 0;
        self.clusters.iter().map(move |&(cluster, form, end)| {
            let bytes = &self.bytes[start..end];
            start = end;
            let encoded = match form {
                Form::Zero => Encoded::Zero,
                Form::Stored => Encoded::Stored(bytes),
                Form::Compressed => Encoded::Compressed(bytes),
            };
            (cluster, encoded)
        })
    }

    /// Reads and encodes its runs.
    fn fill(&mut self, disk: Disk<'_>, encoder: &mut Encoder) -> Result<(), WriteError> {
        self.bytes_of_disk = 0;
        self.clusters.clear();
        self.bytes.clear();
        for &run in &self.runs {
            let bytes = disk.map.bytes_of(run);
            let mut left = bytes;
            for cluster in run.clusters() {
                let offset = cluster.start().bytes();
                // The disk may end within its last cluster, which reads as zeros from there.
                let length =
                    usize::try_from(left).map_or(CLUSTER_LENGTH, |left| left.min(CLUSTER_LENGTH));
                let (content, beyond) = encoder.cluster().split_at_mut(length);
                disk.file
                    .read_exact_at(content, offset)
                    .map_err(|source| WriteError::Read { offset, source })?;
                beyond.fill(0);
                left -= byte_len(length);
                let form = encoder.encode(&mut self.bytes);
                self.clusters.push((cluster, form, self.bytes.len()));
            }
            self.bytes_of_disk += bytes;
        }
        Ok(())
    }
}

/// What the threads take from.
struct Supply<'a> {
    empty: Receiver<Batch>,
    disk: Disk<'a>,
    pieces: Pieces<'a>,
    /// The pieces that the kernel was not told of yet.
    unread: Pieces<'a>,
    /// The number of the next batch.
    number: u64,
}

impl Supply<'_> {
    /// An empty batch with the next runs and its number, once there is one; `None` when all is
    /// done, or nobody wants more.
    fn take(&mut self) -> Option<(u64, Batch)> {
        if self.pieces.is_empty() {
            return None;
        }
        let mut batch = self.empty.recv().ok()?;
        batch.runs.clear();
        batch.runs.extend(self.pieces.take(BATCH_CLUSTERS));
        self.read_ahead(BATCH_CLUSTERS);
        let number = self.number;
        self.number += 1;
        Some((number, batch))
    }

    /// Lets the kernel read the next clusters while others are encoded.
    fn read_ahead(&mut self, clusters: u64) {
        for run in self.unread.take(clusters) {
            let length = NonZeroU64::new(self.disk.map.bytes_of(run));
            // An advice only; some files take none.
            fadvise(
                self.disk.file,
                run.first().start().bytes(),
                length,
                Advice::WillNeed,
            )
            .ok();
        }
    }
}

/// A batch with its number; `None` of a thread that panics.
type Finished = Option<(u64, Result<Batch, WriteError>)>;

/// All batches of the disk in order; an error is the last one.
pub struct Batches {
    finished: Receiver<Finished>,
    /// Those whose turn has not come.
    early: BTreeMap<u64, Result<Batch, WriteError>>,
    turn: u64,
    empty: Sender<Batch>,
}

impl Batches {
    /// Starts the threads in `scope`. They end when all is done or this is dropped.
    pub fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        disk: Disk<'env>,
        codec: Codec,
        threads: NonZeroUsize,
    ) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Thread { source };
        let (empty, supplied) = channel();
        let (sender, finished) = channel();
        let mut supply = Supply {
            empty: supplied,
            disk,
            pieces: disk.map.pieces(),
            unread: disk.map.pieces(),
            number: 0,
        };
        supply.read_ahead(READ_AHEAD);
        let supply = Arc::new(Mutex::new(supply));
        for number in 0..threads.get() {
            let mut encoder = Encoder::new(codec).map_err(failed)?;
            let (supply, sender) = (Arc::clone(&supply), sender.clone());
            Builder::new()
                .name(format!("encode-{number}"))
                .spawn_scoped(scope, move || work(disk, &supply, &mut encoder, &sender))
                .map_err(failed)?;
        }
        for _ in 0..LEAST_BATCHES.max(threads.get() * BATCHES_PER_THREAD) {
            // Each thread holds the other end.
            empty.send(Batch::default()).ok();
        }
        Ok(Self {
            finished,
            early: BTreeMap::new(),
            turn: 0,
            empty,
        })
    }

    /// The next batch, once it is there; `None` after the last one, or if a thread panicked, as
    /// the scope then does.
    pub fn next(&mut self) -> Option<Result<Batch, WriteError>> {
        loop {
            if let Some(batch) = self.early.remove(&self.turn) {
                self.turn += 1;
                return Some(batch);
            }
            let (number, batch) = self.finished.recv().ok()??;
            self.early.insert(number, batch);
        }
    }

    /// Lets the threads use a batch again.
    pub fn give_back(&self, batch: Batch) {
        // They may all have ended.
        self.empty.send(batch).ok();
    }
}

/// Tells of a panic: the batch of this thread would be waited for.
struct Alarm<'a>(&'a Sender<Finished>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(None).ok();
        }
    }
}

fn work(
    disk: Disk<'_>,
    supply: &Mutex<Supply<'_>>,
    encoder: &mut Encoder,
    finished: &Sender<Finished>,
) {
    let _alarm = Alarm(finished);
    loop {
        let taken = supply.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((number, mut batch)) = taken else {
            return;
        };
        let result = batch.fill(disk, encoder).map(|()| batch);
        let failed = result.is_err();
        // Nobody listens any more once the writing has failed.
        if finished.send(Some((number, result))).is_err() || failed {
            return;
        }
    }
}
