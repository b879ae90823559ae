//! What each command does, readable aloud; the only module that knows all stages.
//!
//! ```text
//! SourceImage → WorkDisk → AttachedDisk → Layout → MountedGuest
//!                                                       │ lends its root to the agent's rules
//! BuildReport ← BootOutcome ← image ← AllocationMap ← SealedDisk
//! ```

mod build;
mod convert;
mod judge;
mod mend;
mod write;

use byoi_agent::report::Subject;

pub use build::{BootOptions, BuildRequest, boot_test, build};
pub use convert::{ConvertRequest, convert};
pub use judge::{check, inspect};
pub use mend::GptOptions;
pub use write::{OutputFormat, WriteOptions};

use crate::image::{ImageError, SourceImage, subject_of};
use crate::report::BuildReport;

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
