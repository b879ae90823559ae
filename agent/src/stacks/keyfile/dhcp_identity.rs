//! Identities that `NetworkManager` gives to the DHCP client, and what it derives them from.

use super::config::Config;
use super::mac::shown;
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::keyfile::Entry;
use crate::parse::lines::LineEdits;
use crate::root::GuestPath;

/// What it remembers of the networks that it was on. It makes each anew.
const STATE: [&str; 3] = [
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/NetworkManager/seen-bssids",
    "/var/lib/NetworkManager/timestamps",
];
/// Values that name a way to find an identity, and none.
const WAYS: [&str; 15] = [
    "",
    "mac",
    "perm-mac",
    "duid",
    "ipv6-duid",
    "stable",
    "none",
    "ifname",
    "lease",
    "ll",
    "llt",
    "stable-ll",
    "stable-llt",
    "stable-uuid",
    "default",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let told = |path: &GuestPath, entry: Entry<'_>| {
        Defect::in_file(
            path,
            "NetworkManager is told the identity of the DHCP client",
        )
        .at_line(entry.line + 1)
        .evidence(shown(entry))
        .hint("remove the line")
    };
    let mut defects = Vec::new();
    for profile in config.profiles() {
        let entries = profile.file.entries().filter(is_identity);
        defects.extend(entries.map(|entry| told(&profile.path, entry)));
    }
    for conf in config.conf().files() {
        let entries = conf.file.entries().filter(is_identity);
        defects.extend(entries.map(|entry| told(&conf.path, entry)));
    }
    defects.extend(state(guest)?.iter().map(|path| {
        Defect::in_file(
            path,
            "NetworkManager remembers the networks of the old machine",
        )
        .hint("remove the file; NetworkManager makes it anew")
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
    for profile in config.profiles() {
        let entries = profile.file.entries().filter(is_identity);
        config.remove_lines(guest, profile, entries.map(|entry| entry.line))?;
    }
    for conf in config.conf().files() {
        let mut edits = LineEdits::default();
        for entry in conf.file.entries().filter(is_identity) {
            edits.remove(entry.line..entry.line + 1);
        }
        conf.edit(guest, &edits)?;
    }
    for path in state(guest)? {
        guest.remove(&path)?;
    }
    Ok(())
}

/// Whether a setting, in a profile or among the defaults of all, is an identity.
fn is_identity(entry: &Entry<'_>) -> bool {
    let key = match entry.group {
        "ipv4" | "ipv6" => entry.key,
        group if group.starts_with("connection") => {
            let key = entry.key.strip_prefix("ipv4.");
            key.or_else(|| entry.key.strip_prefix("ipv6."))
                .unwrap_or_default()
        }
        _ => return false,
    };
    matches!(key, "dhcp-client-id" | "dhcp-duid" | "dhcp-iaid") && !WAYS.contains(&entry.value)
}

fn state(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let stacks = &guest.facts().network_stacks;
    let mut found = Vec::new();
    if stacks.contains(&NetworkStack::NetworkManager) {
        for path in STATE.map(GuestPath::from) {
            if guest.kind(&path)?.is_some() {
                found.push(path);
            }
        }
    }
    Ok(found)
}
