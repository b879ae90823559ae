//! The repairs of the disk outside of its file systems, with their place in the report.

use std::path::Path;

use byoi_agent::finding::{Finding, Severity};

use super::build::BuildRequest;
use crate::boot::Firmware;
use crate::bootchain::efi_fallback::{self, EFI_FALLBACK};
use crate::disk::AttachedDisk;
use crate::error::BuildError;
use crate::guest::MountedGuest;
use crate::layout::{Layout, findings};
use crate::prepare;
use crate::repair::grub::Reinstalled;
use crate::repair::{BOOT_CODE, RepairError, esp, table};
use crate::report::BuildReport;

/// The rules of what a BIOS starts.
const LOADER: [&str; 2] = ["boot/loader", "boot/core-image"];

/// What may be done with a GPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GptOptions {
    /// It is no blocker.
    pub accept: bool,
    /// A DOS partition table takes its place.
    pub convert: bool,
}

/// Judges the partition table and mends it; gives the layout with which to go on.
pub(super) fn table(
    disk: &AttachedDisk,
    request: &BuildRequest,
    report: &mut BuildReport,
) -> Result<Layout, BuildError> {
    let (gpt, selection) = (request.gpt, &request.selection);
    let layout = disk.layout()?;
    let before = findings::findings(&layout, gpt.accept);
    report.add_findings(before.clone());
    let mut former = Vec::new();
    let mut change = None;
    if gpt.convert {
        match table::convert(disk.file(), &layout) {
            Ok(Some(converted)) => {
                change = Some(converted.change);
                former = converted.former;
            }
            Ok(None) => {}
            Err(RepairError::NotConvertible { reason }) => {
                report.add_findings(vec![findings::not_convertible(reason)]);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if change.is_none() && selection.only.is_empty() {
        change = table::activate(disk.file(), &layout)?;
    }
    let Some(change) = change else {
        return Ok(layout);
    };
    let mut layout = disk.layout()?;
    layout.remember(former);
    report.add_changes(vec![change]);
    report.settle(&before, findings::findings(&layout, gpt.accept));
    Ok(layout)
}

/// Gives UEFI firmware a loader to start where a machine of that kind is asked for, or where a BIOS
/// finds none either. Nothing may be mounted yet.
pub(super) fn efi_loader(
    disk: &AttachedDisk,
    layout: &Layout,
    request: &BuildRequest,
    report: &mut BuildReport,
) -> Result<(), BuildError> {
    let uefi = request
        .boot
        .is_some_and(|options| options.firmware == Firmware::Uefi);
    if !request.selection.uses(EFI_FALLBACK) {
        return Ok(());
    }
    let loader = prepare::loader(disk.file(), layout)?;
    if !uefi && !loader.is_efi_only() {
        return Ok(());
    }
    let before: Vec<Finding> = efi_fallback::finding(&loader).into_iter().collect();
    if let Some(change) = esp::copy_loader(disk.file(), layout)? {
        report.add_changes(vec![change]);
        report.add_findings(before.clone());
        // What is still wrong with it, the rule says again.
        report.settle(&before, Vec::new());
    }
    Ok(())
}

/// Puts the guest's own GRUB 2 onto the disk where nothing starts it otherwise, or where what
/// starts it was made for a partition table that is no more.
pub(super) fn boot_loader(
    guest: &MountedGuest,
    layout: &mut Layout,
    request: &BuildRequest,
    workdir: &Path,
    report: &mut BuildReport,
) -> Result<(), BuildError> {
    let (gpt, selection) = (request.gpt, &request.selection);
    if !LOADER.iter().any(|rule| selection.uses(rule)) {
        return Ok(());
    }
    let of_disk = findings::findings(layout, gpt.accept);
    let of_loader = prepare::check_loader(guest, layout)?;
    let blocks = |finding: &Finding| {
        finding.severity == Severity::Blocker
            && (LOADER.contains(&finding.rule) || finding.rule == BOOT_CODE)
    };
    let converted = layout
        .partitions
        .iter()
        .any(|partition| partition.former.is_some());
    if !converted && !of_disk.iter().chain(&of_loader).any(blocks) {
        return Ok(());
    }
    match prepare::reinstall_grub(guest, layout, workdir)? {
        Reinstalled::Done { changes, boot_code } => {
            report.add_changes(changes);
            report.add_findings(of_loader.clone());
            layout.set_boot_code(boot_code);
            report.settle(&of_disk, findings::findings(layout, gpt.accept));
            // What is still wrong with it, the rules of the guest say again.
            report.settle(&of_loader, Vec::new());
        }
        Reinstalled::No { reason } => {
            report.add_findings(vec![findings::not_reinstalled(reason)]);
        }
    }
    Ok(())
}
