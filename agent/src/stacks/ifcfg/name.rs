//! ifcfg profiles that bind a NIC by its name or its place, or lie on one.
//!
//! They go as whole files. The loopback interface, wireless and purely virtual interfaces stay, and
//! so does the one profile that gives DHCP to whichever NIC appears, if this stack is in charge.

use super::file::{self, File};
use super::{Config, device, dhcp, remove};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::root::GuestPath;
use crate::stacks::device::Device;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects: Vec<Defect> = config
        .replaced(guest)?
        .into_iter()
        .map(|file| defect(&config, file))
        .collect();
    for path in orphans(guest, &config)? {
        defects.push(
            Defect::in_file(&path, "secrets of a NIC's profile that is gone")
                .hint("remove the file"),
        );
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    for path in orphans(guest, &config)? {
        guest.remove(&path)?;
    }
    let replaced = config.replaced(guest)?;
    if !replaced.is_empty() {
        remove(guest, &replaced)?;
        dhcp::fix(guest)?;
    }
    Ok(())
}

fn defect(config: &Config, file: &File) -> Defect {
    let message = match config.devices.device(&device::id(file, &config.files)) {
        Device::Stacked => "a profile is for an interface that lies on a NIC",
        _ => "a profile binds a NIC",
    };
    let defect = Defect::in_file(&file.path, message)
        .hint("remove it; one profile for whichever NIC appears takes its place");
    let binding = ["DEVICE", "HWADDR", "MASTER", "BRIDGE", "TYPE"]
        .iter()
        .find_map(|key| {
            file.assignments
                .iter()
                .rev()
                .find(|found| found.name == *key)
        });
    match binding {
        Some(assignment) => defect
            .at_line(assignment.line)
            .evidence(file.line(assignment.line)),
        None => defect,
    }
}

/// The secrets of profiles that are gone.
fn orphans(guest: &Guest<'_>, config: &Config) -> Result<Vec<GuestPath>, Error> {
    let mut orphans = Vec::new();
    for (path, kind, suffix) in file::siblings(guest)? {
        let has_profile = config.files.iter().any(|file| file.suffix == suffix);
        if kind == file::KEYS && !has_profile && config.is_nic_suffix(&suffix) {
            orphans.push(path);
        }
    }
    Ok(orphans)
}
