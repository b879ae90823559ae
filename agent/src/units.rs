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
/// Keeps an Upstart job from starting by itself (init(5)).
const MANUAL: &str = "manual";

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

/// Programs that a kernel starts first. A root without any is no system but a piece of one.
const INITS: [&str; 5] = [
    "/sbin/init",
    "/usr/sbin/init",
    "/bin/init",
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
];
/// Where package managers keep what is installed: dpkg, rpm, pacman, apk, portage.
const PACKAGE_DATABASES: [&str; 6] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/var/lib/pacman",
    "/lib/apk/db",
    "/var/db/pkg",
];
/// Where System V scripts are.
const SCRIPT_DIRS: [&str; 2] = ["/etc/init.d", "/etc/rc.d/init.d"];

/// Whether the guest is a whole system: packages are installed in it, and an init starts the rest.
///
/// # Errors
///
/// The guest could not be read.
pub fn has_init(guest: &Guest<'_>) -> Result<bool, Error> {
    if !guest.any_exists(&PACKAGE_DATABASES)? {
        return Ok(false);
    }
    for init in INITS {
        // Links are not followed: `/sbin/init` may be a link to what another root holds.
        if guest.kind(&init.into())?.is_some() {
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
    Ok(is_upstart_job(guest, script)?
        && guest
            .text(&upstart_override(script))?
            .is_none_or(|text| !text.as_str().lines().any(|line| line.trim() == MANUAL)))
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
    if !script.is_empty() && is_upstart_job(guest, script)? && is_enabled(guest, unit, script)? {
        let path = upstart_override(script);
        let said = guest.text(&path)?;
        let said = said.as_ref().map_or("", |text| text.as_str()).trim_end();
        guest.write_text(&path, format!("{said}\n{MANUAL}\n").trim_start())?;
    }
    Ok(())
}

/// Whether Upstart is init and has this job.
fn is_upstart_job(guest: &Guest<'_>, script: &str) -> Result<bool, Error> {
    Ok(!guest.facts().systemd
        && guest.exists(&GuestPath::from(UPSTART).join(format!("{script}.conf")))?)
}

/// What the administrator says about an Upstart job.
fn upstart_override(script: &str) -> GuestPath {
    GuestPath::from(UPSTART).join(format!("{script}.override"))
}

/// The System V script of a service; `None` where it is not installed.
///
/// # Errors
///
/// The guest could not be read.
pub fn script(guest: &Guest<'_>, name: &str) -> Result<Option<GuestPath>, Error> {
    for dir in SCRIPT_DIRS {
        let path = GuestPath::from(dir).join(name);
        if guest.exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Drafts that every multi-user run level starts a System V script, as `chkconfig on` and
/// `update-rc.d enable` do it: late, unless its header has a number.
///
/// # Errors
///
/// The guest could not be read.
pub fn enable_script(guest: &mut Guest<'_>, name: &str) -> Result<(), Error> {
    let Some(script) = script(guest, name)? else {
        return Ok(());
    };
    let number = start_number(guest, &script)?;
    for dir in RUN_LEVELS.into_iter().filter(|dir| is_multi_user(dir)) {
        let entries = guest.list(&dir.into())?;
        if entries.is_empty() {
            continue;
        }
        for link in entries.iter().filter(|link| stops(link, name)) {
            guest.remove(link)?;
        }
        if !starts_at(guest, dir, name)? {
            let link = GuestPath::from(dir).join(format!("S{number}{name}"));
            guest.link(&link, &script.to_string())?;
        }
    }
    Ok(())
}

fn is_multi_user(dir: &str) -> bool {
    ["rc2.d", "rc3.d", "rc4.d", "rc5.d"]
        .iter()
        .any(|level| dir.ends_with(level))
}

/// Whether a run level stops a script: `K25sshd`.
fn stops(link: &GuestPath, script: &str) -> bool {
    link.name()
        .to_str()
        .and_then(|name| name.strip_prefix('K'))
        .is_some_and(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
}

/// The second word of `# chkconfig: 2345 55 25`.
fn start_number(guest: &Guest<'_>, script: &GuestPath) -> Result<String, Error> {
    let text = guest.text(script)?;
    let number = text
        .iter()
        .flat_map(|text| text.as_str().lines())
        .filter_map(|line| {
            line.strip_prefix('#')?
                .trim_start()
                .strip_prefix("chkconfig:")
        })
        .find_map(|values| values.split_whitespace().nth(1)?.parse::<u8>().ok())
        .filter(|number| *number < 100);
    Ok(number.map_or_else(|| "90".to_owned(), |number| format!("{number:02}")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn a_script_is_enabled_as_chkconfig_does_it() {
        let fixture = Fixture::new(&[
            ("/etc/redhat-release", "CentOS release 6.10 (Final)\n"),
            (
                "/etc/rc.d/init.d/sshd",
                "#!/bin/bash\n# chkconfig: 2345 55 25\n",
            ),
            ("/etc/rc.d/rc3.d/K25sshd", "-> ../init.d/sshd"),
            ("/etc/rc.d/rc5.d/S10network", "-> ../init.d/network"),
            ("/etc/rc3.d", "-> rc.d/rc3.d"),
        ]);
        fixture.with(|guest| {
            assert!(!is_enabled(guest, "sshd.service", "sshd").unwrap());
            enable_script(guest, "sshd").unwrap();
            assert!(is_enabled(guest, "sshd.service", "sshd").unwrap());
            let drafted: Vec<String> = guest.drafts().keys().map(ToString::to_string).collect();
            assert_eq!(
                drafted,
                [
                    "/etc/rc.d/rc3.d/K25sshd",
                    "/etc/rc.d/rc3.d/S55sshd",
                    "/etc/rc.d/rc5.d/S55sshd",
                ]
            );
        });
    }
}
