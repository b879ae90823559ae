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
mod mend;

use byoi_agent::report::Subject;

pub use build::{BootOptions, BuildRequest, boot_test, build};
pub use convert::{ConvertRequest, convert};
pub use judge::{check, inspect};
pub use mend::GptOptions;

use crate::error::BuildError;
use crate::image::{ImageError, SourceImage, subject_of};
use crate::output::Output;
use crate::progress::Narrator;
use crate::qcow2::{self, Summary, WriteOptions};
use crate::report::BuildReport;
use crate::seal::SealedDisk;
use crate::sparsify::AllocationMap;

/// An image as the subject of a report.
fn subject(source: &SourceImage, sha256: Option<String>) -> Subject {
    Subject::Image {
        image: source.path().display().to_string(),
        format: source.format().name(),
        containers: source.containers().to_vec(),
        virtual_size: source.size(),
        sha256,
    }
}

/// Passes an open image on. One that OCI could not take in any case is judged by that alone.
fn or_refused(
    opened: Result<SourceImage, ImageError>,
) -> Result<Result<SourceImage, BuildReport>, ImageError> {
    match opened {
        Ok(source) => Ok(Ok(source)),
        Err(ImageError::Refused {
            path,
            format,
            refusal,
        }) => {
            let subject = subject_of(path.display().to_string(), format, &refusal);
            let mut report = BuildReport::new(subject, None);
            report.add_findings(vec![refusal.finding()]);
            Ok(Err(report))
        }
        Err(error) => Err(error),
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
