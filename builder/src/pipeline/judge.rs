//! `check` and `inspect`: what is on a disk and what is wrong with it, with nothing changed.
//!
//! A disk whose bytes lie in a file as they are is attached there, read-only, so no copy is made;
//! any other is written to the workdir first. A file system that was not unmounted cleanly is read
//! without its journal, whose last entries are then not seen.

use std::path::Path;

use byoi_agent::selection::Selection;

use crate::disk::{Access, AttachedDisk};
use crate::error::BuildError;
use crate::guest::{MountedGuest, PrivateMounts};
use crate::image::{Input, SourceImage};
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
    input: &Input,
    workdir: &Path,
    selection: &Selection,
    accept_gpt: bool,
    narrator: Narrator,
) -> Result<BuildReport, BuildError> {
    preflight::require_root()?;
    let private = PrivateMounts::enter()?;
    let mut stages = Stages::default();
    let scratch = Scratch::new(workdir)?;
    let source = match super::or_refused(SourceImage::open(input, workdir, narrator))? {
        Ok(source) => source,
        Err(report) => return Ok(report.finished(stages)),
    };
    let disk = stages.time("copy", || source.raw_disk(workdir, narrator))?;
    let disk = AttachedDisk::of_source(disk)?;
    let layout = disk.layout()?;
    let mut report = BuildReport::new(super::subject(&source, None), Some(layout.clone()));
    report.add_findings(source.findings());
    report.add_findings(source.format_finding().into_iter().collect());
    report.add_findings(findings::findings(&layout, accept_gpt));
    report.add_findings(findings::unclean(&layout));
    if let Some(guest) = report.or_blocked(mount(disk, &layout, &scratch, &private))? {
        report.data_disks = prepare::data_disks(&guest, &layout)?;
        let outcome = stages.time("guest", || prepare::check(&guest, &layout, selection))?;
        report.add_outcome(outcome);
        guest.close()?;
    }
    Ok(report.finished(stages))
}

/// Tells what is on an image; judges nothing. Without root the guest is left out.
///
/// # Errors
///
/// The image could not be read.
pub fn inspect(
    input: &Input,
    workdir: &Path,
    narrator: Narrator,
) -> Result<BuildReport, BuildError> {
    let mut stages = Stages::default();
    let source = SourceImage::open_any(input, workdir, narrator)?;
    let disk = stages.time("copy", || source.raw_disk(workdir, narrator))?;
    let layout = disk.layout()?;
    let mut report = BuildReport::unjudged(super::subject(&source, None), Some(layout));
    if let Err(error) = preflight::require_root() {
        narrator.say(&format!("the guest is left out: {error}"));
    } else {
        let private = PrivateMounts::enter()?;
        let scratch = Scratch::new(workdir)?;
        let disk = AttachedDisk::of_source(disk)?;
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
    Ok(report.finished(stages))
}

fn mount(
    disk: AttachedDisk,
    layout: &Layout,
    scratch: &Scratch,
    private: &PrivateMounts,
) -> Result<MountedGuest, crate::guest::GuestError> {
    MountedGuest::mount(disk, layout, scratch.path(), private, Access::ReadOnly)
}
