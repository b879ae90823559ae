//! `convert`: the disk as it is, in another format.

use std::path::PathBuf;

use super::WriteOptions;
use super::write::write;
use crate::error::BuildError;
use crate::image::{Input, SourceImage};
use crate::output::Output;
use crate::progress::Narrator;
use crate::report::{BuildReport, Stages};
use crate::seal::SealedDisk;

/// What `convert` is asked to do.
#[derive(Debug)]
pub struct ConvertRequest {
    /// The disk; only ever read.
    pub input: Input,
    /// The image to make.
    pub output: PathBuf,
    /// Where temporary files go.
    pub workdir: PathBuf,
    /// How it is written.
    pub write: WriteOptions,
}

/// Writes a disk, whatever is on it, as an image; judges nothing.
///
/// # Errors
///
/// It could not be done; there is no OUT then, or the old one.
pub fn convert(request: &ConvertRequest, narrator: Narrator) -> Result<BuildReport, BuildError> {
    let mut stages = Stages::default();
    let source = SourceImage::open_any(&request.input, &request.workdir, narrator)?;
    let output = Output::create(&request.output, &source)?;
    let subject = super::subject(&source, None);
    let disk = stages.time("copy", || source.raw_disk(&request.workdir, narrator))?;
    let sealed = SealedDisk::unchanged(disk);
    let written = stages.time("write", || write(&sealed, output, &request.write, narrator))?;
    source.check_unchanged()?;
    let mut report = BuildReport::unjudged(subject, None);
    report.output = Some(stages.time("finish", || written.publish())?);
    Ok(report.finished(stages))
}
