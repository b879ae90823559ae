//! Takes away every profile of a NIC and all that lies on NICs.

use std::ops::Range;

use super::super::device::Device;
use super::super::in_charge;
use super::file::{Definition, Source};
use super::matching::Reach;
use super::{Config, Network, dhcp, setting};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::parse::lines::LineEdits;
use crate::parse::unit_file::Entry;

/// How often files may come to light that others of their name hid: once for each directory.
const MAX_ROUNDS: usize = 5;

/// Drafts it, and DHCP for whichever NIC appears where networkd is in charge and its last profile
/// for a NIC would be gone.
///
/// # Errors
///
/// The guest could not be read.
pub fn run(guest: &mut Guest<'_>) -> Result<(), Error> {
    let mut changed = narrow(guest)?;
    for _ in 0..MAX_ROUNDS {
        if !round(guest)? {
            break;
        }
        changed = true;
    }
    if changed && in_charge(guest)? == Some(NetworkStack::Networkd) {
        dhcp::provide(guest)?;
    }
    Ok(())
}

/// Takes away what is there now; whether there was something.
fn round(guest: &mut Guest<'_>) -> Result<bool, Error> {
    let config = Config::read(guest)?;
    let mut changed = false;
    for network in config.networks.iter().filter(|network| !network.goes()) {
        for source in network.definition.sources() {
            let stale = stale_references(&config, source, network);
            if !stale.is_empty() {
                source.rewrite(guest, &source.without(&stale))?;
                changed = true;
            }
        }
    }
    for definition in gone(&config) {
        definition.remove(guest)?;
        changed = true;
    }
    Ok(changed)
}

/// The files that go as a whole.
pub fn gone(config: &Config) -> impl Iterator<Item = &Definition> {
    let networks = config.networks.iter().filter(|network| network.goes());
    let netdevs = config.netdevs.iter().filter(|netdev| netdev.stacked);
    networks
        .map(|network| &network.definition)
        .chain(netdevs.map(|netdev| &netdev.definition))
}

/// The assignments that put an interface which goes on top of one that stays.
pub fn stale_references(config: &Config, source: &Source, network: &Network) -> Vec<Range<usize>> {
    setting::uppers(&network.definition)
        .filter(|(setting, _)| setting.source.path == source.path)
        .filter(|(_, upper)| {
            network.is_for_any() || config.devices.device(upper) == Device::Stacked
        })
        .map(|(setting, _)| setting.entry.lines.clone())
        .collect()
}

/// Takes the names of NICs out of profiles that name other interfaces too.
fn narrow(guest: &mut Guest<'_>) -> Result<bool, Error> {
    let config = Config::read(guest)?;
    let mut changed = false;
    for network in &config.networks {
        let Reach::Pinned { kept } = &network.reach else {
            continue;
        };
        // It goes as a whole.
        if kept.is_empty() {
            continue;
        }
        for source in network.definition.sources() {
            let mut edits = LineEdits::default();
            for entry in source.entries().filter(|entry| is_name(entry)) {
                let words: Vec<&str> = entry
                    .value
                    .split_whitespace()
                    .filter(|word| kept.iter().any(|name| name == word))
                    .collect();
                if words.is_empty() {
                    edits.remove(entry.lines.clone());
                } else {
                    let anew = format!("{}={}\n", entry.key, words.join(" "));
                    edits.replace(entry.lines.clone(), anew);
                }
            }
            let anew = edits.apply(&source.text);
            if anew != source.text {
                source.rewrite(guest, &anew)?;
                changed = true;
            }
        }
    }
    Ok(changed)
}

fn is_name(entry: &Entry) -> bool {
    entry.section == "Match" && entry.key == "Name" && !entry.value.is_empty()
}
