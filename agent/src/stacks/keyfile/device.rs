//! What each profile is for, told by its type and by what it is bound to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::device::{Device, Topology};
use super::profile::Profile;

/// A name that stands for whichever NIC a profile finds by other means.
const SOME_NIC: &str = "#nic";

/// Which interface lies on which, by [`Profile::node`].
#[derive(Debug, Default)]
pub struct Links {
    neighbours: BTreeMap<String, BTreeSet<String>>,
}

impl Links {
    fn tie(&mut self, one: &str, other: &str) {
        for (from, to) in [(one, other), (other, one)] {
            let neighbours = self.neighbours.entry(from.to_owned()).or_default();
            neighbours.insert(to.to_owned());
        }
    }

    /// All that lies on these, that they lie on, and so on.
    pub fn connected<'a>(&'a self, nodes: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let mut connected = BTreeSet::new();
        let mut pending: Vec<&str> = nodes.collect();
        while let Some(node) = pending.pop() {
            if connected.insert(node)
                && let Some(neighbours) = self.neighbours.get(node)
            {
                pending.extend(neighbours.iter().map(String::as_str));
            }
        }
        connected
    }
}

/// Finds out what each profile is for. `nics` are the names that the one NIC may get.
pub fn tell(profiles: &mut [Profile], nics: &[&str]) -> Links {
    let mut nodes = BTreeMap::new();
    for (number, profile) in profiles.iter_mut().enumerate() {
        let interface = profile.interface().map(|entry| entry.value.to_owned());
        // No interface is called so.
        profile.node = interface.unwrap_or_else(|| format!("#{number}"));
        nodes.extend(profile.uuid().map(|uuid| (uuid, profile.node.clone())));
        if let Some(id) = profile.file.get(&["connection"], "id") {
            let id = id.value.to_ascii_lowercase();
            nodes.entry(id).or_insert_with(|| profile.node.clone());
        }
    }
    let interface = |reference: &str| {
        let known = nodes.get(&reference.to_ascii_lowercase());
        known.map_or(reference, String::as_str).to_owned()
    };
    let mut topology = Topology::default();
    let mut links = Links::default();
    for profile in &*profiles {
        for lower in lowers(profile) {
            let lower = interface(lower);
            if lower != SOME_NIC {
                links.tie(&profile.node, &lower);
            }
            topology.signs(&profile.node).lowers.insert(lower);
        }
        if let Some(controller) = profile.controller() {
            let controller = interface(controller.value);
            links.tie(&profile.node, &controller);
            let signs = topology.signs(&controller);
            signs.lowers.insert(profile.node.clone());
        }
        sign(profile, nics, &mut topology);
    }
    let devices = topology.devices();
    for profile in profiles {
        profile.device = devices.device(&profile.node);
        let controller = profile
            .controller()
            .map(|entry| devices.device(&interface(entry.value)));
        // A port can do nothing without what it is a port of.
        if controller.is_some_and(Device::is_replaced) {
            profile.device = Device::Stacked;
        }
    }
    links
}

/// What a profile says that it lies on.
fn lowers(profile: &Profile) -> Vec<&str> {
    let parent = profile.parent().map(|entry| entry.value);
    match profile.kind() {
        "vlan" | "macvlan" => vec![parent.unwrap_or(SOME_NIC)],
        "hsr" => ["port1", "port2"]
            .iter()
            .filter_map(|key| profile.file.get(&["hsr"], key))
            .map(|entry| entry.value)
            .collect(),
        "ethernet" => Vec::new(),
        _ => parent.into_iter().collect(),
    }
}

/// What the type of a profile tells about its interface.
fn sign(profile: &Profile, nics: &[&str], topology: &mut Topology) {
    let named = profile.interface().is_some();
    let signs = topology.signs(&profile.node);
    signs.defined = true;
    match profile.kind() {
        "ethernet" => {
            signs.any = !named
                && profile.controller().is_none()
                && profile.permanent_mac().is_none()
                && profile.restriction(nics).is_none();
        }
        "infiniband" => {}
        // Without a parent it lies on the interface that it names.
        "pppoe" if profile.parent().is_none() => {}
        "bond" | "team" => signs.bond = true,
        "bridge" => signs.bridge = true,
        "vlan" => signs.vlan = true,
        "wifi" | "wifi-p2p" | "802-11-olpc-mesh" | "olpc-mesh" => signs.wireless = true,
        "loopback" => signs.loopback = true,
        "" | "generic" if named => {}
        _ => signs.made = true,
    }
}
