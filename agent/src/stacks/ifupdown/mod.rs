//! ifupdown's configuration as a whole: every file that `/etc/network/interfaces` leads to, what
//! each interface is, and whether ifupdown is what brings the network up.

mod address;
mod command;
mod device;
mod dhcp;
mod dhcp_identity;
mod file;
mod mac;
mod name;
mod relation;
mod version;

use super::device::{Device, Devices};
use super::{Answer, Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::parse::interfaces::{Iface, Kind, Selector};

use command::{Addressing, addressing};
use file::{File, INTERFACES};

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Ifupdown;

impl Stack for Ifupdown {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Ifupdown
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        Ok(Config::read(guest)?.has_nic())
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
pub struct Config {
    files: Vec<File>,
    devices: Devices,
    kernel_names: bool,
}

/// An interface definition.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    /// The file that it is in.
    pub file: &'a File,
    /// Its first logical line there.
    pub header: usize,
    /// What that line says.
    pub iface: &'a Iface,
}

impl<'a> Stanza<'a> {
    /// Its options: logical line, name and value.
    pub fn options(&self) -> impl Iterator<Item = (usize, &'a str, &'a str)> + use<'a> {
        self.file.parsed.options(self.header)
    }

    /// Whether it is of this family and method.
    pub fn is(&self, family: &str, method: &str) -> bool {
        self.iface.family.as_deref() == Some(family) && self.iface.method.as_deref() == Some(method)
    }
}

impl Config {
    /// Reads the configuration with what is drafted so far. A guest without ifupdown has none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let present = guest
            .facts()
            .network_stacks
            .contains(&NetworkStack::Ifupdown);
        let files = if present {
            file::read_all(guest)?
        } else {
            Vec::new()
        };
        let kernel_names = present && dhcp::has_kernel_names(guest)?;
        let devices = device::devices(&files, &nics(kernel_names));
        Ok(Self {
            files,
            devices,
            kernel_names,
        })
    }

    /// The files, `/etc/network/interfaces` first.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What an interface is.
    pub fn device(&self, name: &str) -> Device {
        self.devices.device(name)
    }

    /// Whether a command's word names a NIC, or what is stacked on one.
    pub fn names_nic(&self, word: &str) -> bool {
        relation::looks_ethernet(word)
            || (self.devices.is_defined(word) && self.device(word).is_replaced())
    }

    /// Whether the kernel's own names are in force: the one NIC is `eth0`.
    pub fn kernel_names(&self) -> bool {
        self.kernel_names
    }

    /// The names that the one NIC may get.
    pub fn nics(&self) -> Vec<&'static str> {
        nics(self.kernel_names)
    }

    /// The interface definitions, in order.
    pub fn stanzas(&self) -> impl Iterator<Item = Stanza<'_>> {
        self.files.iter().flat_map(File::stanzas)
    }

    /// Whether whichever NIC appears is brought up by DHCPv4 at boot.
    ///
    /// Only `auto` counts for a pattern: on a hotplug event ifupdown runs
    /// `ifup --allow=hotplug NAME`, which looks for a definition of that very name and never
    /// takes the logical name of the pattern.
    pub fn has_dhcp_for_any(&self) -> bool {
        let dhcp: Vec<&str> = self
            .stanzas()
            .filter(|stanza| stanza.is("inet", "dhcp"))
            .map(|stanza| stanza.iface.name.as_str())
            .collect();
        self.nics().iter().all(|nic| {
            selectors(&self.files)
                .find_map(|(class, selector)| {
                    let hotplug = class == "allow-hotplug"
                        && matches!(selector, Selector::Name { name, logical } if name == logical);
                    (class == "auto" || class == "allow-auto" || hotplug)
                        .then(|| selector.applies(nic))
                        .flatten()
                        .filter(|logical| self.devices.is_defined(logical))
                })
                .is_some_and(|logical| dhcp.contains(&logical))
        })
    }

    /// Whether it has a definition for a NIC or for something stacked on one.
    pub fn has_nic(&self) -> bool {
        self.stanzas().any(|stanza| {
            let device = self.device(&stanza.iface.name);
            device.is_replaced() || device == Device::Any
        })
    }
}

fn nics(kernel_names: bool) -> Vec<&'static str> {
    if kernel_names {
        vec!["eth0"]
    } else {
        ANY_NIC.to_vec()
    }
}

/// What `auto`, `allow-*` and the like name: the keyword and the selector.
fn selectors(files: &[File]) -> impl Iterator<Item = (&str, Selector<'_>)> {
    let lines = files.iter().flat_map(|file| &file.parsed.lines);
    lines
        .filter_map(|line| match &line.kind {
            Kind::Select { class, names, .. } => Some((class, names)),
            _ => None,
        })
        .flat_map(|(class, names)| {
            names
                .iter()
                .map(move |name| (class.as_str(), Selector::parse(name)))
        })
}
