//! The only caller of the agent's library: its rules and the boot rules, run on the mounted guest.

use std::path::{Path, PathBuf};

use byoi_agent::access::sshd::SSHD;
use byoi_agent::error::Error;
use byoi_agent::facts::Facts;
use byoi_agent::root::{GuestRoot, GuestRootMut};
use byoi_agent::rules::Rule;
use byoi_agent::run::{self, Outcome};
use byoi_agent::selection::Selection;

use crate::bootchain;
use crate::chroot::ChrootShell;
use crate::guest::{GuestMount, MountedGuest};
use crate::layout::Layout;
use crate::loader::Loader;

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
    let points = mounted(guest).map(|mount| PathBuf::from(&mount.point));
    let shell = ChrootShell::new(guest.root(), points.collect(), workdir);
    let mut rules = rules(guest, layout)?;
    rules.extend(access);
    run::prepare(&root, &rules, selection, &shell, false)
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
    let loader =
        Loader::read(&mut guest.disk(), layout).map_err(Error::io("reading", "the boot loader"))?;
    Ok(bootchain::rules(layout, guest.mounts(), loader))
}

fn mounted(guest: &MountedGuest) -> impl Iterator<Item = &GuestMount> {
    guest
        .mounts()
        .iter()
        .filter(|mount| mount.skipped.is_none())
}
