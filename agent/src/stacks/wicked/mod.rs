//! SUSE's ifcfg files as wicked reads them, and as the sysconfig scripts did up to SLES 11.
//!
//! ifcfg(5), routes(5) and wicked-config(5) say what there is: `/etc/sysconfig/network/ifcfg-NAME`,
//! one file an interface, with routes and rules in files beside it; what holds for all of them in
//! `config`, `dhcp` and `routes`; and wicked's own descriptions in XML below `/etc/wicked`.
//!
//! wicked finds a profile by the name of its interface only. So the profile that gives DHCP is one
//! for `eth0`, and the kernel is told to call the NIC so.

mod address;
mod device;
mod dhcp;
mod dhcp_identity;
mod globals;
mod mac;
mod name;
mod native;
mod profile;
mod route;
#[cfg(test)]
mod tests;

use super::device::{Device, Devices};
use super::{Answer, Aspect, Stack, in_charge};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::xml::{self, Element};
use crate::root::GuestPath;

use native::Document;
use profile::Profile;

/// Where the ifcfg files are.
const DIR: &str = "/etc/sysconfig/network";
/// The only name that the NIC can have where the kernel names it.
const ETH0: &str = "eth0";

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Wicked;

impl Stack for Wicked {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Wicked
    }

    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error> {
        let config = Config::read(guest)?;
        let profile = config.profiles.iter().any(|profile| config.is_nic(profile));
        Ok(profile || config.native_nics().next().is_some())
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

/// Whether wicked brings the NIC up at boot.
fn is_in_charge(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(in_charge(guest)? == Some(NetworkStack::Wicked))
}

/// The configuration of a guest.
#[derive(Debug)]
struct Config {
    profiles: Vec<Profile>,
    documents: Vec<Document>,
    devices: Devices,
}

impl Config {
    /// Reads the configuration with what is drafted so far. A guest without wicked has none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let (mut profiles, mut documents) = (Vec::new(), Vec::new());
        if guest.facts().network_stacks.contains(&NetworkStack::Wicked) {
            profiles = profile::read_all(guest)?;
            documents = native::read_all(guest)?;
        }
        let devices = device::devices(&profiles, &documents);
        Ok(Self {
            profiles,
            documents,
            devices,
        })
    }

    fn device(&self, name: &str) -> Device {
        self.devices.device(name)
    }

    /// Whether a profile is for a NIC or for what lies on one.
    fn is_nic(&self, profile: &Profile) -> bool {
        self.device(&profile.name).is_replaced()
    }

    /// The descriptions in XML of NICs and of what lies on them.
    fn native_nics(&self) -> impl Iterator<Item = (&Document, &Element)> {
        self.documents
            .iter()
            .flat_map(|document| {
                document
                    .interfaces()
                    .map(move |element| (document, element))
            })
            .filter(|(document, element)| self.device(&document.name_of(element)).is_replaced())
    }

    /// Whether a profile of a NIC gets an address by DHCPv4 at boot.
    fn has_dhcp(&self) -> bool {
        self.profiles
            .iter()
            .any(|profile| self.is_nic(profile) && profile.is_dhcp_at_boot())
    }

    /// Whether a profile is the one that the stack in charge shall have: DHCP for `eth0` itself.
    fn is_plain_eth0(&self, profile: &Profile) -> bool {
        profile.name == ETH0
            && profile.is_dhcp_at_boot()
            && self.device(ETH0) == Device::Nic
            && self.masters(ETH0).next().is_none()
    }

    /// The profiles that take an interface as a port.
    fn masters<'a>(&'a self, port: &'a str) -> impl Iterator<Item = &'a Profile> {
        self.profiles
            .iter()
            .filter(move |profile| profile.ports().any(|name| name == port))
    }
}

/// Drafts that profiles go, with the routes and rules beside them, and that wicked still gives
/// DHCP if it did: what the profiles of NICs are replaced by must not wait for another rule.
///
/// # Errors
///
/// The guest could not be read.
fn remove(
    guest: &mut Guest<'_>,
    config: &Config,
    goes: &dyn Fn(&Profile) -> bool,
    native_goes: &dyn Fn(&Document, &Element) -> bool,
) -> Result<(), Error> {
    let mut any = false;
    for profile in config.profiles.iter().filter(|profile| goes(profile)) {
        any = true;
        remove_profile(guest, profile)?;
    }
    for document in &config.documents {
        let ranges: Vec<_> = config
            .native_nics()
            .filter(|(of, element)| of.path == document.path && native_goes(of, element))
            .map(|(_, element)| element.range.clone())
            .collect();
        any |= !ranges.is_empty();
        remove_elements(guest, document, ranges)?;
    }
    if any && !Config::read(guest)?.has_dhcp() {
        dhcp::fix(guest)?;
    }
    Ok(())
}

/// What lies beside a profile and is for the same interface.
const COMPANIONS: [&str; 4] = ["ifroute-", "ifrule-", "ifsysctl-", "ifservices-"];

fn remove_profile(guest: &mut Guest<'_>, profile: &Profile) -> Result<(), Error> {
    guest.remove(&profile.path)?;
    for prefix in COMPANIONS {
        let name = format!("{prefix}{}", profile.name);
        guest.remove(&GuestPath::from(DIR).join(name))?;
    }
    Ok(())
}

/// Takes elements out of a document. One that describes interfaces goes when none is left.
fn remove_elements(
    guest: &mut Guest<'_>,
    document: &Document,
    ranges: Vec<std::ops::Range<usize>>,
) -> Result<(), Error> {
    if ranges.is_empty() {
        return Ok(());
    }
    let text = &document.text;
    let edits = ranges
        .into_iter()
        .map(|range| Edit::remove(xml::whole_lines(text, range)));
    let anew = edit::apply(text, edits.collect());
    let empty = xml::parse(&anew).is_some_and(|roots| {
        roots
            .iter()
            .all(|root| root.name != "interface" && root.children.is_empty())
    });
    if document.describes_interfaces && empty {
        guest.remove(&document.path)
    } else {
        guest.write_text(&document.path, &anew)
    }
}
