//! Static addresses, routes and name servers of a NIC, or of what lies on one.
//!
//! A profile with a static address goes, with its routes and rules: the profile that gives DHCP
//! takes its place. Routes of other interfaces stay. Name servers that are set for all interfaces
//! keep the instance from asking OCI's; since it still gets its lease, they are worth a warning.

use super::native::Document;
use super::profile::Profile;
use super::{Config, globals, remove, route};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::shell_vars::Assignment;
use crate::parse::xml::Element;

/// The variables that set an address; each may have a suffix.
const ADDRESSES: [&str; 2] = ["IPADDR", "REMOTE_IPADDR"];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for profile in config
        .profiles
        .iter()
        .filter(|profile| config.is_nic(profile))
    {
        defects.extend(first_address(profile).map(|found| {
            Defect::in_file(
                &profile.path,
                format!("{} has a static address", profile.name),
            )
            .at_line(found.line)
            .evidence(profile.line(found))
            .hint("let DHCP assign the address")
        }));
    }
    for (document, element) in config
        .native_nics()
        .filter(|(_, element)| is_static(element))
    {
        let name = document.name_of(element);
        defects.push(
            Defect::in_file(&document.path, format!("{name} has a static address"))
                .at_line(document.line(element))
                .evidence(format!("<interface> {name}"))
                .hint("let DHCP assign the address"),
        );
    }
    for table in route::tables(guest)? {
        defects.extend(table.of_nics(&config.devices).into_iter().map(|entry| {
            Defect::in_file(&table.path, "a static route or rule")
                .at_line(entry.lines.start + 1)
                .evidence(entry.text)
                .hint("remove it; DHCP brings the routes")
        }));
    }
    for globals in globals::read_all(guest)? {
        defects.extend(globals.dns().into_iter().map(|found| {
            Defect::in_file(
                &globals.path,
                "the name servers of the old network are asked first",
            )
            .at_line(found.line)
            .evidence(globals.line(found))
            .hint("leave the value empty; DHCP brings the name servers")
            .severity(Severity::Warning)
        }));
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
    for table in route::tables(guest)? {
        table.fix(guest, &config.devices)?;
    }
    for globals in globals::read_all(guest)? {
        globals.let_dhcp_set_dns(guest)?;
    }
    let goes = |profile: &Profile| config.is_nic(profile) && first_address(profile).is_some();
    remove(guest, &config, &goes, &|_: &Document, element| {
        is_static(element)
    })
}

/// The first variable that sets an address; `0.0.0.0` only brings the interface up.
fn first_address(profile: &Profile) -> Option<&Assignment> {
    profile.with_prefix(&ADDRESSES).find(|found| {
        let value = found.value.as_str().trim();
        let address = value.split('/').next().unwrap_or_default();
        !matches!(address, "0.0.0.0" | "::")
    })
}

/// Whether a description of an interface sets an address.
fn is_static(interface: &Element) -> bool {
    interface
        .children
        .iter()
        .any(|child| matches!(child.name.as_str(), "ipv4:static" | "ipv6:static"))
}
