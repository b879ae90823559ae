//! Why an initramfs could not be read.

use std::io;

use super::compression::Compression;
use super::limits::Limit;
use crate::interrupt::Interrupted;

/// Why an initramfs could not be read. Segments are counted from 1.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// The file that holds the image gave an I/O error.
    #[error("reading the initramfs")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// There is no archive: the file is empty, or holds nothing but zero bytes.
    #[error("the initramfs is empty")]
    Empty,
    /// The image ends before the segment does.
    #[error("the initramfs is truncated in segment {segment} ({compression})")]
    Truncated {
        /// The segment that breaks off.
        segment: usize,
        /// How that segment is compressed.
        compression: Compression,
    },
    /// The compressed data or the archive in it make no sense.
    #[error("the initramfs is damaged in segment {segment} ({compression})")]
    Damaged {
        /// The damaged segment.
        segment: usize,
        /// How that segment is compressed.
        compression: Compression,
        /// What does not fit.
        source: io::Error,
    },
    /// A segment begins with bytes that no archive and no known compression begins with.
    #[error("segment {segment} of the initramfs, at byte {offset}, has an unknown format")]
    UnknownFormat {
        /// The segment that was not recognised.
        segment: usize,
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
    },
    /// A segment has a format that this reader knows by name only.
    #[error("segment {segment} of the initramfs is in {format} format, which is not supported")]
    Unsupported {
        /// The segment in question.
        segment: usize,
        /// The name of the format.
        format: &'static str,
    },
    /// The image holds more than the caller allows.
    #[error("the initramfs exceeds the limit of {maximum} {limit}")]
    TooLarge {
        /// What there is too much of.
        limit: Limit,
        /// How much is allowed.
        maximum: u64,
    },
    /// A signal ended the run.
    #[error("reading the initramfs was stopped")]
    Interrupted {
        /// The signal.
        source: Interrupted,
    },
}
