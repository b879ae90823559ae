//! Whether ifupdown brings the network up, what it can do, and how NICs are named.

use super::Config;
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

/// Where systemd keeps what is enabled.
const UNITS: &str = "/etc/systemd/system";
/// The first version with patterns in `auto` and `allow-*`.
const PATTERNS_SINCE: [u32; 3] = [0, 8, 21];

/// Whether the guest has ifupdown.
pub fn present(guest: &Guest<'_>) -> bool {
    guest
        .facts()
        .network_stacks
        .contains(&NetworkStack::Ifupdown)
}

/// Whether ifupdown is what configures the NIC at boot. Where another stack starts as well, it
/// is ifupdown if its configuration, as it is on the disk, has a profile for a NIC.
///
/// # Errors
///
/// The guest could not be read.
pub fn in_charge(guest: &Guest<'_>) -> Result<bool, Error> {
    if !present(guest) {
        return Ok(false);
    }
    let readable = any_exists(guest, &[UNITS, "/etc/rcS.d", "/etc/init"])?;
    if readable && !is_enabled(guest)? {
        return Ok(false);
    }
    let other = if readable {
        other_enabled(guest)?
    } else {
        guest.facts().network_stacks.len() > 1
    };
    Ok(!other || Config::read(&Guest::new(guest.root(), guest.facts()))?.has_nic())
}

fn is_enabled(guest: &Guest<'_>) -> Result<bool, Error> {
    let mask = GuestPath::from("/etc/systemd/system/networking.service");
    let masked = guest.facts().systemd
        && guest.kind(&mask)? == Some(FileKind::Symlink)
        && guest.root().resolve(&mask)? == GuestPath::from("/dev/null");
    Ok(!masked
        && (is_wanted(guest, "networking.service")?
            || starts_at(guest, "/etc/rcS.d", "networking")?
            || (!guest.facts().systemd && any_exists(guest, &["/etc/init/networking.conf"])?)))
}

fn other_enabled(guest: &Guest<'_>) -> Result<bool, Error> {
    for unit in ["NetworkManager.service", "systemd-networkd.service"] {
        if is_wanted(guest, unit)? {
            return Ok(true);
        }
    }
    let plans = guest.list(&"/etc/netplan".into())?;
    Ok(plans.iter().any(|plan| plan.has_suffix(".yaml"))
        || starts_at(guest, "/etc/rc2.d", "network-manager")?)
}

/// Whether some target or unit wants a unit.
fn is_wanted(guest: &Guest<'_>, unit: &str) -> Result<bool, Error> {
    for dir in guest.list(&UNITS.into())? {
        if dir.has_suffix(".wants") && guest.kind(&dir.join(unit))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a run level starts a script: `S12networking`.
fn starts_at(guest: &Guest<'_>, level: &str, script: &str) -> Result<bool, Error> {
    let links = guest.list(&level.into())?;
    Ok(links.iter().any(|link| {
        link.name()
            .to_str()
            .and_then(|name| name.strip_prefix('S'))
            .is_some_and(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
    }))
}

/// Whether the guest's ifupdown knows patterns: `auto /e*=any`. Debian 10 and Ubuntu 20.04 are
/// the first releases that do; ifupdown2 has a syntax of its own.
///
/// # Errors
///
/// The guest could not be read.
pub fn knows_patterns(guest: &Guest<'_>) -> Result<bool, Error> {
    if any_exists(guest, &["/usr/share/ifupdown2"])? {
        return Ok(false);
    }
    if let Some(version) = installed_version(guest, "ifupdown")? {
        let mut parts = version
            .split(['.', '-', '+', '~'])
            .map_while(leading_number);
        let version: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        return Ok(version >= PATTERNS_SINCE);
    }
    let release = leading_number(&guest.facts().version);
    Ok(match (guest.facts().id.as_str(), release) {
        ("debian", Some(release)) => release >= 10,
        ("ubuntu", Some(release)) => release >= 19,
        _ => true,
    })
}

/// The version of an installed package, as dpkg's status file has it.
fn installed_version(guest: &Guest<'_>, package: &str) -> Result<Option<String>, Error> {
    let Some(status) = guest.text(&"/var/lib/dpkg/status".into())? else {
        return Ok(None);
    };
    let mut current = "";
    for line in status.as_str().lines() {
        if let Some(name) = line.strip_prefix("Package: ") {
            current = name.trim();
        } else if current == package
            && let Some(version) = line.strip_prefix("Version: ")
        {
            return Ok(Some(version.trim().to_owned()));
        }
    }
    Ok(None)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Whether NICs keep the names that the kernel gives: the only one is `eth0`. That is so with
/// `net.ifnames=0`, and where udev still has its old generator of persistent names, which names
/// a NIC that it does not know yet after the kernel (Debian 8, Ubuntu 14.04).
///
/// # Errors
///
/// The guest could not be read.
pub fn kernel_names(guest: &Guest<'_>) -> Result<bool, Error> {
    const GENERATOR: &str = "/lib/udev/rules.d/75-persistent-net-generator.rules";
    if any_exists(guest, &[GENERATOR])? {
        return Ok(true);
    }
    let Some(grub) = guest.text(&"/etc/default/grub".into())? else {
        return Ok(false);
    };
    Ok(grub.as_str().lines().any(|line| {
        line.trim().split_once('=').is_some_and(|(key, value)| {
            matches!(key, "GRUB_CMDLINE_LINUX" | "GRUB_CMDLINE_LINUX_DEFAULT")
                && value
                    .split(|c: char| c.is_whitespace() || c == '"' || c == '\'')
                    .any(|word| word == "net.ifnames=0")
        })
    }))
}

fn any_exists(guest: &Guest<'_>, paths: &[&str]) -> Result<bool, Error> {
    for path in paths {
        if guest.exists(&(*path).into())? {
            return Ok(true);
        }
    }
    Ok(false)
}
