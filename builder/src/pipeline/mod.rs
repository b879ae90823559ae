//! What each command does, readable aloud; the only module that knows all stages.
//!
//! ```text
//! SourceImage → WorkDisk → AttachedDisk → Layout → MountedGuest
//!                                                       │ lends its root to the agent's rules
//! BuildReport ← BootOutcome ← QCOW2 ← AllocationMap ← SealedDisk
//! ```

mod build;
mod convert;
mod judge;

use std::path::Path;

use byoi_agent::report::Subject;

pub use build::{BootOptions, BuildRequest, boot_test, build};
pub use convert::{ConvertRequest, convert};
pub use judge::{check, inspect};

use crate::error::BuildError;
use crate::output::Output;
use crate::progress::Narrator;
use crate::qcow2::{self, Summary, WriteOptions};
use crate::seal::SealedDisk;
use crate::sparsify::AllocationMap;

/// A raw image as the subject of a report.
fn subject(path: &Path, size: u64, sha256: Option<String>) -> Subject {
    Subject::Image {
        image: path.display().to_string(),
        format: "raw",
        virtual_size: size,
        sha256,
    }
}

/// Writes a disk to OUT.
fn write(
    sealed: &SealedDisk,
    output: &Output,
    options: &WriteOptions,
    narrator: Narrator,
) -> Result<Summary, BuildError> {
    let map = AllocationMap::of_file(sealed.file(), sealed.size())?;
    let mut task = narrator.bytes("Writing", map.data_bytes());
    qcow2::write(sealed.file(), &map, output.file(), options, &mut |done| {
        task.advance_to(done);
    })
    .map_err(|source| BuildError::Qcow2 {
        output: output.path().to_owned(),
        source,
    })
}
