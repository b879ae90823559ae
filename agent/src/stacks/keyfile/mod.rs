//! `NetworkManager`'s keyfiles and its own configuration: `nm-settings-keyfile(5)`,
//! `NetworkManager.conf(5)`.
//!
//! A profile for a NIC, or for what is stacked on one, goes as a file. One that a package brought
//! (`/usr/lib`) is hidden instead, as `nmcli connection delete` does it: by a link to `/dev/null`
//! in `/etc` that bears its UUID. What is in `/run` is made at every boot and none of our business.

mod address;
mod bystanders;
mod conf;
mod config;
mod device;
mod dhcp;
mod dhcp_identity;
mod mac;
mod name;
mod profile;
mod spec;

use super::device::Device;
use super::{Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;

use config::Config;

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Keyfile;

impl Stack for Keyfile {
    fn kind(&self) -> NetworkStack {
        NetworkStack::NetworkManager
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        let config = Config::read(guest)?;
        let profiles = config.profiles();
        Ok(profiles
            .iter()
            .any(|profile| profile.device.is_replaced() || profile.device == Device::Any))
    }

    fn check(&self, aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        match aspect {
            Aspect::Mac => mac::check(guest),
            Aspect::Address => address::check(guest),
            Aspect::Name => name::check(guest),
            Aspect::Dhcp => dhcp::check(guest),
            Aspect::DhcpIdentity => dhcp_identity::check(guest),
        }
    }

    fn fix(&self, aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
        match aspect {
            Aspect::Mac => mac::fix(guest),
            Aspect::Address => address::fix(guest),
            Aspect::Name => name::fix(guest),
            Aspect::Dhcp => dhcp::fix(guest),
            Aspect::DhcpIdentity => dhcp_identity::fix(guest),
        }
    }
}

#[cfg(test)]
mod tests;
