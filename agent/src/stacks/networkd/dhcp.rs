//! Whether networkd gives DHCP to whichever NIC appears, and the profile that does.
//!
//! The profile selects by name: `en* eth*` leaves out wireless interfaces, `lo`, `docker0` and
//! `veth…` in every version (`Kind=!*`, which would say the same, is unknown before 248, and the
//! match then catches all of them). It says `DHCP=ipv4`, since networkd before 230 takes a link
//! for configured only when both protocols have answered, and `systemd-networkd-wait-online` would
//! hang without a DHCPv6 server; router advertisements are taken by default and start DHCPv6 where
//! the router asks for it. `[DHCP]` is the section of old versions that new ones still read. The
//! client identifies itself by its MAC, so that two instances differ even with one machine-id.

use super::super::in_charge;
use super::file::ETC;
use super::matching::Reach;
use super::{Config, Network};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

use std::os::unix::fs::MetadataExt;

/// The profile.
const PROFILE: &str = "\
# DHCP on whichever Ethernet NIC appears: its name and its MAC are not known before the import.
# IPv6 comes by router advertisements, and by DHCPv6 where these ask for it.
[Match]
Name=en* eth*

[Network]
DHCP=ipv4

[DHCP]
ClientIdentifier=mac
";
/// What it may be called: the first name that sorts before whatever else could catch the NIC.
const NAMES: [&str; 4] = [
    "10-dhcp-any-nic.network",
    "00-dhcp-any-nic.network",
    "0-dhcp-any-nic.network",
    "0--dhcp-any-nic.network",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects: Vec<Defect> = config
        .networks
        .iter()
        .filter_map(Network::refused_line)
        .map(|(source, line)| {
            let text = source.text.lines().nth(line - 1).unwrap_or_default();
            Defect::in_file(
                &source.path,
                "networkd refuses the whole file for this line",
            )
            .at_line(line)
            .evidence(text.chars().take(200).collect::<String>())
            .hint("close the section's header")
            .severity(Severity::Warning)
        })
        .collect();
    if in_charge(guest)? == Some(NetworkStack::Networkd) && !has_dhcp_for_any(guest, &config)? {
        defects.push(
            Defect::in_file(
                &ETC.into(),
                "no profile gives DHCP at boot to whichever NIC appears",
            )
            .hint("add a profile with `Name=en* eth*` and `DHCP=ipv4`"),
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
    if in_charge(guest)? == Some(NetworkStack::Networkd) {
        provide(guest)?;
    }
    Ok(())
}

/// Drafts the profile unless there is one that does.
///
/// # Errors
///
/// The guest could not be read.
pub fn provide(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    if has_dhcp_for_any(guest, &config)? {
        return Ok(());
    }
    let first = config
        .networks
        .iter()
        .find(|network| {
            config
                .nics()
                .iter()
                .any(|nic| network.matching.may_catch(nic))
        })
        .map(|network| network.definition.name.as_str());
    let mut free = Vec::new();
    for name in NAMES {
        if is_free(guest, &GuestPath::from(ETC).join(name))? {
            free.push(name);
        }
    }
    let name = free
        .iter()
        .find(|name| first.is_none_or(|first| **name < first))
        .or(free.last());
    match name {
        Some(name) => guest.write_text(&GuestPath::from(ETC).join(name), PROFILE),
        None => Ok(()),
    }
}

/// Whether a file of a name may be made: there is none, and no link that it would be written
/// through.
fn is_free(guest: &Guest<'_>, path: &GuestPath) -> Result<bool, Error> {
    let on_disk = guest.root().kind(&guest.root().resolve_parent(path)?)?;
    Ok(guest.kind(path)?.is_none() && matches!(on_disk, None | Some(FileKind::Regular)))
}

/// Whether the first profile that catches a NIC gives it DHCPv4, whatever the NIC's name.
fn has_dhcp_for_any(guest: &Guest<'_>, config: &Config) -> Result<bool, Error> {
    for nic in config.nics() {
        let first = config
            .networks
            .iter()
            .find(|network| network.matching.may_catch(nic));
        match first {
            Some(network) if serves(network) && is_readable(guest, network)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether a profile is for whichever Ethernet NIC appears and lets it take a lease with a route.
fn serves(network: &Network) -> bool {
    let definition = &network.definition;
    let dhcp = ["DHCP", "DHCPv4"];
    let restricted = ["AllowList", "DenyList", "BlackList"].iter().any(|key| {
        definition
            .value(&dhcp, key)
            .is_some_and(|list| !list.is_empty())
    });
    network.reach == Reach::Any
        && network.gives_dhcp()
        && !network.is_port
        && !restricted
        && network.refused_line().is_none()
        && !definition.is(&["Link"], "Unmanaged", true)
        && !definition.is(&dhcp, "UseRoutes", false)
        && !definition.is(&dhcp, "UseGateway", false)
        && !matches!(
            definition.value(&["Link"], "ActivationPolicy"),
            Some("manual" | "down" | "always-down")
        )
}

/// Whether networkd, which is not root, may read a profile.
fn is_readable(guest: &Guest<'_>, network: &Network) -> Result<bool, Error> {
    for source in network.definition.sources() {
        let path = guest.root().resolve(&source.path)?;
        if guest.drafts().contains_key(&path) {
            continue;
        }
        if let Some(file) = guest.root().open_file(&path)? {
            let metadata = file.metadata().map_err(Error::io("looking at", &path))?;
            if metadata.mode() & 0o004 == 0 && metadata.gid() == 0 {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
