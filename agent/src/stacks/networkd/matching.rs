//! The `[Match]` section of a `.network` file: which interfaces it applies to.
//!
//! A list that begins with `!` excludes; an empty section applies to every interface, the loopback
//! one among them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::device::{Device, Devices};
use super::file::Definition;
use crate::parse::glob;

/// Keys that select an interface by something that only the old NIC or the old machine has.
const NARROWING: [&str; 8] = [
    "MACAddress",
    "PermanentMACAddress",
    "Path",
    "Property",
    "Host",
    "Credential",
    "KernelCommandLine",
    "BSSID",
];
/// Keys that only wireless interfaces have.
const WIRELESS: [&str; 3] = ["WLANInterfaceType", "SSID", "BSSID"];
/// Drivers of NICs that OCI offers.
const NIC_DRIVERS: [&str; 3] = ["virtio_net", "e1000", "mlx5_core"];
/// Drivers of interfaces that software makes.
const MADE_DRIVERS: [&str; 12] = [
    "bonding",
    "bridge",
    "802.1Q VLAN Support",
    "dummy",
    "ipvlan",
    "macvlan",
    "openvswitch",
    "team",
    "tun",
    "veth",
    "vxlan",
    "wireguard",
];
/// Kinds, types and drivers of what lies on a NIC.
const STACKED: [&str; 10] = [
    "bond", "bonding", "team", "vlan", "802.1Q", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec",
];
/// How the names begin that systemd-nspawn and systemd-vmspawn give, and networkd for 6rd.
const SPAWNED: [&str; 8] = ["ve-", "vb-", "vz-", "vt-", "mv-", "iv-", "6rd-", "host0"];
/// Where a condition on the virtualization holds on OCI.
const VM: [&str; 6] = ["yes", "true", "1", "on", "vm", "kvm"];

/// The interfaces that a profile is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Wireless or made by software: OCI does not touch it.
    Other,
    /// The old NIC, or what lies on one; `kept` are the names of other interfaces beside it.
    Pinned {
        /// Words of `Name=` that stay.
        kept: Vec<String>,
    },
    /// Whichever Ethernet NIC appears.
    Any,
    /// Every interface, the loopback one too.
    All,
}

/// The words of a key.
#[derive(Debug, Default)]
struct List {
    wanted: Vec<String>,
    excluded: Vec<String>,
}

impl List {
    fn excludes(&self, text: &str) -> bool {
        self.excluded.iter().any(|word| glob::matches(word, text))
    }

    /// Whether a text is among what is wanted, or nothing is named, and it is not excluded.
    fn allows(&self, text: &str) -> bool {
        let wanted = self.wanted.iter().any(|word| glob::matches(word, text));
        (wanted || self.wanted.is_empty()) && !self.excludes(text)
    }

    /// Whether something else than this is wanted.
    fn wants_but(&self, texts: &[&str]) -> bool {
        !self.wanted.is_empty() && !texts.iter().any(|text| self.allows(text))
    }
}

/// A `[Match]` section.
#[derive(Debug)]
pub struct Match {
    lists: BTreeMap<String, List>,
    none: List,
}

impl Match {
    /// Reads it from a file with its drop-ins.
    pub fn of(definition: &Definition) -> Self {
        let mut lists: BTreeMap<String, List> = BTreeMap::new();
        let entries = definition
            .sources()
            .flat_map(super::file::Source::entries)
            .filter(|entry| entry.section == "Match");
        for entry in entries {
            let list = lists.entry(entry.key.clone()).or_default();
            if entry.value.is_empty() {
                *list = List::default();
                continue;
            }
            let (side, value) = match entry.value.strip_prefix('!') {
                Some(value) => (&mut list.excluded, value),
                None => (&mut list.wanted, entry.value.as_str()),
            };
            side.extend(value.split_whitespace().map(unquoted));
        }
        Self {
            lists,
            none: List::default(),
        }
    }

    fn list(&self, key: &str) -> &List {
        self.lists.get(key).unwrap_or(&self.none)
    }

