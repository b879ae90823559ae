//! What makes SSH host keys at boot where there are none.
//!
//! Red Hat's `sshd.service` wants `sshd-keygen` units, SUSE's runs `sshd-gen-keys-start` first, the
//! init scripts of both call `ssh-keygen`. Debian makes keys when the package is installed; its
//! `sshd-keygen.service` of version 10 runs at the first boot in the sense of machine-id(5) only,
//! which an empty `/etc/machine-id` is not.

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::{shell_vars, unit_file};
use crate::provision::{self, CloudInit};
use crate::root::GuestPath;
use crate::units;

const SYSTEMD: &str = "/etc/systemd/system";
const KEYGEN: &str = "/usr/bin/ssh-keygen";
const SSHD_UNITS: [&str; 2] = ["sshd.service", "ssh.service"];
const SCRIPTS: [&str; 3] = [
    "/etc/init.d/sshd",
    "/etc/rc.d/init.d/sshd",
    "/etc/init.d/ssh",
];
/// How Red Hat's administrator says that no key shall be made.
const SETTINGS: &str = "/etc/sysconfig/sshd";
/// With this, cloud-init keeps Red Hat's units from making keys, which it then does itself.
const HELD_BACK: &str =
    "/etc/systemd/system/sshd-keygen@.service.d/disable-sshd-keygen-if-cloud-init-active.conf";
/// How deep units may want units on the way from sshd to what makes its keys.
const MAX_DEPTH: u32 = 3;
/// The unit that is added.
pub const UNIT: &str = "ssh-host-keys.service";
const UNIT_TEXT: &str = "\
[Unit]
Description=Generate SSH host keys
Documentation=man:ssh-keygen(1)
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
After=cloud-init.service cloud-init-network.service
Before=ssh.service sshd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
";

/// Where new host keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// The guest's own units or scripts, or the unit that was added.
    Boot,
    /// cloud-init's `ssh` module.
    CloudInit,
    /// Nothing yet; a unit can be added.
    Addable,
    /// Nothing.
    Missing,
}

impl Generator {
    /// Looks at a guest.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(guest: &Guest<'_>) -> Result<Self, Error> {
        if !units::wants(guest, UNIT)?.is_empty() {
            return Ok(Self::Boot);
        }
        let cloud_init = CloudInit::of(guest)?;
        let held_back = cloud_init != CloudInit::Off && guest.exists(&HELD_BACK.into())?;
        if !held_back && makes_keys(guest)? {
            return Ok(Self::Boot);
        }
        if cloud_init == CloudInit::Runs && provision::has_module(guest, "ssh")? {
            return Ok(Self::CloudInit);
        }
        Ok(if guest.facts().systemd && guest.exists(&KEYGEN.into())? {
            Self::Addable
        } else {
            Self::Missing
        })
    }
}

/// Drafts the unit that makes keys, enabled.
///
/// # Errors
///
/// The guest could not be read.
pub fn add(guest: &mut Guest<'_>) -> Result<(), Error> {
    let path = GuestPath::from(SYSTEMD).join(UNIT);
    guest.write(&path, UNIT_TEXT.into())?;
    units::enable(guest, UNIT, "multi-user.target")
}

/// Whether the guest's own sshd brings what makes its keys.
fn makes_keys(guest: &Guest<'_>) -> Result<bool, Error> {
    if is_forbidden(guest)? {
        return Ok(false);
    }
    if !guest.facts().systemd {
        for script in SCRIPTS {
            if mentions(guest, &script.into())? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    for unit in SSHD_UNITS {
        if unit_makes_keys(guest, unit, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_forbidden(guest: &Guest<'_>) -> Result<bool, Error> {
    let text = guest.text(&SETTINGS.into())?;
    Ok(text.is_some_and(|text| {
        shell_vars::assignments(text.as_str())
            .iter()
            .any(|set| set.name == "AUTOCREATE_SERVER_KEYS" && set.value.as_str() == "NO")
    }))
}

/// Whether a script that starts sshd calls the program, other than in a comment.
fn mentions(guest: &Guest<'_>, script: &GuestPath) -> Result<bool, Error> {
    let text = guest.text(script)?;
    Ok(text.is_some_and(|text| {
        text.as_str()
            .lines()
            .any(|line| !line.trim_start().starts_with('#') && is_keygen(line))
    }))
}

/// Whether a unit, or one that it wants, makes keys at every boot that finds none.
fn unit_makes_keys(guest: &Guest<'_>, unit: &str, depth: u32) -> Result<bool, Error> {
    if units::is_masked(guest, unit)? {
        return Ok(false);
    }
    let Some(file) = units::file(guest, &template(unit))? else {
        return Ok(false);
    };
    let Some(text) = guest.text(&file)? else {
        return Ok(false);
    };
    let entries = unit_file::parse(text.as_str());
    if entries
        .iter()
        .any(|entry| entry.key == "ConditionFirstBoot")
    {
        return Ok(false);
    }
    if entries
        .iter()
        .any(|entry| entry.key.starts_with("ExecStart") && is_keygen(&entry.value))
    {
        return Ok(true);
    }
    if depth == MAX_DEPTH {
        return Ok(false);
    }
    let mut wanted: Vec<String> = entries
        .iter()
        .filter(|entry| matches!(entry.key.as_str(), "Wants" | "Requires"))
        .flat_map(|entry| entry.value.split_whitespace())
        .map(str::to_owned)
        .collect();
    for kind in ["wants", "requires"] {
        for dir in [SYSTEMD, "/usr/lib/systemd/system", "/lib/systemd/system"] {
            let links = guest.list(&GuestPath::from(dir).join(format!("{unit}.{kind}")))?;
            wanted.extend(
                links
                    .iter()
                    .filter_map(|link| link.name().to_str().map(str::to_owned)),
            );
        }
    }
    for unit in wanted.iter().filter(|unit| is_keygen(unit)) {
        if unit_makes_keys(guest, unit, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_keygen(text: &str) -> bool {
    ["keygen", "gen-keys", "genkeys"]
        .iter()
        .any(|name| text.contains(name))
}

/// The file of a unit that may be an instance: `sshd-keygen@.service` for `sshd-keygen@rsa.service`.
fn template(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    }
}
