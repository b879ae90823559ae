//! systemd-networkd's configuration: `.network` and `.netdev` files with their drop-ins, and
//! `networkd.conf` (`systemd.network(5)`, `systemd.netdev(5)`, `networkd.conf(5)`).
//!
//! Profiles of NICs and of what lies on them only make sense together: whichever aspect meets one,
//! all of them go, and where networkd is in charge its profile for whichever NIC appears comes in
//! their place. A profile that is for whichever NIC appears already loses only what is static.
//! Files of the distribution are never changed: one that binds a NIC is masked in `/etc`.
//! `.link` files are udev's, and `net/udev` judges them.

mod address;
mod device;
mod dhcp;
mod dhcp_identity;
mod file;
mod mac;
mod matching;
mod name;
mod scrub;
mod setting;
#[cfg(test)]
mod tests;
mod wait_online;

use super::device::{Device, Devices};
use super::{Answer, Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::parse::unit_file;

use file::Definition;
use matching::{Match, Reach};

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Networkd;

impl Stack for Networkd {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Networkd
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        Ok(Config::read(guest)?
            .networks
            .iter()
            .any(|network| !network.definition.main.vendor && network.configures_nic()))
    }

    fn answer(&self, aspect: Aspect) -> Answer {
        match aspect {
            Aspect::Mac => Answer::new(mac::check, mac::fix),
            Aspect::Address => Answer::new(address::check, address::fix),
            Aspect::Name => Answer::new(name::check, name::fix),
            Aspect::Dhcp => Answer::new(dhcp::check, dhcp::fix),
            Aspect::DhcpIdentity => Answer::new(dhcp_identity::check, dhcp_identity::fix),
        }
    }
}

/// Names that a NIC may get on OCI, as the kernel or udev would choose them.
const ANY_NIC: [&str; 5] = ["eth0", "eno1", "ens3", "enp0s6", "enx0200170a0b0c"];

/// The configuration of a guest.
#[derive(Debug)]
struct Config {
    /// The `.network` files, in the order in which they are tried.
    networks: Vec<Network>,
    /// The `.netdev` files.
    netdevs: Vec<Netdev>,
    devices: Devices,
    kernel_names: bool,
}

/// A `.network` file.
#[derive(Debug)]
struct Network {
    definition: Definition,
    matching: Match,
    reach: Reach,
    /// Whether it makes a NIC a port of an interface that goes, or one that has NICs alone.
    is_port: bool,
}

/// A `.netdev` file.
#[derive(Debug)]
struct Netdev {
    definition: Definition,
    /// Whether what it makes lies on a NIC.
    stacked: bool,
}

impl Config {
    /// Reads the configuration with what is drafted so far. A guest without networkd has none.
    fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let present = guest
            .facts()
            .network_stacks
            .contains(&NetworkStack::Networkd);
        let definitions = |suffix: &str| {
            if present {
                file::definitions(guest, suffix)
            } else {
                Ok(Vec::new())
            }
        };
        let netdevs: Vec<(String, Definition)> = definitions(".netdev")?
            .into_iter()
            .map(|definition| {
                let name = definition.value(&["NetDev"], "Name").unwrap_or_default();
                (name.to_owned(), definition)
            })
            .collect();
        let networks: Vec<(Definition, Match)> = definitions(".network")?
            .into_iter()
            .map(|definition| (Match::of(&definition), definition))
            .map(|(matching, definition)| (definition, matching))
            .collect();
        let kernel_names = super::naming::kernel_names(guest)?;
        let devices = device::devices(&netdevs, &networks);
        let made = device::made(&netdevs);
        Ok(Self {
            networks: networks
                .into_iter()
                .map(|(definition, matching)| Network {
                    reach: matching.reach(&devices, &made, nics(kernel_names)),
                    is_port: setting::is_port(&definition),
                    definition,
                    matching,
                })
                .collect(),
            netdevs: netdevs
                .into_iter()
                .map(|(name, definition)| Netdev {
                    stacked: devices.device(&name) == Device::Stacked,
                    definition,
                })
                .collect(),
            devices,
            kernel_names,
        })
    }

    /// The names that the one NIC may get.
    fn nics(&self) -> &'static [&'static str] {
        nics(self.kernel_names)
    }

    /// Whether a name is that of a NIC, or of what lies on one, that may not be there on OCI.
    fn is_old_nic(&self, name: &str) -> bool {
        self.devices.device(name).is_replaced() && !(self.kernel_names && name == "eth0")
    }

    /// Every file of its own, `.netdev` files last.
    fn definitions(&self) -> impl Iterator<Item = &Definition> {
        let networks = self.networks.iter().map(|network| &network.definition);
        networks.chain(self.netdevs.iter().map(|netdev| &netdev.definition))
    }
}

impl Network {
    /// Whether it is for whichever NIC appears, at least.
    fn is_for_any(&self) -> bool {
        matches!(self.reach, Reach::Any | Reach::All)
    }

    /// Whether it goes as a whole: it binds a NIC, or gives every NIC nothing but static addresses
    /// or a place in an interface that goes.
    fn goes(&self) -> bool {
        match &self.reach {
            Reach::Other => false,
            Reach::Pinned { kept } => kept.is_empty(),
            Reach::Any | Reach::All => {
                self.is_port
                    || (!self.gives_dhcp() && !setting::statics(&self.definition).is_empty())
            }
        }
    }

    /// Whether it asks for an address by DHCPv4.
    fn gives_dhcp(&self) -> bool {
        let value = self.definition.value(&["Network"], "DHCP");
        let value = value.unwrap_or_default().to_ascii_lowercase();
        matches!(value.as_str(), "ipv4" | "v4" | "both") || file::boolean(&value) == Some(true)
    }

    /// Whether it says how a NIC is configured, rather than leaving it alone.
    fn configures_nic(&self) -> bool {
        let reaches = match self.reach {
            Reach::Other => false,
            Reach::Pinned { .. } => true,
            Reach::Any | Reach::All => self.gives_dhcp() || self.goes(),
        };
        reaches && !self.definition.is(&["Link"], "Unmanaged", true)
    }

    /// Whether networkd takes it as a whole: the line that it refuses, from 1.
    fn refused_line(&self) -> Option<(&file::Source, usize)> {
        let mut sources = self.definition.sources();
        sources.find_map(|source| Some((source, unit_file::refused_line(&source.text)?)))
    }
}

/// The names that the one NIC may get.
pub(super) fn nics(kernel_names: bool) -> &'static [&'static str] {
    if kernel_names { &["eth0"] } else { &ANY_NIC }
}
