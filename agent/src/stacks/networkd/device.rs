//! What each interface is, by the `.netdev` files that make it and the `.network` files that put
//! it on another.

use std::collections::BTreeSet;

use super::super::device::{Devices, Topology};
use super::file::Definition;
use super::matching::Match;
use super::setting;

/// What stands for a NIC whose name the configuration does not tell.
const SOME_NIC: &str = "nic";

/// What each interface is.
pub fn devices(netdevs: &[(String, Definition)], networks: &[(Definition, Match)]) -> Devices {
    let mut topology = Topology::default();
    for (definition, matching) in networks {
        for (_, upper) in setting::uppers(definition) {
            topology.signs(upper).lowers.extend(matching.lowers());
        }
    }
    for (name, definition) in netdevs {
        let signs = topology.signs(name);
        signs.defined = true;
        match definition.value(&["NetDev"], "Kind").unwrap_or_default() {
            "bond" => signs.bond = true,
            // As long as no NIC is its port it is software's alone.
            "bridge" | "vrf" | "batadv" => signs.bridge = true,
            "wlan" => signs.wireless = true,
            "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "macsec" | "ipoib" | "hsr" => {
                signs.vlan = true;
                // It needs something to lie on, even if no file says what.
                if signs.lowers.is_empty() {
                    signs.lowers.insert(SOME_NIC.to_owned());
                }
            }
            _ => signs.made = true,
        }
    }
    topology.devices()
}

/// The names of the interfaces that networkd makes.
pub fn made(netdevs: &[(String, Definition)]) -> BTreeSet<String> {
    netdevs.iter().map(|(name, _)| name.clone()).collect()
}
