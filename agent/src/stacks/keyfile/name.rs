//! `NetworkManager`'s profiles that are bound to a NIC by its name, or stacked on one.

use super::config::{self, Config};
use super::dhcp;
use super::mac::shown;
use super::profile::Profile;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::keyfile::Entry;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let nics = config.nics();
    let mut defects = Vec::new();
    for profile in config.profiles() {
        if !is_bound(profile, &nics) {
            continue;
        }
        let message = "a profile is for a NIC of the old machine, or for what lies on one";
        let mut defect = Defect::in_file(&profile.path, message).hint("remove the profile");
        if let Some(entry) = tie(profile, &nics) {
            defect = defect.at_line(entry.line + 1).evidence(shown(entry));
        }
        defects.push(defect);
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if config::remove(guest, |config, profile| is_bound(profile, &config.nics()))? {
        dhcp::add_profile(guest)?;
    }
    Ok(())
}

/// Whether a profile is for a NIC and something else than a MAC says for which.
fn is_bound(profile: &Profile, nics: &[&str]) -> bool {
    let by_mac_alone = profile.kind() == "ethernet" && tie(profile, nics).is_none();
    profile.device.is_replaced() && !by_mac_alone
}

/// What binds it, a MAC apart.
fn tie<'a>(profile: &'a Profile, nics: &[&str]) -> Option<Entry<'a>> {
    let stacked = || match profile.kind() {
        "ethernet" => None,
        _ => profile.file.get(&["connection"], "type"),
    };
    profile
        .interface()
        .or_else(|| profile.controller())
        .or_else(|| profile.restriction(nics))
        .or_else(|| profile.parent())
        .or_else(stacked)
}
