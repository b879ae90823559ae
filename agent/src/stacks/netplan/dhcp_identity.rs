//! Identities of the DHCP client among the settings passed through to `NetworkManager`.
//!
//! netplan's own `dhcp-identifier` names none: it is `mac` or `duid`.

use super::Config;
use super::removal::Removal;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::yaml::{Entry, Yaml};

/// What the client makes its identity of, each time anew.
const SYMBOLIC: [&str; 14] = [
    "",
    "duid",
    "ifname",
    "ipv6-duid",
    "lease",
    "ll",
    "llt",
    "mac",
    "none",
    "perm-mac",
    "stable",
    "stable-ll",
    "stable-llt",
    "stable-uuid",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in config.files() {
        let Some(yaml) = file.yaml() else {
            continue;
        };
        for entry in identities(yaml) {
            let (key, value) = yaml.entry(entry);
            let name = yaml.scalar(key).unwrap_or_default();
            let text = yaml.scalar(value).unwrap_or_default();
            defects.push(
                Defect::in_file(&file.path, "the DHCP client is told an identity")
                    .at_line(file.line(key))
                    .evidence(format!("{name}: {text}"))
                    .hint("remove the setting"),
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
    let mut removal = Removal::default();
    for (number, file) in config.files().iter().enumerate() {
        for entry in file.yaml().map(identities).unwrap_or_default() {
            removal.add(number, entry);
        }
    }
    removal.draft(&config, guest)
}

fn identities(yaml: &Yaml) -> Vec<Entry> {
    let mut found = Vec::new();
    for id in 0..yaml.nodes.len() {
        for number in 0..yaml.len(id) {
            let (key, value) = yaml.entry((id, number));
            let name = yaml.scalar(key).unwrap_or_default();
            let identity = matches!(
                name,
                "ipv4.dhcp-client-id" | "ipv4.dhcp-iaid" | "ipv6.dhcp-duid" | "ipv6.dhcp-iaid"
            );
            let literal = yaml
                .scalar(value)
                .is_some_and(|text| !SYMBOLIC.contains(&text));
            if yaml.is_mapping(id) && identity && literal {
                found.push((id, number));
            }
        }
    }
    found
}
