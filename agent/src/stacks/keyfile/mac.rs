//! Literal MAC addresses in what `NetworkManager` reads.
//!
//! A profile for a NIC that names one goes as a whole, and so does one for a Bluetooth device,
//! which is nothing without its address. From any other profile, and from `NetworkManager`'s own
//! configuration, only what names the MAC goes.

use super::super::note;
use super::bystanders;
use super::conf::ConfFile;
use super::config::{self, Config};
use super::dhcp;
use super::profile::Profile;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::keyfile::{Entry, items, without_items};
use crate::parse::lines::LineEdits;
use crate::parse::mac;
use crate::root::GuestPath;

/// The devices for which `NetworkManager` shall make no profile by itself, one a line.
const NO_AUTO_DEFAULT: &str = "/var/lib/NetworkManager/no-auto-default.state";
/// Keys of `NetworkManager.conf` whose value is a list of devices.
const DEVICE_LISTS: [&str; 6] = [
    "no-auto-default",
    "ignore-carrier",
    "assume-ipv6ll-only",
    "unmanaged-devices",
    "match-device",
    "managed-devices",
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
        let file = &profile.file;
        defects.extend(macs(profile).map(|entry| {
            bound(&profile.path, entry)
                .hint("remove the profile if it is for a NIC, and the line if it is not")
        }));
        let comments = file.comments();
        defects.extend(
            comments.filter_map(|(line, text)| note(&profile.path, line, text, "a comment")),
        );
    }
    for conf in config.conf().files() {
        let entries = conf.file.entries().filter(names_mac);
        defects.extend(
            entries.map(|entry| {
                bound(&conf.path, entry).hint("remove the MAC from the configuration")
            }),
        );
        let comments = conf.file.comments();
        defects
            .extend(comments.filter_map(|(line, text)| note(&conf.path, line, text, "a comment")));
    }
    for (line, text) in remembered(guest)?.lines().enumerate() {
        if is_mac(text) {
            let message = "NetworkManager remembers a NIC by its old MAC";
            defects.push(
                Defect::in_file(&NO_AUTO_DEFAULT.into(), message)
                    .at_line(line + 1)
                    .evidence(text)
                    .hint("remove the line"),
            );
        }
    }
    defects.extend(bystanders::check(guest, &config)?);
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let removed = config::remove(guest, |_, profile| {
        let nothing_without = profile.device.is_replaced() || profile.kind() == "bluetooth";
        nothing_without && macs(profile).next().is_some()
    })?;
    let config = Config::read(guest)?;
    for profile in config.profiles() {
        let lines = macs(profile).map(|entry| entry.line);
        config.remove_lines(guest, profile, lines)?;
    }
    for conf in config.conf().files() {
        conf.edit(guest, &without_macs(conf))?;
    }
    let remembered = remembered(guest)?;
    let mut edits = LineEdits::default();
    for (line, _) in remembered
        .lines()
        .enumerate()
        .filter(|(_, text)| is_mac(text))
    {
        edits.remove(line..line + 1);
    }
    if !edits.is_empty() {
        let anew = edits.apply(&remembered);
        if anew.trim().is_empty() {
            guest.remove(&NO_AUTO_DEFAULT.into())?;
        } else {
            guest.write_text(&NO_AUTO_DEFAULT.into(), &anew)?;
        }
    }
    if removed {
        dhcp::add_profile(guest)?;
    }
    Ok(())
}

fn bound(path: &GuestPath, entry: Entry<'_>) -> Defect {
    Defect::in_file(path, "a setting binds the network to a MAC")
        .at_line(entry.line + 1)
        .evidence(shown(entry))
}

/// A setting as it is reported.
pub fn shown(entry: Entry<'_>) -> String {
    let line = format!("{}={}", entry.key, entry.value);
    line.chars().take(200).collect()
}

/// The settings of a profile that name a MAC.
fn macs(profile: &Profile) -> impl Iterator<Item = Entry<'_>> {
    profile.file.entries().filter(names_mac)
}

/// Whether a setting names a MAC.
pub fn names_mac(entry: &Entry<'_>) -> bool {
    let value = entry.value;
    let expected = entry.key.contains("mac-address")
        && (mac::is_partial(value) || !mac::find_bare(value).is_empty() || is_byte_list(value));
    expected || is_mac(value)
}

fn is_mac(text: &str) -> bool {
    !mac::find(text).is_empty()
}

/// Whether a value is a MAC as old versions wrote it: `0;17;34;51;68;85;`.
fn is_byte_list(value: &str) -> bool {
    let bytes = items(value).filter(|item| item.parse::<u8>().is_ok());
    let count = bytes.count();
    matches!(count, 6 | 20) && items(value).count() == count
}

fn without_macs(conf: &ConfFile) -> LineEdits {
    let mut edits = LineEdits::default();
    let physical: Vec<&str> = conf.file.as_str().split_inclusive('\n').collect();
    for entry in conf.file.entries().filter(names_mac) {
        let key = entry.key.trim_end_matches(['+', '-']);
        let list = DEVICE_LISTS.contains(&key);
        match without_items(entry.value, is_mac).filter(|_| list) {
            Some(left) => {
                let line = physical.get(entry.line).copied().unwrap_or_default();
                let anew = line.replace(entry.value, &left);
                edits.replace(entry.line..entry.line + 1, anew);
            }
            // What was for the old NIC alone would now be for all.
            None if key == "match-device" && !only_exceptions(entry.value) => {
                for line in conf.file.group_lines(entry.group) {
                    edits.remove(line..line + 1);
                }
            }
            None => edits.remove(entry.line..entry.line + 1),
        }
    }
    edits
}

fn only_exceptions(list: &str) -> bool {
    items(list).all(|item| item.starts_with("except:"))
}

fn remembered(guest: &Guest<'_>) -> Result<String, Error> {
    let text = guest.text(&NO_AUTO_DEFAULT.into())?;
    Ok(text
        .map(|text| text.as_str().to_owned())
        .unwrap_or_default())
}
