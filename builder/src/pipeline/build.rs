//! `build` and `boot-test`.
//!
//! The image appears under its name only when it is complete, has been booted, and nothing blocks
//! it. Whatever ends the run earlier, every stage undoes itself on the way out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use byoi_agent::rules::Rule;
use byoi_agent::rules::access_ssh_key::{AccessSshKey, PublicKey, UserName};
use byoi_agent::selection::Selection;

use super::WriteOptions;
use super::mend::{self, GptOptions};
use super::write::write;
use crate::boot::{self, Accel, Board, BootOutcome, BootRequest, DiskFormat, Firmware, Profile};
use crate::disk::{Access, AttachedDisk};
use crate::error::BuildError;
use crate::guest::{MountedGuest, PrivateMounts};
use crate::image::{Input, SourceImage, WorkDisk};
use crate::output::Output;
use crate::preflight;
use crate::prepare;
use crate::progress::Narrator;
use crate::report::{BuildReport, Stages};
use crate::scratch::Scratch;

/// How a boot is tried.
#[derive(Debug, Clone, Copy)]
pub struct BootOptions {
    /// The main board.
    pub board: Board,
    /// Disk and NIC.
    pub profile: Profile,
    /// The firmware.
    pub firmware: Firmware,
    /// What runs the guest.
    pub accel: Accel,
    /// How long it may take.
    pub timeout: Duration,
}

/// What `build` is asked to do.
#[derive(Debug)]
pub struct BuildRequest {
    /// The disk; only ever read.
    pub input: Input,
    /// The image to make.
    pub output: PathBuf,
    /// Where temporary files go.
    pub workdir: PathBuf,
    /// Which rules are used.
    pub selection: Selection,
    /// The public key that is to let its owner in.
    pub ssh_key: Option<PublicKey>,
    /// Whose key it is.
    pub user: Option<UserName>,
    /// What may be done with a GPT.
    pub gpt: GptOptions,
    /// Whether an image is made although blockers remain.
    pub force: bool,
    /// How it is written.
    pub write: WriteOptions,
    /// How it is booted; `None` leaves the proof out.
    pub boot: Option<BootOptions>,
}

/// Makes the image ready, proves it, and gives it its name.
///
/// # Errors
///
/// It could not be done; there is no OUT then, or the old one. Blockers are no error but findings.
pub fn build(request: &BuildRequest, narrator: Narrator) -> Result<BuildReport, BuildError> {
    preflight::require_root()?;
    preflight::require_tools(&[preflight::E2FSCK, preflight::UNSHARE])?;
    if let Some(options) = &request.boot {
        preflight::require_machine(options.firmware)?;
    }
    let private = PrivateMounts::enter()?;
    let mut stages = Stages::default();

    let scratch = Scratch::new(&request.workdir)?;
    let opened = stages.time("open", || {
        SourceImage::open(&request.input, &request.workdir, narrator)
    });
    let source = match super::or_refused(opened)? {
        Ok(source) => source,
        Err(report) => return Ok(report.finished(stages)),
    };
    let output = Output::create(&request.output, &source)?;
    let mut report = BuildReport::new(super::subject(&source, None), None);
    report.add_findings(source.findings());
    if !report.is_ready() && !request.force {
        return Ok(report.finished(stages));
    }
    let sha256 = stages.time("digest", || source.sha256(narrator))?;
    let disk = stages.time("copy", || {
        WorkDisk::copy_of(&source, &request.workdir, narrator)
    })?;
    let disk = AttachedDisk::new(disk)?;
    report.report.subject = super::subject(&source, Some(sha256));
    let mut layout = mend::table(&disk, request, &mut report)?;
    mend::efi_loader(&disk, &layout, request, &mut report)?;
    report.layout = Some(layout.clone());

    narrator.say("Preparing the guest");
    let mounted = MountedGuest::mount(disk, &layout, scratch.path(), &private, Access::ReadWrite);
    let Some(guest) = report.or_blocked(mounted)? else {
        return Ok(report.finished(stages));
    };
    stages.time("boot loader", || {
        mend::boot_loader(&guest, &mut layout, request, scratch.path(), &mut report)
    })?;
    report.layout = Some(layout.clone());
    report.data_disks = prepare::data_disks(&guest, &layout)?;
    let outcome = stages.time("guest", || {
        let access = request.ssh_key.clone().map(|key| {
            let rule: Box<dyn Rule> = Box::new(AccessSshKey::new(key, request.user.clone()));
            rule
        });
        prepare::prepare(&guest, &layout, scratch.path(), access, &request.selection)
    })?;
    report.add_outcome(outcome);
    let ssh_expected = prepare::has_sshd(&guest)?;
    if report.is_ready() || request.force {
        let (disk, emptied) =
            stages.time("trim", || guest.close_emptied(&layout, scratch.path()))?;
        report.emptied = emptied;
        let sealed = stages.time("seal", || disk.seal(&layout))?;
        let mut written =
            stages.time("write", || write(&sealed, output, &request.write, narrator))?;
        if let Some(options) = &request.boot {
            let outcome = stages.time("boot", || {
                written.digest_during(|output| {
                    prove(
                        &output.readable_path(),
                        request.write.format.of_disk(),
                        scratch.path(),
                        options,
                        ssh_expected,
                        narrator,
                    )
                })
            })?;
            report.add_boot(outcome);
        }
        if report.is_ready() || request.force {
            report.output = Some(stages.time("finish", || written.publish())?);
        }
    } else {
        guest.close()?;
    }
    Ok(report.finished(stages))
}

/// Boots an image as it is, and judges the boot alone.
///
/// # Errors
///
/// It could not be booted. A guest that does not come up is a finding.
pub fn boot_test(
    input: &Input,
    workdir: &Path,
    options: &BootOptions,
    narrator: Narrator,
) -> Result<BuildReport, BuildError> {
    preflight::require_machine(options.firmware)?;
    let mut stages = Stages::default();
    let scratch = Scratch::new(workdir)?;
    let source = match super::or_refused(SourceImage::open(input, workdir, narrator))? {
        Ok(source) => source,
        Err(report) => return Ok(report.finished(stages)),
    };
    let mut report = BuildReport::new(super::subject(&source, None), None);
    report.add_findings(source.findings());
    let bootable = stages.time("copy", || source.bootable(workdir, narrator))?;
    let outcome = stages.time("boot", || {
        prove(
            &bootable.path(),
            bootable.format(),
            scratch.path(),
            options,
            false,
            narrator,
        )
    })?;
    report.add_boot(outcome);
    Ok(report.finished(stages))
}

fn prove(
    image: &Path,
    format: DiskFormat,
    workdir: &Path,
    options: &BootOptions,
    ssh_expected: bool,
    narrator: Narrator,
) -> Result<BootOutcome, BuildError> {
    Ok(boot::run(
        &BootRequest {
            image,
            format,
            board: options.board,
            profile: options.profile,
            firmware: options.firmware,
            accel: options.accel,
            timeout: options.timeout,
            workdir,
            ssh_expected,
        },
        narrator,
    )?)
}
