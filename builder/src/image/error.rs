//! What goes wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use byoi_agent::interrupt::{self, Interrupted};

use super::fault::{Fault, Refusal};
use super::probe::Format;

/// Why an image cannot be used or copied.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A system call on the image failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, as in "opening".
        action: &'static str,
        /// The image.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a character device.
    #[error("{} is {kind}, not a disk image", path.display())]
    NotAnImage {
        /// The path.
        path: PathBuf,
        /// What it is instead, with its article.
        kind: &'static str,
    },
    /// There is nothing in it.
    #[error("{} is empty: copy the disk again", path.display())]
    Empty {
        /// The image.
        path: PathBuf,
    },
    /// A disk consists of whole sectors.
    #[error("{} has {size} bytes, which is no multiple of 512: it is cut off or not a raw disk", path.display())]
    PartialSector {
        /// The image.
        path: PathBuf,
        /// The size of the disk in bytes.
        size: u64,
    },
    /// The bytes contradict the format or themselves.
    #[error("{} is a damaged {format} file, {what}: copy or export it again", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// What it is.
        format: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A format or a kind of it that is not read.
    #[error("{} {what}: {hint}", path.display())]
    Unsupported {
        /// The image.
        path: PathBuf,
        /// What it is or has.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The judgement is out before the disk is read: a finding, where there is a verdict.
    #[error("{} {}: {}", path.display(), refusal.what, refusal.hint)]
    Refused {
        /// The image.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// Why.
        refusal: Refusal,
    },
    /// An archive with more disks than one.
    #[error("{} has {} disks, {}: choose one with --disk N, from 1", path.display(), disks.len(), disks.join(", "))]
    SeveralDisks {
        /// The archive.
        path: PathBuf,
        /// Their names.
        disks: Vec<String>,
    },
    /// `--disk` names a disk that is not there.
    #[error("{} has {count} disks, and --disk asks for number {number}", path.display())]
    NoSuchDisk {
        /// The image.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Which was asked for, from 1.
        number: usize,
    },
    /// More comes out of a file than a disk may have.
    #[error("{} unpacks to more than {limit} bytes, and OCI takes no disk of that size: give another image", path.display())]
    TooLong {
        /// The image.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A virtual machine runs on it.
    #[error("{} is open for writing in a running virtual machine: shut that down first", path.display())]
    InUse {
        /// The image.
        path: PathBuf,
    },
    /// Somebody wrote to the source during the copy.
    #[error("{} changed while it was read: shut the machine down that uses it", path.display())]
    Changed {
        /// The image.
        path: PathBuf,
    },
    /// The working disk does not fit.
    #[error("{} has {available} bytes free, the working disk needs {needed}: choose another directory with --workdir", workdir.display())]
    NoSpace {
        /// Where the working disk was to be.
        workdir: PathBuf,
        /// The bytes that the source occupies.
        needed: u64,
        /// The bytes that are free.
        available: u64,
    },
    /// A signal arrived.
    #[error("{action} {} was stopped", path.display())]
    Interrupted {
        /// What was being done.
        action: &'static str,
        /// The image.
        path: PathBuf,
        /// The signal.
        source: Interrupted,
    },
}

impl ImageError {
    /// A failed read or write of `path`; a signal is told from a failure.
    pub(super) fn of_io(action: &'static str, path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        // Decoders wrap the errors of what they read from.
        if interrupt::requested() {
            return Self::Interrupted {
                action,
                path,
                source: Interrupted,
            };
        }
        match error.downcast::<Interrupted>() {
            Ok(source) => Self::Interrupted {
                action,
                path,
                source,
            },
            Err(source) => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// What is wrong inside the image at `path`.
    pub(super) fn of_fault(
        action: &'static str,
        path: &Path,
        format: Format,
        fault: Fault,
    ) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Io(error) => Self::of_io(action, &path, error),
            Fault::Damaged(what) => Self::Damaged {
                path,
                format: format.title(),
                what,
            },
            Fault::Unsupported { what, hint } => Self::Unsupported { path, what, hint },
            Fault::Refused(refusal) => Self::Refused {
                path,
                format,
                refusal,
            },
        }
    }
}
