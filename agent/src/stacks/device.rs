//! What an interface is, told by what the configuration says of it and by its name.

use std::collections::{BTreeMap, BTreeSet};

/// How many interfaces may lie on each other.
const MAX_HEIGHT: usize = 32;

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The loopback interface.
    Loopback,
    /// A NIC: whatever is not known to be something else.
    Nic,
    /// A bond, or a bridge, VLAN, macvlan or alias on a NIC.
    Stacked,
    /// A wireless interface.
    Wireless,
    /// Made by software, on no NIC.
    Virtual,
    /// No interface but a definition that applies to whichever NIC appears.
    Any,
}

impl Device {
    /// Whether OCI replaces it: a NIC or something that lies on one.
    pub fn is_replaced(self) -> bool {
        matches!(self, Self::Nic | Self::Stacked)
    }
}

/// What the configuration tells about one name.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a sign that may or may not be seen"
)]
pub struct Signs {
    /// There is a profile of that name.
    pub defined: bool,
    /// What it lies on: ports, slaves, the device below a VLAN.
    pub lowers: BTreeSet<String>,
    /// It is a bond or a team.
    pub bond: bool,
    /// It is a bridge.
    pub bridge: bool,
    /// It is a VLAN.
    pub vlan: bool,
    /// It is wireless.
    pub wireless: bool,
    /// Software makes it: a tunnel, a dummy.
    pub made: bool,
    /// It is the loopback interface.
    pub loopback: bool,
    /// Its profile applies to whichever NIC appears.
    pub any: bool,
}

/// What a configuration says of each interface, while it is being read.
#[derive(Debug, Default)]
pub struct Topology {
    signs: BTreeMap<String, Signs>,
}

impl Topology {
    /// What is known of a name, to add to.
    pub fn signs(&mut self, name: &str) -> &mut Signs {
        self.signs.entry(name.to_owned()).or_default()
    }

    /// What each interface is, now that all is read.
    pub fn devices(self) -> Devices {
        let mut known = BTreeMap::new();
        for name in self.signs.keys() {
            resolve(&self.signs, &mut known, name, 0);
        }
        Devices {
            signs: self.signs,
            known,
        }
    }
}

/// The interfaces of a configuration by name.
#[derive(Debug)]
pub struct Devices {
    signs: BTreeMap<String, Signs>,
    known: BTreeMap<String, Device>,
}

impl Devices {
    /// What an interface is.
    pub fn device(&self, name: &str) -> Device {
        if let Some(device) = self.known.get(name) {
            return *device;
        }
        // Only its own name tells about an interface that is nowhere described.
        match name.split([':', '.']).next() {
            Some(base) if base != name => on(self.device(base)),
            _ => by_name(name),
        }
    }

    /// Whether there is a profile of that name.
    pub fn is_defined(&self, name: &str) -> bool {
        self.signs.get(name).is_some_and(|signs| signs.defined)
    }
}

/// What an interface is, remembered for all those that lie on it.
fn resolve(
    signs: &BTreeMap<String, Signs>,
    known: &mut BTreeMap<String, Device>,
    name: &str,
    height: usize,
) -> Device {
    if let Some(device) = known.get(name) {
        return *device;
    }
    let device = if height > MAX_HEIGHT {
        // A loop, or a tower that nobody builds.
        Device::Stacked
    } else if let Some((base, _)) = name.split_once(':') {
        on(resolve(signs, known, base, height + 1))
    } else {
        match signs.get(name) {
            Some(own) => described(name, own, |lower| resolve(signs, known, lower, height + 1)),
            None => match name.rsplit_once('.') {
                Some((base, _)) => on(resolve(signs, known, base, height + 1)),
                None => by_name(name),
            },
        }
    };
    known.insert(name.to_owned(), device);
    device
}

fn described(name: &str, signs: &Signs, mut lower: impl FnMut(&str) -> Device) -> Device {
    if name == "lo" || signs.loopback {
        return Device::Loopback;
    }
    if signs.any {
        return Device::Any;
    }
    if signs.wireless {
        return Device::Wireless;
    }
    let vlan_of = name.rsplit_once('.').map(|(base, _)| base);
    let mut lowers = signs.lowers.iter().map(String::as_str).chain(vlan_of);
    if lowers.any(|below| below != name && lower(below).is_replaced()) || signs.bond {
        return Device::Stacked;
    }
    if signs.bridge || signs.made || signs.vlan || vlan_of.is_some() {
        return Device::Virtual;
    }
    by_name(name)
}

/// An alias of an interface, or a VLAN on it.
fn on(base: Device) -> Device {
    match base {
        Device::Nic => Device::Stacked,
        other => other,
    }
}

fn by_name(name: &str) -> Device {
    // A bond is made of NICs, and a VLAN lies on one, even if the configuration does not say.
    match name {
        "lo" => Device::Loopback,
        _ if is_named(name, &["bond", "team", "vlan"]) => Device::Stacked,
        _ if is_named(name, &WIRELESS) => Device::Wireless,
        _ if is_named(name, &VIRTUAL) => Device::Virtual,
        _ => Device::Nic,
    }
}

/// What wireless interfaces are called.
const WIRELESS: [&str; 4] = ["wl", "ath", "ww", "wifi"];
/// What interfaces made by software are called.
const VIRTUAL: [&str; 42] = [
    "dummy",
    "tun",
    "tap",
    "veth",
    "vnet",
    "vif",
    "virbr",
    "docker",
    "br",
    "vmbr",
    "lxcbr",
    "lxdbr",
    "lxc",
    "ovs",
    "wg",
    "ppp",
    "sit",
    "gre",
    "ip6gre",
    "ip6tnl",
    "ipip",
    "ifb",
    "vxlan",
    "geneve",
    "nlmon",
    "cni",
    "flannel",
    "cali",
    "cilium",
    "kube",
    "podman",
    "can",
    "vcan",
    "zt",
    "tailscale",
    "bnep",
    "pan",
    "irda",
    "sl",
    "slip",
    "plip",
    "vti",
];

/// Whether a name is one of these words, alone or with a number or a suffix such as `-int`.
fn is_named(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| {
        name.strip_prefix(word).is_some_and(|rest| {
            rest.is_empty()
                || rest.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '_')
                || matches!(*word, "wl" | "ww" | "veth" | "tun" | "tap" | "cali" | "zt")
        })
    })
}
