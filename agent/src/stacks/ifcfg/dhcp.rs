//! Whether whichever NIC appears is brought up by DHCP, and the profile that does it.
//!
//! For `NetworkManager` that is a profile without a name. Initscripts alone need the NIC to be
//! `eth0`, so there the kernel is told on every copy of its command line to keep its own names,
//! and that there is a network at all has to stand in `/etc/sysconfig/network`.

use super::super::in_charge;
use super::profile::{ANY_NIC, ETH0};
use super::reader::Reader;
use super::{Config, DIR, global};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::root::{FileKind, GuestPath};

/// What makes the kernel and udev leave the NIC the name `eth0`.
const KERNEL_NAMES: [&str; 2] = ["net.ifnames=0", "biosdevname=0"];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    let Some((config, reader)) = charge(guest)? else {
        return Ok(defects);
    };
    if config.kept(guest)?.is_none() {
        let (_, profile) = profile(reader);
        let settings: Vec<&str> = profile
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        defects.push(
            Defect::in_file(
                &DIR.into(),
                "no profile gives DHCP at boot to whichever NIC appears",
            )
            .hint(format!("add a profile with {}", settings.join(" "))),
        );
    }
    if reader == Reader::Initscripts {
        let missing = kernel_cmdline::missing(guest, &KERNEL_NAMES)?;
        if !missing.is_empty() {
            defects.push(
                Defect::of(
                    "kernel command line",
                    "the NIC need not be called eth0, the only name that the profile fits",
                )
                .evidence(format!("no {}", missing.join(" ")))
                .hint("add the arguments to every copy of the kernel command line"),
            );
        }
        if global::is_off(guest)? {
            defects.push(
                Defect::in_file(
                    &"/etc/sysconfig/network".into(),
                    "initscripts are told to start no network",
                )
                .hint("set NETWORKING=yes"),
            );
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let Some((config, reader)) = charge(guest)? else {
        return Ok(());
    };
    if config.kept(guest)?.is_none() {
        let (suffixes, profile) = profile(reader);
        let path = free_path(guest, &config, suffixes)?;
        guest.write_text(&path, profile)?;
    }
    if reader == Reader::Initscripts {
        let missing = kernel_cmdline::missing(guest, &KERNEL_NAMES)?;
        if !missing.is_empty() {
            kernel_cmdline::add(guest, &missing)?;
        }
        global::switch_on(guest)?;
    }
    Ok(())
}

/// The configuration and its reader, if this stack brings the NIC up at boot.
fn charge(guest: &Guest<'_>) -> Result<Option<(Config, Reader)>, Error> {
    if in_charge(guest)? != Some(NetworkStack::Ifcfg) {
        return Ok(None);
    }
    let config = Config::read(guest)?;
    Ok(config.reader.map(|reader| (config, reader)))
}

/// The suffixes that the profile may have, the best first, and what it says.
fn profile(reader: Reader) -> ([&'static str; 3], &'static str) {
    match reader {
        Reader::NetworkManager => (["dhcp", "ethernet", "oci"], ANY_NIC),
        Reader::Initscripts => (["eth0", "dhcp", "oci"], ETH0),
    }
}

/// A path where nothing is, or a profile for a NIC. A link would lead the profile elsewhere.
fn free_path(guest: &Guest<'_>, config: &Config, suffixes: [&str; 3]) -> Result<GuestPath, Error> {
    let paths = suffixes.map(|suffix| GuestPath::from(DIR).join(format!("ifcfg-{suffix}")));
    for path in &paths {
        let is_nic = config.nics().any(|file| file.path == *path);
        let linked = guest.root().kind(path)? == Some(FileKind::Symlink);
        if !linked && (is_nic || guest.kind(path)?.is_none()) {
            return Ok(path.clone());
        }
    }
    let [.., last] = paths;
    Ok(last)
}
