//! Static addresses on a NIC, or on what is stacked on one, in ifcfg files.
//!
//! A profile with one goes as a whole, and with it the other profiles for NICs: what is stacked on
//! it or lies below it would be left hanging. If this stack is in charge, DHCP comes in their
//! place at once. Routes and rules of a NIC go, and so does the gateway of all profiles.

use super::file::{self, line};
use super::{Config, dhcp, global, profile, remove};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit;
use crate::root::GuestPath;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    if !config.is_present {
        return Ok(Vec::new());
    }
    let mut defects = Vec::new();
    for file in config.nics() {
        let fixed = file.assignments.iter().find(|assignment| {
            profile::is_static(&assignment.name) && !assignment.value.as_str().is_empty()
        });
        defects.extend(fixed.map(|assignment| {
            Defect::in_file(&file.path, "a NIC's profile has static addresses")
                .at_line(assignment.line)
                .evidence(file.line(assignment.line))
                .hint("remove the profile; one profile for whichever NIC appears takes its place")
        }));
    }
    for (path, text, number) in routes(guest, &config)? {
        defects.push(
            Defect::in_file(&path, "static routes of a NIC")
                .at_line(number)
                .evidence(line(&text, number))
                .hint("remove the file; DHCP brings routes"),
        );
    }
    defects.extend(global::check(guest, &config)?);
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    if !config.is_present {
        return Ok(());
    }
    let is_static = config.nics().any(|file| {
        file.assignments.iter().any(|assignment| {
            profile::is_static(&assignment.name) && !assignment.value.as_str().is_empty()
        })
    });
    for (path, ..) in routes(guest, &config)? {
        guest.remove(&path)?;
    }
    global::fix(guest, &config)?;
    if is_static {
        remove(guest, &config.replaced(guest)?)?;
        dhcp::fix(guest)?;
    }
    Ok(())
}

/// The files of routes and rules of NICs, with the first line that says something.
fn routes(guest: &Guest<'_>, config: &Config) -> Result<Vec<(GuestPath, String, usize)>, Error> {
    let mut found = Vec::new();
    for (path, kind, suffix) in file::siblings(guest)? {
        if kind == file::KEYS || !config.is_nic_suffix(&suffix) {
            continue;
        }
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let says = edit::lines(text.as_str())
            .find(|line| !line.text.trim().is_empty() && !line.text.trim().starts_with('#'));
        if let Some(line) = says {
            found.push((path, text.as_str().to_owned(), line.number));
        }
    }
    Ok(found)
}
