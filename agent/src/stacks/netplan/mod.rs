//! netplan's YAML (netplan(5)): `*.yaml` in `/lib/netplan` and `/etc/netplan`, merged in the order
//! of their names; one in `/etc` hides the one of the same name in `/lib`. What is in
//! `/run/netplan` is gone at the next boot.
//!
//! netplan takes all of it or nothing: one name that nothing defines, or one line that is not
//! YAML, and no interface comes up. So a definition that is bound to a NIC goes as a whole, and so
//! does every definition that refers to it. Taking only the MAC out of `match` would not do: what
//! remains is empty and matches every NIC.

mod address;
mod definition;
mod device;
mod dhcp;
mod dhcp_identity;
mod file;
mod mac;
mod name;
mod profile;
mod removal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;

use definition::{Definition, Place};
use device::Devices;
use file::File;

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Netplan;

impl Stack for Netplan {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Netplan
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

/// The configuration of a guest.
#[derive(Debug)]
pub struct Config {
    files: Vec<File>,
    definitions: BTreeMap<String, Definition>,
    devices: Devices,
}

impl Config {
    /// Reads the configuration with what is drafted so far. A guest without netplan has none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let present = guest
            .facts()
            .network_stacks
            .contains(&NetworkStack::Netplan);
        let files = if present {
            file::read_all(guest)?
        } else {
            Vec::new()
        };
        let definitions = definition::collect(&files);
        let kernel_names = super::naming::kernel_names(guest)?;
        let devices = Devices::of(&files, &definitions, kernel_names);
        Ok(Self {
            files,
            definitions,
            devices,
        })
    }

    /// The files in the order in which they are merged.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The definitions by their names.
    pub fn definitions(&self) -> &BTreeMap<String, Definition> {
        &self.definitions
    }

    /// What the definitions are.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// The definitions that are bound to NICs, with their places.
    pub fn pinned(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.devices.pinned().iter().flat_map(|name| {
            let places = self.definitions.get(name).map(|found| &found.places);
            places
                .into_iter()
                .flatten()
                .map(move |place| (name.as_str(), place))
        })
    }

    /// Whether a definition that takes effect is for a NIC, or for whichever NIC appears.
    pub fn has_nic(&self) -> bool {
        let nics: BTreeSet<&String> = self
            .devices
            .pinned()
            .iter()
            .chain(self.devices.general())
            .collect();
        nics.into_iter().any(|name| {
            let places = self.definitions.get(name).map(|found| &found.places);
            places.into_iter().flatten().any(|place| place.effective)
        })
    }

    /// Which renderer is in force for definitions that name none, if any is named.
    pub fn renderer(&self) -> Option<&str> {
        file::renderer(self.files.iter())
    }
}
