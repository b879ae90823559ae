//! What starts at boot: systemd's unit links, System V run levels, Upstart jobs.

use crate::error::Error;
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

/// Where systemd keeps what the administrator enabled.
const SYSTEMD: &str = "/etc/systemd/system";
/// Where systemd's units come from, the administrator's first.
const UNIT_DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Run levels that a boot leads through, as Debian, Red Hat and SUSE keep them.
const RUN_LEVELS: [&str; 14] = [
    "/etc/rcS.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
    "/etc/rc.d/rc2.d",
    "/etc/rc.d/rc3.d",
    "/etc/rc.d/rc4.d",
    "/etc/rc.d/rc5.d",
    "/etc/init.d/boot.d",
    "/etc/init.d/rc2.d",
    "/etc/init.d/rc3.d",
    "/etc/init.d/rc4.d",
    "/etc/init.d/rc5.d",
];
/// Upstart's jobs.
const UPSTART: &str = "/etc/init";

/// Whether the guest shows what starts at boot.
///
/// # Errors
///
/// The guest could not be read.
pub fn readable(guest: &Guest<'_>) -> Result<bool, Error> {
    for dir in [SYSTEMD, UPSTART].iter().chain(&RUN_LEVELS) {
        if !guest.list(&(*dir).into())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a systemd unit, or the run-level script or Upstart job of the same service, starts at
/// boot. A script without a name is none.
///
/// # Errors
///
/// The guest could not be read.
pub fn is_enabled(guest: &Guest<'_>, unit: &str, script: &str) -> Result<bool, Error> {
    if guest.facts().systemd && is_masked(guest, unit)? {
        return Ok(false);
    }
    if !wants(guest, unit)?.is_empty() {
        return Ok(true);
    }
    if script.is_empty() {
        return Ok(false);
    }
    for level in RUN_LEVELS {
        if starts_at(guest, level, script)? {
            return Ok(true);
        }
    }
    Ok(!guest.facts().systemd
        && guest.exists(&format!("{UPSTART}/{script}.conf").as_str().into())?)
}

/// Whether a unit is masked: an empty file, or a link to `/dev/null`.
///
/// # Errors
///
/// The guest could not be read.
pub fn is_masked(guest: &Guest<'_>, unit: &str) -> Result<bool, Error> {
    let mask = GuestPath::from(SYSTEMD).join(unit);
    Ok(match guest.kind(&mask)? {
        Some(FileKind::Symlink) => guest.root().resolve(&mask)? == GuestPath::from("/dev/null"),
        Some(FileKind::Regular) => guest.read(&mask)?.is_some_and(|content| content.is_empty()),
        _ => false,
    })
}

/// The file of a unit; `None` where it is not installed.
///
/// # Errors
///
/// The guest could not be read.
pub fn file(guest: &Guest<'_>, unit: &str) -> Result<Option<GuestPath>, Error> {
    for dir in UNIT_DIRS {
        let path = GuestPath::from(dir).join(unit);
        if guest.exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The administrator's links by which targets and units want or require a unit.
///
/// # Errors
///
/// The guest could not be read.
pub fn wants(guest: &Guest<'_>, unit: &str) -> Result<Vec<GuestPath>, Error> {
    let mut links = Vec::new();
    for dir in guest.list(&SYSTEMD.into())? {
        if dir.has_suffix(".wants") || dir.has_suffix(".requires") {
            let link = dir.join(unit);
            if guest.kind(&link)?.is_some() {
                links.push(link);
            }
        }
    }
    Ok(links)
}

/// Drafts that a unit is wanted by a target, as `systemctl enable` does it.
///
/// # Errors
///
/// The guest could not be read.
pub fn enable(guest: &mut Guest<'_>, unit: &str, target: &str) -> Result<(), Error> {
    if let Some(file) = file(guest, unit)? {
        let link = GuestPath::from(SYSTEMD)
            .join(format!("{target}.wants"))
            .join(unit);
        guest.link(&link, &file.to_string())?;
    }
    Ok(())
}

/// Drafts that nothing starts a unit at boot, as `systemctl disable` and `update-rc.d disable` do
/// it. It can still be started by hand.
///
/// # Errors
///
/// The guest could not be read.
pub fn disable(guest: &mut Guest<'_>, unit: &str, script: &str) -> Result<(), Error> {
    let mut links = wants(guest, unit)?;
    if !script.is_empty() {
        for level in RUN_LEVELS {
            links.extend(scripts_at(guest, level, script)?);
        }
    }
    for link in links {
        guest.remove(&link)?;
    }
    Ok(())
}

fn starts_at(guest: &Guest<'_>, level: &str, script: &str) -> Result<bool, Error> {
    Ok(!scripts_at(guest, level, script)?.is_empty())
}

/// The links by which a run level starts a script: `S12networking`.
fn scripts_at(guest: &Guest<'_>, level: &str, script: &str) -> Result<Vec<GuestPath>, Error> {
    let mut links = guest.list(&level.into())?;
    links.retain(|link| {
        link.name()
            .to_str()
            .and_then(|name| name.strip_prefix('S'))
            .is_some_and(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
    });
    Ok(links)
}