    /// Which interfaces it applies to. `nics` are the names that the one NIC may get, `made` those
    /// of the interfaces that networkd makes.
    pub fn reach(&self, devices: &Devices, made: &BTreeSet<String>, nics: &[&str]) -> Reach {
        let pinned = Reach::Pinned { kept: Vec::new() };
        let names = self.list("Name");
        if self.is_elsewhere() {
            return Reach::Other;
        }
        if self.is_made() {
            let stacked = if names.wanted.is_empty() {
                self.is_stacked()
            } else {
                let mut names = names.wanted.iter();
                names.all(|name| devices.device(name) == Device::Stacked)
            };
            return if stacked { pinned } else { Reach::Other };
        }
        let everywhere = |loopback: bool| {
            if loopback && self.list("Type").allows("loopback") {
                Reach::All
            } else {
                Reach::Any
            }
        };
        if names.wanted.is_empty() {
            let excluded = nics.iter().filter(|nic| names.excludes(nic)).count();
            return match excluded {
                0 if !self.is_narrowed() => everywhere(names.allows("lo")),
                count if count == nics.len() => Reach::Other,
                _ => pinned,
            };
        }
        if !self.is_narrowed() && nics.iter().all(|nic| names.allows(nic)) {
            return everywhere(names.allows("lo"));
        }
        let (bound, kept): (Vec<&String>, Vec<&String>) = names
            .wanted
            .iter()
            .partition(|name| binds(name, devices, made));
        if bound.is_empty() {
            Reach::Other
        } else {
            Reach::Pinned {
                kept: kept.into_iter().cloned().collect(),
            }
        }
    }

    /// Whether it may apply to a new NIC of this name.
    pub fn may_catch(&self, nic: &str) -> bool {
        let mac = ["MACAddress", "PermanentMACAddress", "Path"];
        !self.is_elsewhere()
            && !self.is_made()
            && mac.iter().all(|key| self.list(key).wanted.is_empty())
            && self.list("Name").allows(nic)
    }

    /// The names of the interfaces that it applies to, as far as they tell what these are.
    pub fn lowers(&self) -> Vec<String> {
        let names = &self.list("Name").wanted;
        if names.is_empty() {
            let name = if self.is_elsewhere() || (self.is_made() && !self.is_stacked()) {
                "dummy0"
            } else {
                "nic"
            };
            return vec![name.to_owned()];
        }
        names.iter().map(|name| literal(name).to_owned()).collect()
    }

    /// Whether it is for no interface of a virtual machine, or for a wireless one.
    fn is_elsewhere(&self) -> bool {
        let virtualization = self.list("Virtualization");
        virtualization.wants_but(&VM) && !virtualization.wanted.iter().any(|word| is_vm(word))
            || WIRELESS.iter().any(|key| !self.list(key).wanted.is_empty())
    }

    /// Whether software makes all that it is for.
    fn is_made(&self) -> bool {
        let types = self.list("Type");
        let drivers = &self.list("Driver").wanted;
        !self.list("Kind").wanted.is_empty()
            || types.wants_but(&["ether", "infiniband"])
            || types.excludes("ether")
            || (!drivers.is_empty()
                && drivers.iter().all(|word| {
                    MADE_DRIVERS
                        .iter()
                        .any(|driver| driver.starts_with(word.as_str()))
                }))
    }

    /// Whether what it is for lies on NICs.
    fn is_stacked(&self) -> bool {
        ["Kind", "Type", "Driver"].iter().any(|key| {
            let mut words = self.list(key).wanted.iter();
            words.any(|word| STACKED.contains(&word.as_str()))
        })
    }

    /// Whether it is for the old NIC or the old machine alone.
    fn is_narrowed(&self) -> bool {
        let driver = self.list("Driver");
        NARROWING.iter().any(|key| {
            let wanted = &self.list(key).wanted;
            wanted.iter().any(|word| word != "*")
        }) || NIC_DRIVERS.iter().any(|nic| !driver.allows(nic))
            || self.list("Virtualization").wants_but(&VM)
            || self.list("Type").wants_but(&["ether"])
    }
}

/// Whether a word is a hypervisor's name rather than that of a container manager.
fn is_vm(word: &str) -> bool {
    !matches!(
        word,
        "container"
            | "docker"
            | "lxc"
            | "lxc-libvirt"
            | "no"
            | "openvz"
            | "podman"
            | "private-users"
            | "proot"
            | "rkt"
            | "systemd-nspawn"
            | "wsl"
    )
}

/// Whether a word of `Name=` means a NIC, or what lies on one.
fn binds(word: &str, devices: &Devices, made: &BTreeSet<String>) -> bool {
    if SPAWNED.iter().any(|prefix| word.starts_with(prefix)) {
        return false;
    }
    if !glob::is_pattern(word) {
        return devices.device(word).is_replaced();
    }
    let mut matched = made
        .iter()
        .filter(|name| glob::matches(word, name))
        .peekable();
    if matched.peek().is_some() {
        return matched.all(|name| devices.device(name).is_replaced());
    }
    devices.device(literal(word)).is_replaced()
}

/// What a pattern begins with.
fn literal(word: &str) -> &str {
    let end = word.find(['*', '?', '[']).unwrap_or(word.len());
    &word[..end]
}

fn unquoted(word: &str) -> String {
    word.trim_matches(['"', '\'']).to_owned()
}
