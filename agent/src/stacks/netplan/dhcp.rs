//! Whether netplan brings up whichever NIC appears by DHCP: it takes its files, and one of them has
//! a definition for it.
//!
//! A file that is not YAML goes as a whole. Nothing in it has ever come into force, since netplan
//! refuses everything for it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::in_charge;
use super::file::SECTIONS;
use super::removal::Removal;
use super::{Config, profile, removal};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::yaml::Entry;
use crate::root::GuestPath;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if in_charge(guest)? != Some(NetworkStack::Netplan) {
        return Ok(Vec::new());
    }
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for (number, file) in config.files().iter().enumerate() {
        let refused = |message: &str| {
            Defect::in_file(
                &file.path,
                format!("netplan refuses all its files: {message}"),
            )
        };
        let yaml = match &file.content {
            Ok(yaml) => yaml,
            Err(broken) => {
                defects.push(
                    refused(&broken.message)
                        .at_line(broken.line)
                        .hint("remove the file, or correct it"),
                );
                continue;
            }
        };
        if !file.utf8 {
            defects.push(refused("it is not UTF-8").hint("write it as UTF-8"));
        }
        for entry in nulls(&config, number) {
            let (key, _) = yaml.entry(entry);
            defects.push(
                refused("a key has no value")
                    .at_line(file.line(key))
                    .evidence(yaml.scalar(key).unwrap_or_default())
                    .hint("remove the key"),
            );
        }
    }
    for (name, missing) in dangling(&config) {
        let place = &config.definitions()[name].places[0];
        let file = &config.files()[place.file];
        let message = format!("netplan refuses all its files: {missing} is defined nowhere");
        defects.push(
            Defect::in_file(&file.path, message)
                .at_line(file.line(place.key))
                .evidence(name)
                .hint("remove the definition that refers to it"),
        );
    }
    if !config.devices().is_covered() {
        let path = GuestPath::from(profile::DIR).join(format!("{}.yaml", profile::FILE));
        defects.push(
            Defect::in_file(&path, "no definition gives DHCP to whichever NIC appears")
                .hint("define one that matches by the name `e*`, with `dhcp4: true`"),
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
    if in_charge(guest)? != Some(NetworkStack::Netplan) {
        return Ok(());
    }
    let config = Config::read(guest)?;
    let mut removal = Removal {
        names: dangling(&config).into_keys().map(str::to_owned).collect(),
        ..Removal::default()
    };
    for (number, file) in config.files().iter().enumerate() {
        if file.content.is_err() {
            removal.files.insert(number);
        } else if !file.utf8 {
            guest.write(&file.path, file.text.clone().into_bytes())?;
        }
        for entry in nulls(&config, number) {
            removal.add(number, entry);
        }
    }
    removal.draft(&config, guest)?;
    let config = Config::read(guest)?;
    if !config.devices().is_covered() {
        profile::add(&config, guest)?;
    }
    removal::sweep(guest)
}

/// The sections and definitions of a file that have no value. netplan wants `{}`.
fn nulls(config: &Config, number: usize) -> BTreeSet<Entry> {
    let file = &config.files()[number];
    let mut found = BTreeSet::new();
    let Some(yaml) = file.yaml() else {
        return found;
    };
    for root in &yaml.roots {
        for (at, (_, network)) in yaml.pairs(*root).iter().enumerate() {
            if yaml.is_null(*network) {
                found.insert((*root, at));
            }
            let network = yaml.resolve(*network);
            for (at, (key, section)) in yaml.pairs(network).iter().enumerate() {
                let known = yaml.scalar(*key).is_some_and(|key| SECTIONS.contains(&key));
                if known && yaml.is_null(*section) {
                    found.insert((network, at));
                }
            }
        }
    }
    let places = config.definitions().values().flat_map(|d| &d.places);
    for place in places.filter(|place| place.file == number) {
        if yaml.is_null(place.value) {
            found.insert(place.entry);
        }
    }
    found
}

/// The definitions that stay and refer to something that is defined nowhere, with its name.
fn dangling(config: &Config) -> BTreeMap<&str, &str> {
    let defined = |name: &str| {
        let places = config.definitions().get(name).map(|found| &found.places);
        places.into_iter().flatten().any(|place| place.effective)
    };
    let mut found = BTreeMap::new();
    for (lower, users) in config.devices().users() {
        if defined(lower) {
            continue;
        }
        for user in users {
            let definition = &config.definitions()[user];
            let refers = ["interfaces", "link", "peer"]
                .iter()
                .any(|key| definition.values(config.files(), key).next().is_some());
            if refers && defined(user) && !config.devices().pinned().contains(user) {
                found.insert(user.as_str(), lower.as_str());
            }
        }
    }
    found
}
