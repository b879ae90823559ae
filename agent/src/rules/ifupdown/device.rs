//! What each interface of the configuration is.

use std::collections::{BTreeMap, BTreeSet};

use super::relation::{self, Relation};
use super::{File, selectors};
use crate::parse::interfaces::Selector;

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
struct Signs {
    defined: bool,
    lowers: BTreeSet<String>,
    bond: bool,
    bridge: bool,
    vlan: bool,
    wireless: bool,
    made: bool,
    loopback: bool,
    any: bool,
}

/// The interfaces by name.
#[derive(Debug, Default)]
pub struct Devices {
    signs: BTreeMap<String, Signs>,
    known: BTreeMap<String, Device>,
}

impl Devices {
    /// Looks at every definition. `nics` are the names that the one NIC may get.
    pub fn of(files: &[File], nics: &[&str]) -> Self {
        let mut devices = Self::default();
        for stanza in files.iter().flat_map(File::stanzas) {
            let name = &stanza.iface.name;
            let signs = devices.signs(name);
            signs.defined = true;
            match stanza.iface.method.as_deref() {
                Some("loopback") => signs.loopback = true,
                Some("tunnel" | "v4tunnel" | "6to4" | "ppp" | "wvdial") => signs.made = true,
                _ => {}
            }
            for (_, option, value) in stanza.options() {
                devices.read_option(name, option, value);
            }
        }
        devices.find_any(files, nics);
        let names: Vec<String> = devices.signs.keys().cloned().collect();
        for name in names {
            resolve(&devices.signs, &mut devices.known, &name, 0);
        }
        devices
    }

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

    /// Whether there is a definition of that name.
    pub fn is_defined(&self, name: &str) -> bool {
        self.signs.get(name).is_some_and(|signs| signs.defined)
    }

    fn signs(&mut self, name: &str) -> &mut Signs {
        self.signs.entry(name.to_owned()).or_default()
    }

    fn read_option(&mut self, name: &str, option: &str, value: &str) {
        let words = || {
            value
                .split_whitespace()
                .filter(|word| !matches!(*word, "none" | "regex" | "noregex" | "glob"))
                .map(str::to_owned)
        };
        let option = option.replace('_', "-");
        let signs = self.signs(name);
        match option.as_str() {
            "bridge-ports" | "ovs-ports" => {
                signs.bridge = true;
                signs.lowers.extend(words());
            }
            "bond-slaves" | "slaves" | "ovs-bonds" => {
                signs.bond = true;
                signs.lowers.extend(words());
            }
            "vlan-raw-device" => {
                signs.vlan = true;
                signs.lowers.extend(words());
            }
            "bond-master" | "ovs-bridge" => {
                for upper in words() {
                    self.signs(&upper).lowers.insert(name.to_owned());
                }
            }
            "ovs-type" => signs.made |= value == "OVSBridge" || value == "OVSIntPort",
            "pre-up" | "up" | "post-up" => {
                for relation in relation::relations(value, name) {
                    match relation {
                        Relation::Stacks(upper, lower) => {
                            self.signs(&upper).lowers.insert(lower);
                        }
                        Relation::Makes(made) => self.signs(&made).made = true,
                    }
                }
            }
            _ if option.starts_with("wpa-") || option.starts_with("wireless-") => {
                signs.wireless = true;
            }
            _ => {}
        }
    }

    /// Marks the definitions that apply to whichever NIC appears, and configure it.
    fn find_any(&mut self, files: &[File], nics: &[&str]) {
        let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (class, selector) in selectors(files) {
            if let Selector::Pattern {
                logical: Some(logical),
                ..
            } = selector
                && !matches!(class, "no-auto-down" | "no-scripts")
            {
                let matched = nics.iter().filter(|nic| selector.applies(nic).is_some());
                reached.entry(logical).or_default().extend(matched);
            }
        }
        for stanza in files.iter().flat_map(File::stanzas) {
            let name = stanza.iface.name.as_str();
            let configures = stanza.is("inet", "dhcp") || stanza.is("inet", "static");
            if configures
                && reached
                    .get(name)
                    .is_some_and(|names| names.len() == nics.len())
            {
                self.signs(name).any = true;
            }
        }
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
