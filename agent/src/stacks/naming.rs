//! How the guest names its NICs.

use crate::error::Error;
use crate::guest::Guest;
use crate::kernel_cmdline;

/// Whether NICs keep the names that the kernel gives: the only one is `eth0`. That is so with
/// `net.ifnames=0` on every copy of the kernel command line, and where udev still has its old
/// generator of persistent names, which names a NIC that it does not know yet after the kernel
/// (Debian 8, Ubuntu 14.04).
///
/// # Errors
///
/// The guest could not be read.
pub fn kernel_names(guest: &Guest<'_>) -> Result<bool, Error> {
    const GENERATOR: &str = "/lib/udev/rules.d/75-persistent-net-generator.rules";
    Ok(guest.exists(&GENERATOR.into())?
        || kernel_cmdline::has_on_every_copy(guest, "net.ifnames=0")?)
}
