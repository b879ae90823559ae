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
use super::{Answer, Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
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

#[cfg(test)]
mod tests;
