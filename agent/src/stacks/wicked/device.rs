//! What each interface is.

use super::super::device::{Devices, Topology};
use super::native::Document;
use super::profile::Profile;
use crate::parse::xml::Element;

/// The variables that name the one interface below: of a VLAN, a macvlan and the like.
const LOWER: [&str; 9] = [
    "ETHERDEVICE",
    "IPOIB_DEVICE",
    "IPVLAN_DEVICE",
    "IPVTAP_DEVICE",
    "MACVLAN_DEVICE",
    "MACVTAP_DEVICE",
    "OVS_BRIDGE_VLAN_PARENT",
    "VLAN_DEVICE",
    "VXLAN_DEVICE",
];
/// The elements that tell what software makes.
const MADE: [&str; 10] = [
    "dummy", "tun", "tap", "gre", "sit", "ipip", "ppp", "openvpn", "macvlan", "macvtap",
];

/// What each interface is.
pub fn devices(profiles: &[Profile], documents: &[Document]) -> Devices {
    let mut topology = Topology::default();
    for profile in profiles {
        read_profile(&mut topology, profile);
    }
    for document in documents {
        for interface in document.interfaces() {
            read_native(&mut topology, document, interface);
        }
    }
    topology.devices()
}

fn read_profile(topology: &mut Topology, profile: &Profile) {
    let has = |names: &[&str]| profile.with_prefix(names).next().is_some();
    let signs = topology.signs(&profile.name);
    signs.defined = true;
    signs.lowers.extend(profile.ports().map(str::to_owned));
    for name in LOWER {
        let lower = profile.value(name);
        if !lower.is_empty() {
            signs.lowers.insert(lower.to_owned());
            signs.made = true;
        }
    }
    if !profile.value("PPPMODE").is_empty() {
        signs.lowers.insert(profile.value("DEVICE").to_owned());
        signs.made = true;
    }
    signs.vlan = has(&["ETHERDEVICE"]) || profile.says_yes("VLAN");
    signs.bond = profile.says_yes("BONDING_MASTER") || has(&["BONDING_SLAVE", "TEAM_RUNNER"]);
    // cloud-init marks the ports of a bridge as bridges, too, but gives them no ports.
    let mut names = profile.assignments.iter().map(|found| found.name.as_str());
    signs.bridge = names.any(|name| name == "BRIDGE_PORTS")
        || has(&["OVS_BRIDGE_PORT_DEVICE"])
        || profile.says_yes("OVS_BRIDGE");
    signs.made |= profile.says_yes("DUMMY")
        || profile.value("INTERFACETYPE") == "dummy"
        || profile.says_yes("VXLAN")
        || !profile.value("TUNNEL").is_empty();
    signs.wireless = profile.says_yes("WIRELESS") || has(&["WIRELESS_ESSID"]);
}

fn read_native(topology: &mut Topology, document: &Document, interface: &Element) {
    let signs = topology.signs(&document.name_of(interface));
    signs.defined = true;
    for kind in &interface.children {
        match kind.name.as_str() {
            "bridge" => signs.bridge = true,
            "bond" | "team" => signs.bond = true,
            "vlan" => signs.vlan = true,
            "wireless" => signs.wireless = true,
            name if MADE.contains(&name) => signs.made = true,
            _ => continue,
        }
        let lowers = kind
            .all()
            .into_iter()
            .filter(|inner| inner.name == "device");
        signs
            .lowers
            .extend(lowers.map(|inner| inner.text(&document.text)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::device::Device;
    use super::*;

    #[test]
    fn profiles_tell_what_interfaces_are() {
        use Device::{Loopback, Nic, Stacked, Virtual, Wireless};
        let files = [
            ("lo", "IPADDR=127.0.0.1/8\n", Loopback),
            ("eth0", "BOOTPROTO='none'\n", Nic),
            ("eth3", "BRIDGE=yes\n", Nic),
            ("br0", "BRIDGE_PORTS='eth3 tap0'\n", Stacked),
            ("br1", "BRIDGE='yes'\nBRIDGE_PORTS=''\n", Virtual),
            (
                "lan",
                "BONDING_MASTER='yes'\nBONDING_SLAVE_0='eth1'\n",
                Stacked,
            ),
            ("team9", "TEAM_RUNNER=roundrobin\n", Stacked),
            ("eth0.5", "VLAN_ID=5\n", Stacked),
            ("storage", "ETHERDEVICE='eth0'\nVLAN_ID='5'\n", Stacked),
            ("inner", "ETHERDEVICE='br1'\n", Virtual),
            ("mv0", "MACVLAN_DEVICE='eth0'\n", Stacked),
            ("dsl0", "PPPMODE='pppoe'\nDEVICE='eth0'\n", Stacked),
            ("d7", "DUMMY=yes\n", Virtual),
            ("vpn", "TUNNEL='gre'\n", Virtual),
            ("radio", "WIRELESS_ESSID='x'\n", Wireless),
            ("wlan0", "", Wireless),
            ("ib0", "TYPE=InfiniBand\n", Nic),
            ("eth-id-52:54:00:12:34:56", "", Stacked),
        ];
        let profiles: Vec<Profile> = files
            .iter()
            .map(|(name, text, _)| Profile::new("/x".into(), name, text))
            .collect();
        let devices = devices(&profiles, &[]);
        for (name, _, expected) in files {
            assert_eq!(devices.device(name), expected, "{name}");
        }
    }
}
