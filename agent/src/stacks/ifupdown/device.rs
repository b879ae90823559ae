//! What each interface of the configuration is.

use std::collections::{BTreeMap, BTreeSet};

use super::super::device::{Devices, Topology};
use super::relation::{self, Relation};
use super::{File, selectors};
use crate::parse::interfaces::Selector;

/// What each interface is. `nics` are the names that the one NIC may get.
pub fn devices(files: &[File], nics: &[&str]) -> Devices {
    let mut topology = Topology::default();
    for stanza in files.iter().flat_map(File::stanzas) {
        let name = &stanza.iface.name;
        let signs = topology.signs(name);
        signs.defined = true;
        match stanza.iface.method.as_deref() {
            Some("loopback") => signs.loopback = true,
            Some("tunnel" | "v4tunnel" | "6to4" | "ppp" | "wvdial") => signs.made = true,
            _ => {}
        }
        for (_, option, value) in stanza.options() {
            read_option(&mut topology, name, option, value);
        }
    }
    find_any(&mut topology, files, nics);
    topology.devices()
}

fn read_option(topology: &mut Topology, name: &str, option: &str, value: &str) {
    let words = || {
        value
            .split_whitespace()
            .filter(|word| !matches!(*word, "none" | "regex" | "noregex" | "glob"))
            .map(str::to_owned)
    };
    let option = option.replace('_', "-");
    let signs = topology.signs(name);
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
                topology.signs(&upper).lowers.insert(name.to_owned());
            }
        }
        "ovs-type" => signs.made |= value == "OVSBridge" || value == "OVSIntPort",
        "pre-up" | "up" | "post-up" => {
            for relation in relation::relations(value, name) {
                match relation {
                    Relation::Stacks(upper, lower) => {
                        topology.signs(&upper).lowers.insert(lower);
                    }
                    Relation::Makes(made) => topology.signs(&made).made = true,
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
fn find_any(topology: &mut Topology, files: &[File], nics: &[&str]) {
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
            topology.signs(name).any = true;
        }
    }
}
