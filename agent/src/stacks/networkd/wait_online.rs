//! `systemd-networkd-wait-online` told to wait for a NIC by its name: on OCI it would wait in vain,
//! and everything that needs the network with it.

use super::Config;
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::lines::LineEdits;
use crate::parse::unit_file::{self, Entry};
use crate::root::GuestPath;

/// Where the administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// The service.
const SERVICE: &str = "systemd-networkd-wait-online.service";
/// How the instances begin that wait for one interface.
const INSTANCE: &str = "systemd-networkd-wait-online@";

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>, config: &Config) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for link in instances(guest, config)? {
        defects.push(
            Defect::in_file(&link, "the boot waits for a NIC by its name")
                .hint("disable the unit; the service itself waits for whichever NIC there is"),
        );
    }
    for path in service_files(guest)? {
        if let Some(text) = guest.text(&path)? {
            defects.extend(waits(text.as_str(), config).into_iter().map(|(entry, _)| {
                Defect::in_file(&path, "the boot waits for a NIC by its name")
                    .at_line(entry.lines.start + 1)
                    .evidence(format!("{}={}", entry.key, entry.value))
                    .hint("remove the option that names it")
            }));
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>, config: &Config) -> Result<(), Error> {
    for link in instances(guest, config)? {
        guest.remove(&link)?;
    }
    for path in service_files(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let mut edits = LineEdits::default();
        for (entry, command) in waits(text.as_str(), config) {
            edits.replace(entry.lines, format!("{}={command}\n", entry.key));
        }
        if !edits.is_empty() {
            guest.write_text(&path, &edits.apply(text.as_str()))?;
        }
    }
    Ok(())
}

/// The links that start an instance for a NIC.
fn instances(guest: &Guest<'_>, config: &Config) -> Result<Vec<GuestPath>, Error> {
    let mut found = Vec::new();
    for dir in guest.list(&UNITS.into())? {
        if !dir.has_suffix(".wants") && !dir.has_suffix(".requires") {
            continue;
        }
        found.extend(guest.list(&dir)?.into_iter().filter(|link| {
            let name = link.name().to_string_lossy();
            name.strip_prefix(INSTANCE)
                .and_then(|rest| rest.strip_suffix(".service"))
                .is_some_and(|nic| config.is_old_nic(&nic.replace("\\x2d", "-")))
        }));
    }
    Ok(found)
}

/// The administrator's own version of the service, and drop-ins.
fn service_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let stacks = &guest.facts().network_stacks;
    if !stacks.contains(&NetworkStack::Networkd) {
        return Ok(Vec::new());
    }
    let units = GuestPath::from(UNITS);
    let mut files = vec![units.join(SERVICE)];
    files.extend(guest.list(&units.join(format!("{SERVICE}.d")))?);
    files.retain(|path| path.has_suffix(".conf") || path.has_suffix(".service"));
    Ok(files)
}

/// The commands that wait for a NIC by its name, and what they are without.
fn waits(text: &str, config: &Config) -> Vec<(Entry, String)> {
    unit_file::parse(text)
        .into_iter()
        .filter(|entry| entry.section == "Service" && entry.key == "ExecStart")
        .filter_map(|entry| {
            let words: Vec<&str> = entry.value.split_whitespace().collect();
            let left = without_nics(&words, config);
            let command = (left.len() < words.len()).then(|| left.join(" "))?;
            Some((entry, command))
        })
        .collect()
}

/// A command without the options that name a NIC.
fn without_nics<'a>(words: &[&'a str], config: &Config) -> Vec<&'a str> {
    let is_nic = |word: &str| {
        let name = word.trim_matches(['"', '\'']).split(':').next();
        name.is_some_and(|name| !name.is_empty() && config.is_old_nic(name))
    };
    let mut left = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at];
        let next = words.get(at + 1).copied();
        let glued = word
            .strip_prefix("--interface=")
            .or_else(|| word.strip_prefix("-i"))
            .filter(|name| !name.is_empty());
        at += 1;
        if let (true, Some(name)) = (matches!(word, "-i" | "--interface"), next) {
            if is_nic(name) {
                at += 1;
                continue;
            }
        } else if glued.is_some_and(is_nic) {
            continue;
        }
        left.push(word);
    }
    left
}
