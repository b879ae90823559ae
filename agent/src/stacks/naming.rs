//! How the guest names its NICs.

use crate::error::Error;
use crate::guest::Guest;

/// Whether NICs keep the names that the kernel gives: the only one is `eth0`. That is so with
/// `net.ifnames=0`, and where udev still has its old generator of persistent names, which names
/// a NIC that it does not know yet after the kernel (Debian 8, Ubuntu 14.04).
///
/// # Errors
///
/// The guest could not be read.
pub fn kernel_names(guest: &Guest<'_>) -> Result<bool, Error> {
    const GENERATOR: &str = "/lib/udev/rules.d/75-persistent-net-generator.rules";
    if guest.exists(&GENERATOR.into())? {
        return Ok(true);
    }
    let Some(grub) = guest.text(&"/etc/default/grub".into())? else {
        return Ok(false);
    };
    Ok(grub.as_str().lines().any(|line| {
        line.trim().split_once('=').is_some_and(|(key, value)| {
            matches!(key, "GRUB_CMDLINE_LINUX" | "GRUB_CMDLINE_LINUX_DEFAULT")
                && value
                    .split(|c: char| c.is_whitespace() || c == '"' || c == '\'')
                    .any(|word| word == "net.ifnames=0")
        })
    }))
}
