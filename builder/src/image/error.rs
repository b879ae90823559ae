//! What goes wrong with images.

use std::io;
use std::path::PathBuf;

use byoi_agent::interrupt::Interrupted;

use super::Container;

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
        /// Its size in bytes.
        size: u64,
    },
    /// The content is in another format.
    #[error("{} is {container}: only raw input is supported (qemu-img convert -O raw makes it)", path.display())]
    NotRaw {
        /// The image.
        path: PathBuf,
        /// What it is.
        container: Container,
    },
    /// A QCOW2 that is not whole by itself.
    #[error("{} has a backing or data file; make it whole with qemu-img convert first", path.display())]
    OtherFile {
        /// The image.
        path: PathBuf,
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
