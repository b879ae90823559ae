//! The only caller of the agent's library: its rules and the boot rules, run on the mounted guest.

use std::fs::File;
use std::path::{Path, PathBuf};

use byoi_agent::access::sshd::SSHD;
use byoi_agent::error::Error;
use byoi_agent::facts::Facts;
use byoi_agent::finding::Finding;
use byoi_agent::guest::Guest;
use byoi_agent::root::{GuestRoot, GuestRootMut};
use byoi_agent::rules::Rule;
use byoi_agent::run::{self, Outcome};
use byoi_agent::selection::Selection;

use crate::bootchain::{self, DataDisk};
use crate::chroot::ChrootShell;
use crate::guest::MountedGuest;
use crate::layout::Layout;
use crate::loader::Loader;
use crate::repair::RepairError;
use crate::repair::grub::{self, Reinstalled};

/// Frees the guest of its old machine and makes it bootable on OCI: the agent's rules, then those
/// of the boot chain, which know what is on this disk; then `access`, which lets somebody in.
///
/// # Errors
///
/// The guest could not be read or written, or one of its own tools failed.
pub fn prepare(
    guest: &MountedGuest,
    layout: &Layout,
    workdir: &Path,
    access: Option<Box<dyn Rule>>,
    selection: &Selection,
) -> Result<Outcome, Error> {
    let root = GuestRootMut::open(guest.root())?;
    let shell = shell(guest, workdir);
    let mut rules = rules(guest, layout)?;
    rules.extend(access);
    run::prepare(&root, &rules, selection, &shell)
}

/// Judges the guest by the same rules and changes nothing.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(
    guest: &MountedGuest,
    layout: &Layout,
    selection: &Selection,
) -> Result<Outcome, Error> {
    let root = GuestRoot::open(guest.root())?;
    run::check(&root, &rules(guest, layout)?, selection)
}

/// What the rules say of the boot loader of a BIOS.
///
/// # Errors
///
/// The guest could not be read.
pub fn check_loader(guest: &MountedGuest, layout: &Layout) -> Result<Vec<Finding>, Error> {
    let root = GuestRoot::open(guest.root())?;
    let rules = bootchain::loader_rules(layout, guest.mounts(), loader(guest.disk(), layout)?);
    Ok(run::check(&root, &rules, &Selection::default())?.findings)
}

/// Puts the guest's own GRUB 2 onto the disk.
///
/// # Errors
///
/// The guest could not be read, one of its programs failed, or the disk could not be written.
pub fn reinstall_grub(
    guest: &MountedGuest,
    layout: &Layout,
    workdir: &Path,
) -> Result<Reinstalled, RepairError> {
    grub::reinstall(
        guest.disk(),
        layout,
        guest.mounts(),
        &GuestRoot::open(guest.root())?,
        &shell(guest, workdir),
    )
}

/// What guest it is.
///
/// # Errors
///
/// The guest could not be read.
pub fn facts(guest: &MountedGuest) -> Result<Facts, Error> {
    Facts::gather(&GuestRoot::open(guest.root())?)
}

/// Whether the guest has an SSH server, which then shall answer.
///
/// # Errors
///
/// The guest could not be read.
pub fn has_sshd(guest: &MountedGuest) -> Result<bool, Error> {
    let root = GuestRoot::open(guest.root())?;
    Ok(root.open_file(&SSHD.into())?.is_some())
}

fn rules(guest: &MountedGuest, layout: &Layout) -> Result<Vec<Box<dyn Rule>>, Error> {
    Ok(bootchain::rules(
        layout,
        guest.mounts(),
        loader(guest.disk(), layout)?,
    ))
}

/// The volumes that the guest names and that are not on this disk.
///
/// # Errors
///
/// The guest could not be read.
pub fn data_disks(guest: &MountedGuest, layout: &Layout) -> Result<Vec<DataDisk>, Error> {
    let root = GuestRoot::open(guest.root())?;
    let facts = Facts::gather(&root)?;
    bootchain::data_disks(&Guest::new(&root, &facts), layout)
}

/// What starts from a disk.
///
/// # Errors
///
/// The disk could not be read.
pub fn loader(disk: &File, layout: &Layout) -> Result<Loader, Error> {
    Loader::read(&mut &*disk, layout).map_err(Error::io("reading", "the boot loader"))
}

fn shell(guest: &MountedGuest, workdir: &Path) -> ChrootShell {
    let mounted = guest
        .mounts()
        .iter()
        .filter(|mount| mount.skipped.is_none());
    let points = mounted.map(|mount| PathBuf::from(&mount.point));
    ChrootShell::new(guest.root(), points.collect(), workdir)
}
