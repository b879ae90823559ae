//! What brings the network up on few guests: dhcpcd by itself, connman, netctl, the scripts of
//! Gentoo and Slackware, nmstate; and what else names a NIC.
//!
//! Only where it is safe is something put right: in `dhcpcd.conf`, which falls back to DHCP on every
//! interface, and in connman's state, which connman makes anew. The rest is reported as a warning
//! for the administrator to look at, or as a note.

mod binding;
mod connman;
mod dhcpcd;
mod foreign;

use super::Aspect;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = dhcpcd::check(aspect, guest)?;
    defects.extend(connman::check(aspect, guest)?);
    defects.extend(foreign::check(aspect, guest)?);
    if aspect == Aspect::Name {
        defects.extend(binding::check(guest)?);
    }
    Ok(defects)
}

/// Drafts what puts right all that can be put right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
    dhcpcd::fix(aspect, guest)?;
    connman::fix(aspect, guest)
}
