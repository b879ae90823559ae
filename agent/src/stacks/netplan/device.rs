//! Which definitions are bound to a NIC, or lie on one that is, and which are for whichever NIC
//! appears.

use std::collections::{BTreeMap, BTreeSet};

use super::super::device::{Device, Topology};
use super::definition::{Definition, is_true};
use super::file::{self, File};
use crate::parse::glob;
use crate::parse::yaml::{Entry, NodeId, Yaml};

/// Names that a NIC may get on OCI, as the kernel or udev would choose them.
const ANY_NIC: [&str; 5] = ["eth0", "eno1", "ens3", "enp0s6", "enx0200170a0b0c"];
/// Interfaces that a profile for whichever NIC appears must leave alone.
const OTHERS: [&str; 4] = ["lo", "docker0", "veth0", "wlan0"];
/// What a definition may say and still be nothing but DHCP.
const PLAIN: [&str; 18] = [
    "accept-ra",
    "critical",
    "dhcp-identifier",
    "dhcp4",
    "dhcp4-overrides",
    "dhcp6",
    "dhcp6-overrides",
    "emit-lldp",
    "ignore-carrier",
    "ipv6-address-generation",
    "ipv6-mtu",
    "ipv6-privacy",
    "link-local",
    "match",
    "mtu",
    "optional",
    "renderer",
    "wakeonlan",
];

/// A pair of Open vSwitch's patch ports.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The file's number.
    pub file: usize,
    /// The item of `ports`.
    pub entry: Entry,
    /// Both ports.
    pub ports: Vec<String>,
}

/// What the definitions are.
#[derive(Debug)]
pub struct Devices {
    pinned: BTreeSet<String>,
    general: BTreeSet<String>,
    covered: bool,
    /// The definitions that refer to one.
    users: BTreeMap<String, BTreeSet<String>>,
    patches: Vec<Patch>,
}

impl Devices {
    /// Looks at all definitions. With the kernel's own names the one NIC is `eth0`.
    pub fn of(
        files: &[File],
        definitions: &BTreeMap<String, Definition>,
        kernel_names: bool,
    ) -> Self {
        let patches = patches(files);
        let users = users(files, definitions, &patches);
        let nics = if kernel_names {
            &ANY_NIC[..1]
        } else {
            &ANY_NIC
        };
        let global = file::renderer(files.iter());
        let mut general = BTreeSet::new();
        let mut covered = vec![false; nics.len()];
        for (name, definition) in definitions {
            if users.contains_key(name) || !is_plain(files, definition) {
                continue;
            }
            for (nic, covered) in nics.iter().zip(&mut covered) {
                if applies(files, name, definition, global, nic) {
                    *covered = true;
                    general.insert(name.clone());
                }
            }
        }
        let covered = covered.iter().all(|nic| *nic);
        if !covered {
            general.clear();
        }
        let mut devices = Self {
            pinned: BTreeSet::new(),
            general,
            covered,
            users,
            patches,
        };
        let on_unknown_nic = devices
            .users
            .iter()
            .filter(|(lower, _)| !definitions.contains_key(*lower) && is_nic_name(lower))
            .flat_map(|(_, users)| users.iter().cloned());
        let nics = definitions
            .iter()
            .filter(|(name, definition)| {
                !devices.general.contains(*name) && is_nic(files, name, definition)
            })
            .map(|(name, _)| name.clone());
        let direct: BTreeSet<String> = nics.chain(on_unknown_nic).collect();
        devices.pinned = devices.with_users(&direct);
        devices
    }

    /// The definitions that go: NICs and whatever lies on them.
    pub fn pinned(&self) -> &BTreeSet<String> {
        &self.pinned
    }

    /// The definitions that give DHCP to whichever NIC appears.
    pub fn general(&self) -> &BTreeSet<String> {
        &self.general
    }

    /// Whether whichever NIC appears gets DHCP.
    pub fn is_covered(&self) -> bool {
        self.covered
    }

    /// What is referred to, and by which definitions.
    pub fn users(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.users
    }

    /// Open vSwitch's patch ports.
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }

    /// These definitions and all that refer to them, directly or not.
    pub fn with_users(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut pending: Vec<&String> = names.iter().collect();
        while let Some(name) = pending.pop() {
            if all.insert(name.clone()) {
                pending.extend(self.users.get(name).into_iter().flatten());
            }
        }
        all
    }
}

/// Whether a definition binds a NIC, or is a bond, which is made of some.
fn is_nic(files: &[File], name: &str, definition: &Definition) -> bool {
    if definition.is_in("bonds") {
        return true;
    }
    if let Some(kind) = definition.passthrough(files, "connection.type") {
        return matches!(
            kind,
            "ethernet" | "802-3-ethernet" | "infiniband" | "bond" | "team" | "pppoe"
        );
    }
    if !definition.is_in("ethernets") {
        return false;
    }
    if definition.values(files, "match").next().is_none() {
        return is_nic_name(name);
    }
    definition
        .inner(files, "match", "name")
        .is_none_or(is_nic_name)
}

