//! Profiles of networkd that bind a NIC, and what lies on NICs.

use super::file::{Definition, Source};
use super::matching::Reach;
use super::{Config, Network, scrub, wait_online};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = in_files(&config);
    defects.extend(wait_online::check(guest, &config)?);
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    if !in_files(&config).is_empty() {
        scrub::run(guest)?;
    }
    wait_online::fix(guest, &config)
}

/// What is wrong in the files of networkd itself.
fn in_files(config: &Config) -> Vec<Defect> {
    let mut defects = Vec::new();
    for network in &config.networks {
        if is_pinned(network) {
            defects.push(
                at_first(&network.definition, "Match", "a profile binds a NIC")
                    .hint("replace it by one profile for whichever NIC appears"),
            );
        } else if !network.goes() {
            stale_references(config, network, &mut defects);
        }
    }
    let stacked = config.netdevs.iter().filter(|netdev| netdev.stacked);
    defects.extend(stacked.map(|netdev| {
        at_first(&netdev.definition, "NetDev", "an interface lies on a NIC")
            .hint("remove it; there is one NIC on OCI, and nothing lies on it")
    }));
    defects
}

fn is_pinned(network: &Network) -> bool {
    matches!(network.reach, Reach::Pinned { .. }) || (network.is_port && network.goes())
}

/// Interfaces on whichever NIC appears.
fn stale_references(config: &Config, network: &Network, defects: &mut Vec<Defect>) {
    for source in network.definition.sources() {
        let stale = scrub::stale_references(config, source, network);
        let named = source
            .entries()
            .filter(|entry| stale.contains(&entry.lines));
        defects.extend(named.map(|entry| {
            Defect::in_file(&source.path, "an interface lies on whichever NIC appears")
                .at_line(entry.lines.start + 1)
                .evidence(Source::shown(entry))
                .hint("remove it with that interface")
        }));
    }
}

/// A defect of a file as a whole, where a section of it begins to say something.
fn at_first(definition: &Definition, section: &str, message: &str) -> Defect {
    let first = definition.sources().find_map(|source| {
        let mut entries = source.entries();
        let entry = entries.find(|entry| entry.section == section && !entry.value.is_empty())?;
        Some((source, entry))
    });
    match first {
        Some((source, entry)) => Defect::in_file(&source.path, message)
            .at_line(entry.lines.start + 1)
            .evidence(Source::shown(entry)),
        None => Defect::in_file(&definition.main.path, message),
    }
}
