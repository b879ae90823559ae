//! Static addresses, routes and name servers in `NetworkManager`'s profiles for NICs.

use super::super::device::Device;
use super::config::{self, Config};
use super::dhcp;
use super::mac::shown;
use super::profile::Profile;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::keyfile::Entry;

/// Keys that bring something static, the number at their end left out.
const STATIC: [&str; 9] = [
    "address",
    "addresses",
    "gateway",
    "dns",
    "route",
    "routes",
    "route-data",
    "routing-rule",
    "token",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for profile in config.profiles() {
        defects.extend(static_settings(profile).map(|entry| {
            Defect::in_file(&profile.path, "a profile for a NIC has a static setting")
                .at_line(entry.line + 1)
                .evidence(shown(entry))
                .hint("remove the profile; DHCP brings addresses, routes and name servers")
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
    if config::remove(guest, |_, profile| {
        static_settings(profile).next().is_some()
    })? {
        dhcp::add_profile(guest)?;
    }
    Ok(())
}

fn static_settings(profile: &Profile) -> impl Iterator<Item = Entry<'_>> {
    let concerned = profile.device.is_replaced() || profile.device == Device::Any;
    let entries = profile.file.entries().filter(move |_| concerned);
    entries.filter(|entry| matches!(entry.group, "ipv4" | "ipv6") && is_static(*entry))
}

fn is_static(entry: Entry<'_>) -> bool {
    let key = entry.key.trim_end_matches("_options");
    let key = key.trim_end_matches(|c: char| c.is_ascii_digit());
    (entry.key == "method" && entry.value == "manual")
        || (STATIC.contains(&key) && !entry.value.is_empty())
}
