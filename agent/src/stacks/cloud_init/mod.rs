//! cloud-init, which renders the configuration of the NIC for one of the other stacks.
//!
//! The network has one owner. Where cloud-init runs at boot, has a data source for OCI and is not
//! told to leave the network alone, it asks OCI for the NIC at the first boot of an instance and
//! renders DHCP: then no other profile is written. Where its network is disabled it stays so. What
//! it rendered on the old machine are profiles of the other stacks, which scrub them.
//!
//! That the data source is there is a matter of the package that is installed. Whether the
//! configuration lets cloud-init find it is not asked here, for that can be put right: see
//! [`datasource`].

mod config;
pub mod datasource;
mod network;
pub mod seed;
mod service;

use super::{Answer, Aspect, Stack, in_charge};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct CloudInit;

impl Stack for CloudInit {
    fn kind(&self) -> NetworkStack {
        NetworkStack::CloudInit
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        Ok(service::runs_at_boot(guest)?
            && service::knows_oracle(guest)?
            && !network::is_disabled(guest)?)
    }

    fn answer(&self, aspect: Aspect) -> Answer {
        match aspect {
            Aspect::Mac => Answer::new(
                |guest| network::check(Aspect::Mac, guest),
                |guest| network::fix(Aspect::Mac, guest),
            ),
            Aspect::Address => Answer::new(
                |guest| network::check(Aspect::Address, guest),
                |guest| network::fix(Aspect::Address, guest),
            ),
            Aspect::Name => Answer::new(
                |guest| network::check(Aspect::Name, guest),
                |guest| network::fix(Aspect::Name, guest),
            ),
            Aspect::Dhcp => Answer::new(check_datasource, fix_datasource),
            Aspect::DhcpIdentity => Answer::new(|_| Ok(Vec::new()), |_| Ok(())),
        }
    }
}

/// What keeps cloud-init from rendering the network on OCI, if that is left to it.
fn check_datasource(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if !is_in_charge(guest)? {
        return Ok(Vec::new());
    }
    let obstacles = datasource::check(guest)?.into_iter();
    Ok(obstacles
        .map(|defect| defect.severity(Severity::Blocker))
        .collect())
}

fn fix_datasource(guest: &mut Guest<'_>) -> Result<(), Error> {
    if is_in_charge(guest)? {
        datasource::fix(guest)?;
    }
    Ok(())
}

fn is_in_charge(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(in_charge(guest)? == Some(NetworkStack::CloudInit))
}
