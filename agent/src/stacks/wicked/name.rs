//! Profiles that bind a NIC by its name, or lie on one.
//!
//! Every profile does. They go, with the routes and rules beside them; only a plain profile of
//! `eth0` that gets its address by DHCP stays where wicked brings up the network, for it is what
//! would be written in their place.

use super::native::Document;
use super::profile::{PREFIX, Profile};
use super::{Config, is_in_charge, remove};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::xml::Element;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let in_charge = is_in_charge(guest)?;
    let hint = "replace it by one profile of eth0 that gives DHCP";
    let message = "a profile binds a NIC by its name";
    let mut defects: Vec<Defect> = config
        .profiles
        .iter()
        .filter(|profile| is_pinned(&config, profile, in_charge))
        .map(|profile| {
            Defect::in_file(&profile.path, message)
                .evidence(format!("{PREFIX}{}", profile.name))
                .hint(hint)
        })
        .collect();
    defects.extend(config.native_nics().map(|(document, element)| {
        Defect::in_file(&document.path, message)
            .at_line(document.line(element))
            .evidence(format!("<interface> {}", document.name_of(element)))
            .hint(hint)
    }));
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    let in_charge = is_in_charge(guest)?;
    let goes = |profile: &Profile| is_pinned(&config, profile, in_charge);
    remove(guest, &config, &goes, &|_: &Document, _: &Element| true)
}

fn is_pinned(config: &Config, profile: &Profile, in_charge: bool) -> bool {
    config.is_nic(profile) && !(in_charge && config.is_plain_eth0(profile))
}
