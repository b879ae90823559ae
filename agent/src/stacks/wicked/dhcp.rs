//! Whether wicked brings up whichever NIC appears by DHCP, and the profile that does.
//!
//! wicked finds a profile by the name of the interface, and no pattern will do. The profile is for
//! `eth0`, and the kernel is told to name the only NIC so.
//!
//! `BOOTPROTO='dhcp'` asks for both families, and one lease is enough. Still, wicked waits for
//! DHCPv6 until a router speaks up or `DHCLIENT6_WAIT_AT_BOOT` is over, which are 15 seconds on a
//! network without IPv6. So that is one second, after which DHCPv6 goes on in the background.
//! `dhcp4` would not wait, but never have IPv6, and releases before SLES 11 do not know it.

use super::profile;
use super::{Config, ETH0, is_in_charge, remove_profile};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline;

/// DHCP for the only NIC.
const PROFILE: &str = "\
# DHCP on the only Ethernet interface: net.ifnames=0 on the kernel command line calls it eth0.
BOOTPROTO='dhcp'
STARTMODE='auto'
DHCLIENT_SET_DEFAULT_ROUTE='yes'
# DHCPv6 goes on in the background where no router answers.
DHCLIENT6_WAIT_AT_BOOT='1'
";
/// What makes the kernel's name the name of the NIC.
const NAMES: [&str; 2] = ["net.ifnames=0", "biosdevname=0"];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if !is_in_charge(guest)? {
        return Ok(Vec::new());
    }
    let path = profile::eth0();
    let mut defects = Vec::new();
    if !has_profile(&Config::read(guest)?) {
        defects.push(
            Defect::in_file(
                &path,
                "no profile gives DHCP at boot to whichever NIC appears",
            )
            .hint("add a profile of eth0 with BOOTPROTO='dhcp' and STARTMODE='auto'"),
        );
    }
    let missing = kernel_cmdline::missing(guest, &NAMES)?;
    if !missing.is_empty() {
        defects.push(
            Defect::in_file(
                &path,
                "the profile is for eth0, and the NIC may get another name",
            )
            .evidence(missing.join(" "))
            .hint("add the arguments to every copy of the kernel command line"),
        );
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if !is_in_charge(guest)? {
        return Ok(());
    }
    let config = Config::read(guest)?;
    if !has_profile(&config) {
        let masters = config.masters(ETH0).filter(|master| master.name != ETH0);
        for master in masters {
            remove_profile(guest, master)?;
        }
        guest.write_text(&profile::eth0(), PROFILE)?;
    }
    kernel_cmdline::add(guest, &kernel_cmdline::missing(guest, &NAMES)?)
}

/// Whether `eth0` is brought up by DHCP.
fn has_profile(config: &Config) -> bool {
    let mut profiles = config.profiles.iter();
    profiles.any(|profile| config.is_plain_eth0(profile))
}
