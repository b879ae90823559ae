//! Whether `NetworkManager` brings up whichever NIC appears by DHCP, and the profile that does.
//!
//! The profile names no interface and no MAC, and it may be active on several devices at once.
//! `NetworkManager` before 1.14 does not know `multi-connect` and passes over it: there the profile
//! is active on one NIC, and there is only one. Its priority is low, so that it gives way
//! to whatever somebody sets up on purpose.
//!
//! Where Ethernet is not managed, as Ubuntu's packages have it, a drop-in that is read last says
//! that it is, and leaves everything else as it was.

use super::super::in_charge;
use super::conf::DROP_INS;
use super::config::{self, Config, OWNER};
use super::mac::shown;
use super::profile::{Profile, is_false};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::keyfile::KeyFile;
use crate::parse::lines::LineEdits;
use crate::root::GuestPath;

/// The name of the profile.
pub const NAME: &str = "dhcp-any-ethernet";
/// The profile.
pub const PROFILE: &str = "\
# DHCP on whichever Ethernet interface appears: its name is not known before the import.
[connection]
id=dhcp-any-ethernet
uuid=ee6cb373-8b25-527d-8a6d-eab1dd2db179
type=ethernet
autoconnect=true
autoconnect-priority=-100
multi-connect=3

[ethernet]

[ipv4]
method=auto

[ipv6]
method=auto
may-fail=true
";
/// The name of the drop-in by which Ethernet is managed; it has to come last.
const DROP_IN_NAME: &str = "zz-manage-ethernet.conf";
/// The drop-in.
pub const DROP_IN: &str = "\
# The NIC that the instance gets is NetworkManager's, whatever files before this one say.
[keyfile]
unmanaged-devices+=except:type:ethernet

[device-zz-manage-ethernet]
match-device=type:ethernet
managed=1
";
/// Whether networking is switched on, as `nmcli networking off` leaves it.
const STATE: &str = "/var/lib/NetworkManager/NetworkManager.state";

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects: Vec<Defect> = config.profiles().iter().filter_map(ignored).collect();
    if in_charge(guest)? != Some(NetworkStack::NetworkManager) {
        return Ok(defects);
    }
    if let Some((line, text)) = switched_off(guest)? {
        defects.push(
            Defect::in_file(&STATE.into(), "networking is switched off")
                .at_line(line + 1)
                .evidence(text)
                .hint("set it to true"),
        );
    }
    if let Some(hindrance) = config.conf().hindrance(&config.nics()) {
        defects.push(
            Defect::in_file(
                hindrance.path,
                "NetworkManager is told to leave the NIC alone",
            )
            .at_line(hindrance.entry.line + 1)
            .evidence(shown(hindrance.entry))
            .hint("except Ethernet interfaces"),
        );
    }
    for profile in config
        .profiles()
        .iter()
        .filter(|profile| profile.competes())
    {
        if let Some(entry) = profile.obstacle() {
            let message = "a profile that takes whichever NIC appears gets it no lease";
            defects.push(
                Defect::in_file(&profile.path, message)
                    .at_line(entry.line + 1)
                    .evidence(shown(entry))
                    .hint("remove the profile"),
            );
        }
    }
    if !config.has_dhcp_for_any() {
        let message = "no profile gives DHCP at boot to whichever NIC appears";
        defects.push(
            Defect::in_file(&config.conf().profile_dir(), message)
                .hint("add a profile of type ethernet with no interface-name and method=auto"),
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
    if in_charge(guest)? != Some(NetworkStack::NetworkManager) {
        return Ok(());
    }
    if let Some((line, _)) = switched_off(guest)?
        && let Some(text) = guest.text(&STATE.into())?
    {
        let mut edits = LineEdits::default();
        edits.replace(line..line + 1, "NetworkingEnabled=true\n".to_owned());
        guest.write_text(&STATE.into(), &edits.apply(text.as_str()))?;
    }
    let config = Config::read(guest)?;
    if config.conf().hindrance(&config.nics()).is_some() {
        let path = GuestPath::from(DROP_INS).join(DROP_IN_NAME);
        guest.write_text(&path, DROP_IN)?;
    }
    config::remove(guest, |_, profile| {
        profile.competes() && profile.obstacle().is_some()
    })?;
    add_profile(guest)
}

/// Drafts the profile, if `NetworkManager` is in charge and has none that does the same.
///
/// # Errors
///
/// The guest could not be read.
pub fn add_profile(guest: &mut Guest<'_>) -> Result<(), Error> {
    if in_charge(guest)? != Some(NetworkStack::NetworkManager) {
        return Ok(());
    }
    let config = Config::read(guest)?;
    if config.has_dhcp_for_any() {
        return Ok(());
    }
    // A file that is there keeps its permissions, which may be why it is of no use.
    let dir = config.conf().profile_dir();
    let mut path = dir.join(format!("{NAME}.nmconnection"));
    let mut number = 1;
    while guest.root().kind(&path)?.is_some() {
        number += 1;
        path = dir.join(format!("{NAME}-{number}.nmconnection"));
    }
    guest.write_as(&path, PROFILE.as_bytes().to_vec(), OWNER)
}

/// A note that `NetworkManager` ignores a profile, if it does.
fn ignored(profile: &Profile) -> Option<Defect> {
    let defect = if profile.trusted {
        let line = profile.file.fault()?;
        let message = "NetworkManager ignores a profile that it cannot read";
        Defect::in_file(&profile.path, message).at_line(line + 1)
    } else {
        let message = "NetworkManager ignores a profile that is open to others than root";
        Defect::in_file(&profile.path, message)
    };
    Some(
        defect
            .hint("nothing has to be done, unless the profile is still wanted")
            .severity(Severity::Note),
    )
}

/// The line that switches networking off.
fn switched_off(guest: &Guest<'_>) -> Result<Option<(usize, String)>, Error> {
    let Some(text) = guest.text(&STATE.into())? else {
        return Ok(None);
    };
    let file = KeyFile::parse(text.as_str());
    let entry = file.get(&["main"], "NetworkingEnabled");
    Ok(entry
        .filter(|entry| is_false(entry.value))
        .map(|entry| (entry.line, shown(entry))))
}
