//! Why a build could not be done. What is wrong with the disk is a finding instead.

use std::io;
use std::path::PathBuf;

use crate::boot::BootError;
use crate::disk::DiskError;
use crate::encode::WriteError;
use crate::guest::GuestError;
use crate::image::ImageError;
use crate::layout::LayoutError;
use crate::output::OutputError;
use crate::preflight::PreflightError;
use crate::repair::RepairError;
use crate::scratch::ScratchError;
use crate::seal::SealError;
use crate::sparsify::SparsifyError;

/// A failure of a stage; the message is the stage's own.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The host lacks something.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The directory for temporary files.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The source or the working disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// OUT.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A loop device.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The partition table and superblocks.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The guest's file systems.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest's files.
    #[error(transparent)]
    Agent(#[from] byoi_agent::error::Error),
    /// The partition table or the boot code.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The last check of the file systems.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The search for holes.
    #[error(transparent)]
    Sparsify(#[from] SparsifyError),
    /// The image.
    #[error("making {}", output.display())]
    Write {
        /// OUT.
        output: PathBuf,
        /// What went wrong.
        source: WriteError,
    },
    /// The digest of OUT.
    #[error("reading the image that was written")]
    Digest(#[source] io::Error),
    /// The boot test.
    #[error(transparent)]
    Boot(#[from] BootError),
}
