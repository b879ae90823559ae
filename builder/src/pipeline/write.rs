//! The image file: written, digested, named.

use std::num::NonZeroUsize;

use crate::boot::DiskFormat;
use crate::deflate::Level;
use crate::digest;
use crate::encode::{Disk, Summary};
use crate::error::BuildError;
use crate::output::Output;
use crate::progress::Narrator;
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
    let mut task = narrator.bytes("Writing", map.data_bytes());
    let mut progress = |done| task.advance_to(done);
    let (file, threads) = (output.file(), options.threads);
    let summary = match options.format {
        OutputFormat::Qcow2(compression) => {
            qcow2::write(disk, file, compression, threads, &mut progress)
        }
        OutputFormat::Vmdk(level) => vmdk::write(disk, file, level, threads, &mut progress),
    }
    .map_err(|source| BuildError::Write {
        output: output.path().to_owned(),
        source,
    })?;
    Ok(Written {
        output,
        format: options.format,
        summary,
    })
}

impl Written {
    /// Does `work`, which leaves the file as it is, and takes the digest meanwhile.
    pub(super) fn digest_during<T>(
        &mut self,
        work: impl FnOnce(&Output) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        let (sha256, result) = self.digested(work)?;
        self.summary.sha256 = Some(sha256);
        Ok(result)
    }

    /// The digest, taken during `work` unless it is known already: the tables at the start of a
    /// QCOW2 are written last.
    fn digested<T>(
        &self,
        work: impl FnOnce(&Output) -> Result<T, BuildError>,
    ) -> Result<(String, T), BuildError> {
        if let Some(sha256) = &self.summary.sha256 {
            return Ok((sha256.clone(), work(&self.output)?));
        }
        let (digest, result) = digest::during(self.output.file(), || work(&self.output));
        let result = result?;
        Ok((digest.map_err(BuildError::Digest)?, result))
    }

    /// Gives the file its name, durably.
    pub(super) fn publish(self) -> Result<OutputReport, BuildError> {
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
