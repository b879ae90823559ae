//! Reads the disk and encodes its clusters on several threads, and hands the results out in the
//! order of the disk.
//!
//! Thread `n` of `t` takes the batches `n`, `n + t`, `n + 2t` … and sends them through a short
//! queue of its own. Asking the queues in turn gives the batches in order, whatever the speed of
//! each thread, and none can run far ahead.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use super::compress::{Encoded, Encoder};
use super::{Qcow2Error, WriteOptions};
use crate::sparsify::{AllocationMap, CLUSTER_LENGTH, ClusterIndex, ClusterRun};

/// Clusters of a batch: reads of up to 512 KiB.
const BATCH_CLUSTERS: u64 = 8;

/// Batches that wait in the queue of a thread.
const QUEUE: usize = 2;

/// Encoded clusters that follow one another on the disk.
pub struct Batch {
    /// How many bytes of the disk they stand for.
    pub bytes: u64,
    pub clusters: Vec<(ClusterIndex, Encoded)>,
}

/// All batches of the disk in order; an error is the last item.
pub struct Batches {
    queues: Vec<Receiver<Result<Batch, Qcow2Error>>>,
    turn: usize,
    left: usize,
}

impl Batches {
    /// Starts the threads in `scope`. They end when all is done or this is dropped.
    pub fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        source: &'env File,
        map: &'env AllocationMap,
        options: &'env WriteOptions,
    ) -> Result<Self, Qcow2Error> {
        let left = batches(map).count();
        let threads = options.threads.get().min(left);
        let mut queues = Vec::with_capacity(threads);
        for number in 0..threads {
            let (sender, receiver) = sync_channel(QUEUE);
            let runs = batches(map).skip(number).step_by(threads);
            Builder::new()
                .name(format!("compress-{number}"))
                .spawn_scoped(scope, move || work(source, map, options, runs, &sender))
                .map_err(|source| Qcow2Error::Thread { source })?;
            queues.push(receiver);
        }
        Ok(Self {
            queues,
            turn: 0,
            left,
        })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Qcow2Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // A queue that ends early belongs to a thread that panicked, and the scope panics too.
        let batch = self.queues.get(self.turn)?.recv().ok()?;
        self.turn = (self.turn + 1) % self.queues.len();
        Some(batch)
    }
}

fn batches(map: &AllocationMap) -> impl Iterator<Item = ClusterRun> {
    map.runs().iter().flat_map(|run| run.pieces(BATCH_CLUSTERS))
}

fn work(
    source: &File,
    map: &AllocationMap,
    options: &WriteOptions,
    runs: impl Iterator<Item = ClusterRun>,
    results: &SyncSender<Result<Batch, Qcow2Error>>,
) {
    let mut encoder = Encoder::new(options.compression);
    let mut memory = Vec::new();
    for run in runs {
        let batch = encode(source, map, run, &mut encoder, &mut memory);
        let failed = batch.is_err();
        // Nobody listens any more once the writing has failed.
        if results.send(batch).is_err() || failed {
            return;
        }
    }
}

/// Reads and encodes a run of at most [`BATCH_CLUSTERS`], by way of `memory`.
fn encode(
    source: &File,
    map: &AllocationMap,
    run: ClusterRun,
    encoder: &mut Encoder,
    memory: &mut Vec<u8>,
) -> Result<Batch, Qcow2Error> {
    let start = run.first().start();
    let bytes = map.bytes_of(run);
    let reading = |source: io::Error| Qcow2Error::Read {
        offset: start.bytes(),
        source,
    };
    let length = usize::try_from(bytes).map_err(|error| reading(io::Error::other(error)))?;
    memory.resize(length, 0);
    source
        .read_exact_at(memory, start.bytes())
        .map_err(reading)?;
    // The disk may end within its last cluster, which reads as zeros from there.
    memory.resize(length.next_multiple_of(CLUSTER_LENGTH), 0);
    let clusters = run
        .clusters()
        .zip(memory.chunks_exact(CLUSTER_LENGTH))
        .map(|(index, cluster)| (index, encoder.encode(cluster)))
        .collect();
    Ok(Batch { bytes, clusters })
}
