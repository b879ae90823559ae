//! The image file: written, digested, named.

use std::mem;
use std::num::NonZeroUsize;
use std::thread;

use crate::boot::DiskFormat;
use crate::deflate::Level;
use crate::digest::{self, Ahead, Digest};
use crate::encode::{Disk, Observer, Settled, Summary, WriteError};
use crate::error::BuildError;
use crate::output::Output;
use crate::progress::{Narrator, Task};
use crate::qcow2::{self, Compression};
use crate::report::OutputReport;
use crate::seal::SealedDisk;
use crate::sparsify::AllocationMap;
use crate::vmdk;

/// What an image is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// A QCOW2.
    Qcow2(Compression),
    /// A streamOptimized VMDK.
    Vmdk(Level),
}

/// How to write an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// What it becomes.
    pub format: OutputFormat,
    /// How many threads read and compress; each takes about 3 MiB of memory.
    pub threads: NonZeroUsize,
}

impl OutputFormat {
    /// How QEMU calls it.
    pub(super) fn of_disk(self) -> DiskFormat {
        match self {
            Self::Qcow2(_) => DiskFormat::Qcow2,
            Self::Vmdk(_) => DiskFormat::Vmdk,
        }
    }
}

/// An image that has no name yet.
pub(super) struct Written {
    output: Output,
    format: OutputFormat,
    summary: Summary,
    /// Of what was settled early, as long as there is no `sha256`.
    digest: Digest,
    sha256: Option<String>,
}

/// Shows progress, and has digested what is settled.
struct Watch<'scope, 'env> {
    task: Task,
    ahead: Ahead<'scope, 'env>,
}

impl Observer for Watch<'_, '_> {
    fn progress(&mut self, done: u64) {
        self.task.advance_to(done);
    }

    fn settled(&mut self, settled: Settled) -> Result<(), WriteError> {
        self.ahead
            .start(settled)
            .map_err(|source| WriteError::Thread { source })
    }
}

/// Writes a disk into OUT.
pub(super) fn write(
    sealed: &SealedDisk,
    output: Output,
    options: &WriteOptions,
    narrator: Narrator,
) -> Result<Written, BuildError> {
    let map = AllocationMap::of_file(sealed.file(), sealed.size())?;
    let disk = Disk {
        file: sealed.file(),
        map: &map,
    };
    let (file, threads) = (output.file(), options.threads);
    let (summary, digest) = thread::scope(|scope| {
        let mut watch = Watch {
            task: narrator.bytes("Writing", map.data_bytes()),
            ahead: Ahead::new(scope, file),
        };
        let summary = match options.format {
            OutputFormat::Qcow2(compression) => {
                qcow2::write(disk, file, compression, threads, &mut watch)
            }
            OutputFormat::Vmdk(level) => vmdk::write(disk, file, level, threads, &mut watch),
        }
        .map_err(|source| BuildError::Write {
            output: output.path().to_owned(),
            source,
        })?;
        Ok::<_, BuildError>((summary, watch.ahead.finish().map_err(BuildError::Digest)?))
    })?;
    Ok(Written {
        output,
        format: options.format,
        summary,
        digest,
        sha256: None,
    })
}

impl Written {
    /// Does `work`, which leaves the file as it is, and completes the digest meanwhile.
    pub(super) fn digest_during<T>(
        &mut self,
        work: impl FnOnce(&Output) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let (sha256, result) = self.digested(work)?;
        self.sha256 = Some(sha256);
        Ok(result)
    }

    fn digested<T>(
        &mut self,
        work: impl FnOnce(&Output) -> Result<T, BuildError>,
    ) -> Result<(String, T), BuildError> {
        if let Some(sha256) = &self.sha256 {
            return Ok((sha256.clone(), work(&self.output)?));
        }
        let digest = mem::take(&mut self.digest);
        let (sha256, result) = digest::during(self.output.file(), digest, || work(&self.output));
        let result = result?;
        Ok((sha256.map_err(BuildError::Digest)?, result))
    }

    /// Gives the file its name, durably.
    pub(super) fn publish(mut self) -> Result<OutputReport, BuildError> {
        let (sha256, ()) = self.digested(|output| Ok(output.sync()?))?;
        Ok(OutputReport {
            path: self.output.publish()?,
            format: self.format.of_disk().name(),
            sha256,
            virtual_size: self.summary.virtual_size,
            file_size: self.summary.file_size,
        })
    }
}
