//! `check` and `inspect`: what is on a disk and what is wrong with it, with nothing changed.
//!
//! The image itself is attached read-only, so no copy is made. A file system that was not unmounted
//! cleanly is read without its journal, whose last entries are then not seen.

use std::path::Path;

use byoi_agent::selection::Selection;

use crate::disk::{Access, AttachedDisk};
use crate::error::BuildError;
use crate::guest::{MountedGuest, PrivateMounts};
use crate::image::SourceImage;
use crate::layout::{Layout, findings};
use crate::preflight;
use crate::prepare;
use crate::progress::Narrator;
use crate::report::{BuildReport, Stages};
use crate::scratch::Scratch;

/// Judges an image by its bytes and by the files of its guest. It is not booted.
///
/// # Errors
///
/// It could not be read. What is wrong with it is a finding.
pub fn check(
    image: &Path,
    workdir: &Path,
    selection: &Selection,
) -> Result<BuildReport, BuildError> {
    preflight::require_root()?;
    let private = PrivateMounts::enter()?;
    let mut stages = Stages::default();
    let source = SourceImage::open(image)?;
    let scratch = Scratch::new(workdir)?;
    let subject = super::subject(image, source.size(), None);
    let disk = AttachedDisk::of_source(source)?;
    let layout = disk.layout()?;
    let mut report = BuildReport::new(subject, Some(layout.clone()));
    report.add_layout_findings(findings::findings(&layout));
    report.add_layout_findings(findings::unclean(&layout));
    if let Some(guest) = report.or_blocked(mount(disk, &layout, &scratch, &private))? {
        let outcome = stages.time("guest", || prepare::check(&guest, &layout, selection))?;
        report.add_outcome(outcome);
        guest.close()?;
    }
    report.finish(stages);
    Ok(report)
}

/// Tells what is on an image; judges nothing. Without root the guest is left out.
///
/// # Errors
///
/// The image could not be read.
pub fn inspect(
    image: &Path,
    workdir: &Path,
    narrator: Narrator,
) -> Result<BuildReport, BuildError> {
    let mut stages = Stages::default();
    let source = SourceImage::open_any(image)?;
    let subject = super::subject(image, source.size(), None);
    let layout = source.layout()?;
    let mut report = BuildReport::unjudged(subject, Some(layout.clone()));
    if let Err(error) = preflight::require_root() {
        narrator.say(&format!("the guest is left out: {error}"));
    } else {
        let private = PrivateMounts::enter()?;
        let scratch = Scratch::new(workdir)?;
        let disk = AttachedDisk::of_source(source)?;
        let layout = disk.layout()?;
        report.layout = Some(layout.clone());
        match stages.time("guest", || mount(disk, &layout, &scratch, &private)) {
            Ok(guest) => {
                report.add_guest(prepare::facts(&guest)?, guest.mounts().to_vec());
                guest.close()?;
            }
            Err(error) => narrator.say(&format!("the guest is left out: {}", error.reason())),
        }
    }
    report.finish(stages);
    Ok(report)
}

fn mount(
    disk: AttachedDisk,
    layout: &Layout,
    scratch: &Scratch,
    private: &PrivateMounts,
) -> Result<MountedGuest, crate::guest::GuestError> {
    MountedGuest::mount(disk, layout, scratch.path(), private, Access::ReadOnly)
}
