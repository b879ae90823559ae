//! Static addresses, routes and resolvers that networkd gives to a NIC, or to what lies on one.

use super::file::{Definition, Source};
use super::matching::Reach;
use super::{Config, Network, scrub, setting};
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
    let mut defects = Vec::new();
    for network in config.networks.iter().filter(|network| is_judged(network)) {
        for setting in setting::statics(&network.definition) {
            let telling = matches!(
                setting.entry.key.as_str(),
                "Address" | "Gateway" | "DNS" | "PreferredSource" | "MultiPathRoute" | "From"
            ) || setting.entry.key.ends_with("Token");
            if telling {
                defects.push(
                    Defect::in_file(
                        &setting.source.path,
                        "a NIC, or what lies on one, has a static address, route or resolver",
                    )
                    .at_line(setting.entry.lines.start + 1)
                    .evidence(Source::shown(setting.entry))
                    .hint("let DHCP assign it"),
                );
            }
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
    let has_statics = |network: &Network| !setting::statics(&network.definition).is_empty();
    if config
        .networks
        .iter()
        .any(|network| is_pinned(network) && has_statics(network))
    {
        scrub::run(guest)?;
    }
    for network in Config::read(guest)?
        .networks
        .iter()
        .filter(|n| is_judged(n))
    {
        without_statics(guest, &network.definition)?;
    }
    Ok(())
}

/// Takes the static settings out of a profile that gives DHCP to whichever NIC appears.
fn without_statics(guest: &mut Guest<'_>, definition: &Definition) -> Result<(), Error> {
    let statics = setting::statics(definition);
    for source in definition.sources() {
        let gone: Vec<_> = statics
            .iter()
            .filter(|setting| setting.source.path == source.path)
            .map(|setting| setting.entry.lines.clone())
            .collect();
        if !gone.is_empty() {
            source.rewrite(guest, &source.without(&gone))?;
        }
    }
    Ok(())
}

fn is_judged(network: &Network) -> bool {
    is_pinned(network) || network.is_for_any()
}

fn is_pinned(network: &Network) -> bool {
    network.goes() || matches!(network.reach, Reach::Pinned { .. })
}
