//! What brings the network up: one module for each stack that a Linux guest may have.
//!
//! A stack reads its own configuration and answers for it to the rules of the network, each of
//! which is one [`Aspect`]. Every stack that is installed is scrubbed; the one that will run at
//! boot ([`in_charge`]) gets the profile that gives DHCP to whichever NIC appears. Rarely met ones
//! are looked after together, without a say in who is in charge.

mod charge;
pub mod cloud_init;
pub mod device;
pub mod ifcfg;
pub mod ifupdown;
pub mod keyfile;
pub mod naming;
pub mod netplan;
pub mod networkd;
mod other;
pub mod wicked;

use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::mac;
use crate::root::GuestPath;

pub use charge::in_charge;

/// What a rule asks of a stack's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// Literal MAC addresses: `net/mac`.
    Mac,
    /// Static addresses on a NIC, or on what is stacked on one: `net/static`.
    Address,
    /// Profiles bound to a NIC by its name, or stacked on one: `net/name-pinned`.
    Name,
    /// DHCP for whichever NIC appears, if this stack is in charge: `net/no-dhcp`.
    Dhcp,
    /// Identities and leases of its DHCP client: `net/dhcp-identity`.
    DhcpIdentity,
}

/// A network stack's configuration.
pub trait Stack: Sync {
    /// Which stack it is.
    fn kind(&self) -> NetworkStack;

    /// Whether its configuration has a profile for a NIC, or for whichever NIC appears.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn has_profile(&self, guest: &Guest<'_>) -> Result<bool, Error>;

    /// How it answers one aspect.
    fn answer(&self, aspect: Aspect) -> Answer;
}

/// A stack's answer to one aspect. Both fail where the guest could not be read.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// What is wrong, in the order of the files. A guest without the stack has nothing wrong.
    check: fn(&Guest<'_>) -> Result<Vec<Defect>, Error>,
    /// Drafts what puts right all that `check` finds. Drafting twice changes nothing the second
    /// time.
    fix: fn(&mut Guest<'_>) -> Result<(), Error>,
}

impl Answer {
    fn new(
        check: fn(&Guest<'_>) -> Result<Vec<Defect>, Error>,
        fix: fn(&mut Guest<'_>) -> Result<(), Error>,
    ) -> Self {
        Self { check, fix }
    }
}

/// Every stack, in the order in which they are asked.
pub static STACKS: [&dyn Stack; 7] = [
    &cloud_init::CloudInit,
    &netplan::Netplan,
    &keyfile::Keyfile,
    &networkd::Networkd,
    &ifupdown::Ifupdown,
    &wicked::Wicked,
    &ifcfg::Ifcfg,
];

/// What every stack finds wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for stack in STACKS {
        defects.extend((stack.answer(aspect).check)(guest)?);
    }
    defects.extend(other::check(aspect, guest)?);
    Ok(defects)
}

/// Drafts what puts it right in every stack.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
    for stack in STACKS {
        (stack.answer(aspect).fix)(guest)?;
    }
    other::fix(aspect, guest)
}

/// A note that a MAC stands in a text that takes no effect, if one does. Lines are counted from 0.
pub fn note(path: &GuestPath, line: usize, text: &str, place: &str) -> Option<Defect> {
    (!mac::find(text).is_empty()).then(|| {
        Defect::in_file(path, format!("a MAC stands in {place}"))
            .at_line(line + 1)
            .evidence(text.trim())
            .hint("nothing has to be done")
            .severity(Severity::Note)
    })
}
