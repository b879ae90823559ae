//! Which stack brings the NIC up at boot.

use super::STACKS;
use crate::error::Error;
use crate::facts::{Family, NetworkStack};
use crate::guest::Guest;
use crate::units;

/// The stack in whose configuration the profile for the NIC belongs; `None` where there is no
/// network configuration at all. Where `NetworkManager` reads ifcfg files and has no keyfile for a
/// NIC, that is [`NetworkStack::Ifcfg`]. The guest is judged as it is on the disk: what is drafted
/// does not change the answer. With no unit state to read, a stack that has a profile counts as
/// enabled.
///
/// # Errors
///
/// The guest could not be read.
pub fn in_charge(guest: &Guest<'_>) -> Result<Option<NetworkStack>, Error> {
    let disk = Guest::new(guest.root(), guest.facts());
    let readable = units::readable(&disk)?;
    let mut candidates = Vec::new();
    for stack in disk.facts().network_stacks.iter().copied() {
        if !readable || is_enabled(&disk, stack)? {
            candidates.push(stack);
        }
    }
    for stack in STACKS {
        if candidates.contains(&stack.kind()) && stack.has_profile(&disk)? {
            return Ok(Some(stack.kind()));
        }
    }
    // A cloud-init that does not render the network has no part in it.
    candidates.retain(|stack| *stack != NetworkStack::CloudInit);
    if candidates.len() < 2 {
        return Ok(candidates.pop());
    }
    // Nothing is configured: whoever takes up a NIC by itself.
    Ok(preferred(guest.facts().family)
        .into_iter()
        .find(|stack| candidates.contains(stack)))
}

/// Who comes first where several are enabled and none has a profile.
fn preferred(family: Family) -> [NetworkStack; 6] {
    use NetworkStack::{Ifcfg, Ifupdown, Netplan, NetworkManager, Networkd, Wicked};
    match family {
        Family::Suse => [Wicked, NetworkManager, Networkd, Netplan, Ifupdown, Ifcfg],
        _ => [Netplan, NetworkManager, Networkd, Ifupdown, Ifcfg, Wicked],
    }
}

/// Whether something starts a stack at boot.
fn is_enabled(guest: &Guest<'_>, stack: NetworkStack) -> Result<bool, Error> {
    let starts = |unit: &str, script: &str| units::is_enabled(guest, unit, script);
    match stack {
        NetworkStack::Ifupdown => starts("networking.service", "networking"),
        NetworkStack::NetworkManager => Ok(starts("NetworkManager.service", "NetworkManager")?
            || starts("NetworkManager.service", "network-manager")?),
        NetworkStack::Networkd => starts("systemd-networkd.service", ""),
        // A generator, which runs at every boot.
        NetworkStack::Netplan => Ok(guest.exists(&"/usr/sbin/netplan".into())?
            || guest.exists(&"/usr/share/netplan".into())?),
        NetworkStack::Ifcfg => Ok(starts("network.service", "network")?
            || starts("NetworkManager.service", "NetworkManager")?),
        NetworkStack::Wicked => starts("wicked.service", "network"),
        NetworkStack::CloudInit => Ok(true),
    }
}
