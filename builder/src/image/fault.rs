//! What is wrong inside an image file, before the file's name is known.

use std::io;

use byoi_agent::interrupt::Interrupted;

/// Why the bytes of an image cannot be taken as a disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A read failed, or a write of what was read.
    #[error(transparent)]
    Io(io::Error),
    /// The bytes contradict the format or themselves.
    #[error("{0}")]
    Damaged(String),
    /// The image is whole, and this program cannot take it.
    #[error("{what}: {hint}")]
    Unsupported {
        /// What it is or has, as it follows "disk.vmdk …".
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The image is not what OCI could take, which is a judgement.
    #[error("{}: {}", .0.what, .0.hint)]
    Refused(Refusal),
}

/// A judgement on the file that holds the disk; the disk in it is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What it has, as it follows "disk.vmdk …".
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
    /// The size of the disk in bytes.
    pub virtual_size: u64,
}

/// The rule behind a [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `image/encrypted`
    Encrypted,
    /// `image/backing-file`
    OtherFile,
}

impl Fault {
    /// A contradiction.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// A file or a part of it that ends too early.
    pub(super) fn cut_off(what: &str) -> Self {
        Self::Damaged(format!("{what} lies behind the end of the file"))
    }

    /// Something that this program does not read.
    pub(super) fn unsupported(what: impl Into<String>, hint: &'static str) -> Self {
        Self::Unsupported {
            what: what.into(),
            hint,
        }
    }
}

impl From<Interrupted> for Fault {
    fn from(interrupted: Interrupted) -> Self {
        Self::Io(interrupted.into())
    }
}
