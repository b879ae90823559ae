//! Static addresses on a NIC, or on what lies on one.
//!
//! The definition goes as a whole: DHCP on whichever NIC appears takes its place.

use std::collections::BTreeSet;

use super::Config;
use super::definition::Place;
use super::removal::Removal;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::yaml::render::flow;
use crate::parse::yaml::{NodeId, Yaml};

/// The keys that set addresses, routes and name servers.
const STATIC: [&str; 7] = [
    "addresses",
    "gateway4",
    "gateway6",
    "ipv6-address-token",
    "nameservers",
    "routes",
    "routing-policy",
];
/// The longest value that is shown, in characters.
const SHOWN: usize = 200;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for (name, place) in config.pinned() {
        let file = &config.files()[place.file];
        for (yaml, key, value) in statics(&config, place) {
            let said = flow(yaml, value, &BTreeSet::new());
            let said: String = said.chars().take(SHOWN).collect();
            let message = format!("{name} has static addresses, routes or name servers");
            defects.push(
                Defect::in_file(&file.path, message)
                    .at_line(file.line(key))
                    .evidence(format!("{}: {said}", yaml.scalar(key).unwrap_or_default()))
                    .hint("remove the definition; DHCP brings addresses and routes"),
            );
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    let names = config
        .pinned()
        .filter(|(_, place)| !statics(&config, place).is_empty())
        .map(|(name, _)| name.to_owned())
        .collect();
    let removal = Removal {
        names,
        ..Removal::default()
    };
    removal.draft(&config, guest)
}

/// The keys of a definition that set something static, with what they say.
fn statics<'a>(config: &'a Config, place: &Place) -> Vec<(&'a Yaml, NodeId, NodeId)> {
    let Some(yaml) = config.files()[place.file].yaml() else {
        return Vec::new();
    };
    let own = yaml.pairs(place.value).iter();
    let own = own.filter(|(key, value)| {
        let empty = yaml.is_null(*value)
            || (yaml.scalar(*value).is_none() && yaml.len(yaml.resolve(*value)) == 0);
        !empty && yaml.scalar(*key).is_some_and(|key| STATIC.contains(&key))
    });
    let passed = yaml
        .get(place.value, "networkmanager")
        .and_then(|settings| yaml.get(settings, "passthrough"))
        .map_or(&[][..], |passed| yaml.pairs(passed))
        .iter()
        .filter(|(key, value)| {
            let key = yaml.scalar(*key).unwrap_or_default();
            is_static_setting(key, yaml.scalar(*value).unwrap_or_default())
        });
    own.chain(passed)
        .map(|(key, value)| (yaml, *key, *value))
        .collect()
}

/// Whether a setting of a keyfile, such as `ipv4.address1`, is a static one.
fn is_static_setting(key: &str, value: &str) -> bool {
    let Some((section, name)) = key.split_once('.') else {
        return false;
    };
    let sets = ["address", "gateway", "route", "token"]
        .iter()
        .any(|word| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == 's') == *word);
    matches!(section, "ipv4" | "ipv6")
        && (sets || name == "dns" || (name == "method" && value == "manual"))
}
