//! What each profile is for, told by what the files say of it and of each other.

use super::file::File;
use crate::stacks::device::{Devices, Topology};

/// Variables that name the interface that a profile's own is a port of.
const MASTERS: [&str; 7] = [
    "MASTER",
    "MASTER_UUID",
    "BRIDGE",
    "BRIDGE_UUID",
    "TEAM_MASTER",
    "TEAM_MASTER_UUID",
    "OVS_BRIDGE",
];
/// Variables that name the interface below, or several of them.
const LOWERS: [&str; 3] = ["PHYSDEV", "ETH", "BOND_IFACES"];
/// Types of interfaces that software makes.
const MADE: [&str; 16] = [
    "CIPE",
    "Dummy",
    "GRE",
    "IPIP",
    "IPSEC",
    "IP_TUNNEL",
    "ISDN",
    "Modem",
    "OVSIntPort",
    "OVSPatchPort",
    "OVSTunnel",
    "SIT",
    "Tap",
    "Tun",
    "Tunnel",
    "WireGuard",
];
/// Variables that only a wireless profile has.
const WIRELESS: [&str; 3] = ["ESSID", "WIRELESS_ENC_KEY", "WPA_ALLOW_WPA2"];

/// The name by which a profile's interface is known here.
pub fn id(file: &File, files: &[File]) -> String {
    own_id(file).unwrap_or_else(|| match parent(file, files) {
        Some(parent) => {
            let base = own_id(parent).unwrap_or_else(|| parent.suffix.clone());
            format!("{base}:{}", &file.suffix[parent.suffix.len()..])
        }
        None => file.suffix.clone(),
    })
}

fn own_id(file: &File) -> Option<String> {
    file.value("DEVICE")
}

/// The profile that this one extends: `eth0` for `eth0:1`, `eth0-range0` and `eth0-office`.
fn parent<'a>(file: &File, files: &'a [File]) -> Option<&'a File> {
    let base = [':', '-'].iter().find_map(|separator| {
        let (base, _) = file.suffix.rsplit_once(*separator)?;
        (!base.is_empty()).then_some(base)
    })?;
    files.iter().find(|other| other.suffix == base)
}

/// What each interface is.
pub fn devices(files: &[File]) -> Devices {
    let mut topology = Topology::default();
    for file in files {
        describe(file, files, &mut topology);
    }
    topology.devices()
}

fn describe(file: &File, files: &[File], topology: &mut Topology) {
    let id = id(file, files);
    let kind = file.value("TYPE").unwrap_or_default();
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    let lowers: Vec<String> = LOWERS
        .iter()
        .filter_map(|key| file.value(key))
        .chain(bonding_slaves(file))
        .flat_map(|names| {
            let names = names.split_whitespace().map(|name| resolve(name, files));
            names.collect::<Vec<_>>()
        })
        .collect();
    let masters: Vec<String> = MASTERS
        .iter()
        .filter_map(|key| file.value(key))
        .map(|name| resolve(&name, files))
        .collect();
    let is_port_only = is("OVSIntPort") || is("OVSTunnel") || is("OVSPatchPort");
    if !is_port_only {
        for master in &masters {
            topology.signs(master).lowers.insert(id.clone());
        }
    }
    let signs = topology.signs(&id);
    signs.defined = true;
    signs.vlan |= (is("Vlan") || file.is_on("VLAN")) && !lowers.is_empty();
    signs.lowers.extend(lowers);
    if is_port_only {
        signs.lowers.extend(masters);
    }
    signs.bond |= is("Bond")
        || is("Team")
        || is("OVSBond")
        || file.says("DEVICETYPE", "Team")
        || file.is_on("BONDING_MASTER")
        || ["BONDING_OPTS", "TEAM_CONFIG"]
            .iter()
            .any(|key| file.value(key).is_some());
    signs.bridge |= is("Bridge") || is("OVSBridge");
    signs.made |= MADE.iter().any(|made| is(made));
    signs.wireless |= is("Wireless") || WIRELESS.iter().any(|key| file.value(key).is_some());
}

/// `BONDING_SLAVE0`, `BONDING_SLAVE1`, … as cloud-init writes them.
fn bonding_slaves(file: &File) -> impl Iterator<Item = String> {
    file.assignments
        .iter()
        .filter(|assignment| assignment.name.starts_with("BONDING_SLAVE"))
        .map(|assignment| assignment.value.as_str().to_owned())
}

/// The name behind a reference, which may be the UUID of a profile.
fn resolve(reference: &str, files: &[File]) -> String {
    let by_uuid = files.iter().find(|file| file.says("UUID", reference));
    by_uuid.map_or_else(|| reference.to_owned(), |file| id(file, files))
}