/// Whether an interface of that name, or of one that fits the pattern, is a NIC.
fn is_nic_name(name: &str) -> bool {
    let stem = name.split(['*', '?', '[']).next().unwrap_or_default();
    if stem.is_empty() {
        return true;
    }
    let device = Topology::default().devices().device(stem);
    matches!(device, Device::Nic | Device::Stacked)
}

/// Whether a definition is nothing but DHCP on a NIC.
fn is_plain(files: &[File], definition: &Definition) -> bool {
    let own = definition
        .places
        .iter()
        .all(|place| place.section == "ethernets" && place.effective);
    own && definition.scalar(files, "dhcp4").is_some_and(is_true)
        && definition
            .pairs(files)
            .all(|(_, key, _)| PLAIN.contains(&key))
        && definition
            .inner(files, "dhcp4-overrides", "use-routes")
            .is_none_or(is_true)
}

/// Whether a definition is for a NIC of that name and leaves all else alone.
fn applies(
    files: &[File],
    name: &str,
    definition: &Definition,
    global: Option<&str>,
    nic: &str,
) -> bool {
    let mut keys = definition
        .values(files, "match")
        .flat_map(|(yaml, id)| yaml.pairs(id).iter().map(move |pair| yaml.scalar(pair.0)));
    if keys.any(|key| key != Some("name")) {
        return false;
    }
    if definition.values(files, "match").next().is_none() {
        return name == nic;
    }
    let renderer = definition.scalar(files, "renderer").or(global);
    match definition.inner(files, "match", "name") {
        Some(pattern) => {
            glob::matches(pattern, nic) && !OTHERS.iter().any(|other| glob::matches(pattern, other))
        }
        // NetworkManager takes it for every Ethernet NIC, networkd for every interface.
        None => renderer == Some("NetworkManager"),
    }
}

/// What each definition refers to, the other way round.
fn users(
    files: &[File],
    definitions: &BTreeMap<String, Definition>,
    patches: &[Patch],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |lower: &str, user: &str| {
        if lower != user {
            let users = users.entry(lower.to_owned()).or_default();
            users.insert(user.to_owned());
        }
    };
    let is_patch: BTreeSet<&String> = patches.iter().flat_map(|patch| &patch.ports).collect();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut masters: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, definition) in definitions {
        masters.insert(name, name);
        for key in ["connection.interface-name", "connection.uuid"] {
            masters.extend(
                definition
                    .passthrough(files, key)
                    .map(|own| (own, name.as_str())),
            );
        }
        for (yaml, ports) in definition.values(files, "interfaces") {
            for port in yaml
                .items(ports)
                .iter()
                .filter_map(|port| yaml.scalar(*port))
            {
                if is_patch.contains(&port.to_owned()) {
                    owners.insert(port, name);
                } else {
                    add(port, name);
                }
            }
        }
        for key in ["link", "peer"] {
            for (yaml, lower) in definition.values(files, key) {
                if let Some(lower) = yaml.scalar(lower) {
                    add(lower, name);
                }
            }
        }
        for key in ["vlan.parent", "macvlan.parent"] {
            if let Some(parent) = definition.passthrough(files, key) {
                add(parent, name);
            }
        }
    }
    for (name, definition) in definitions {
        for key in ["connection.master", "connection.controller"] {
            let master = definition.passthrough(files, key);
            if let Some(master) = master.and_then(|master| masters.get(master)) {
                add(name, master);
            }
        }
    }
    // Two bridges that are patched together are one.
    for patch in patches {
        let ends: Vec<&&str> = patch
            .ports
            .iter()
            .filter_map(|port| owners.get(port.as_str()))
            .collect();
        for (one, other) in ends.iter().zip(ends.iter().rev()) {
            add(one, other);
        }
    }
    users
}

fn patches(files: &[File]) -> Vec<Patch> {
    let mut patches = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let Some(yaml) = file.yaml() else {
            continue;
        };
        for network in file.networks() {
            let Some(list) = ports(yaml, network) else {
                continue;
            };
            for (at, pair) in yaml.items(list).iter().enumerate() {
                let ports = yaml.items(*pair).iter();
                patches.push(Patch {
                    file: number,
                    entry: (list, at),
                    ports: ports
                        .filter_map(|port| yaml.scalar(*port).map(str::to_owned))
                        .collect(),
                });
            }
        }
    }
    patches
}

/// The list of Open vSwitch's patch ports.
fn ports(yaml: &Yaml, network: NodeId) -> Option<NodeId> {
    let list = yaml.get(yaml.get(network, "openvswitch")?, "ports")?;
    Some(yaml.resolve(list))
}
