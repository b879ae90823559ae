//! The definition for whichever NIC appears.
//!
//! It is not `optional`: `network-online.target` shall mean that there is a lease, since what is
//! ordered after it (cloud-init, mounts over the network) relies on that, and without a NIC only
//! that target is late. DHCPv6 delays nothing: either family is enough to be online.
//!
//! `NetworkManager` gets an empty `match`, which means every Ethernet NIC there; netplan before
//! 0.100 refuses a pattern for it. For networkd an empty one would mean every interface.

use super::Config;
use crate::error::Error;
use crate::guest::{Guest, Owner};
use crate::root::GuestPath;

/// Where it is written.
pub const DIR: &str = "/etc/netplan";
/// The name of the file.
pub const FILE: &str = "01-dhcp-any-nic";
/// The name of the definition.
const NAME: &str = "any-nic";
/// What the file begins with.
const HEAD: &str = "\
# DHCP on whichever Ethernet interface appears: its name is not known before the import.
network:
  version: 2
";
/// What networkd is told.
const NETWORKD: &str = "      match:
        name: \"e*\"
      dhcp4: true
      dhcp6: true
      dhcp-identifier: mac
";
/// What `NetworkManager` is told.
const NETWORK_MANAGER: &str = "      match: {}
      dhcp4: true
      dhcp6: true
";

/// Drafts it.
///
/// # Errors
///
/// The guest could not be read.
pub fn add(config: &Config, guest: &mut Guest<'_>) -> Result<(), Error> {
    let disk = Config::read(&Guest::new(guest.root(), guest.facts()))?;
    let mut name = NAME.to_owned();
    while config.definitions().contains_key(&name) {
        name += "-1";
    }
    let text = text(&name, disk.renderer(), nics_are_network_managers(&disk));
    let owner = Owner {
        uid: 0,
        gid: 0,
        mode: 0o600,
    };
    let mut file = FILE.to_owned();
    let path = loop {
        let path = GuestPath::from(DIR).join(format!("{file}.yaml"));
        if guest.kind(&path)?.is_none() {
            break path;
        }
        file += "-1";
    };
    guest.write_as(&path, text.into_bytes(), owner)
}

/// The file: with the renderer that is in force. Where none is named but the NICs each have
/// `NetworkManager`, the definition has it too.
fn text(name: &str, renderer: Option<&str>, own: bool) -> String {
    let global = match renderer {
        Some("NetworkManager") => "  renderer: NetworkManager\n",
        None if own => "",
        _ => "  renderer: networkd\n",
    };
    let head = format!("{HEAD}{global}  ethernets:\n    {name}:\n");
    match (global, own) {
        ("", _) => head + "      renderer: NetworkManager\n" + NETWORK_MANAGER,
        ("  renderer: NetworkManager\n", _) => head + NETWORK_MANAGER,
        _ => head + NETWORKD,
    }
}

/// Whether every NIC's definition names `NetworkManager`.
fn nics_are_network_managers(config: &Config) -> bool {
    let mut nics = config
        .devices()
        .pinned()
        .iter()
        .filter_map(|name| config.definitions().get(name))
        .filter(|definition| definition.is_in("ethernets") || definition.is_in("nm-devices"))
        .map(|definition| definition.scalar(config.files(), "renderer"))
        .peekable();
    nics.peek().is_some() && nics.all(|renderer| renderer == Some("NetworkManager"))
}
