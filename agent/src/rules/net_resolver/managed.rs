//! Whether the stack in charge rewrites `/etc/resolv.conf`.

use super::RESOLV_CONF;
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::Guest;
use crate::network_manager::main_setting;
use crate::parse::shell_vars;
use crate::root::GuestPath;
use crate::stacks;

/// Where hooks of dhclient may redefine what writes the file.
const HOOKS: [&str; 3] = [
    "/etc/dhcp/dhclient-enter-hooks.d",
    "/etc/dhcp3/dhclient-enter-hooks.d",
    "/etc/dhclient-enter-hooks.d",
];
/// Hooks that packages bring: they write it elsewhere, and the file is a link then.
const SHIPPED_HOOKS: [&str; 4] = ["debug", "resolvconf", "resolved", "resolved-enter"];
/// SUSE's choices for the file.
const SUSE: &str = "/etc/sysconfig/network/config";
/// What `netconfig` writes first; it leaves alone what somebody else wrote.
const NETCONFIG_MARK: &str = "netconfig";

/// Whether the stack in charge rewrites the file. With no stack to tell, it counts as rewritten.
pub(super) fn is_managed(guest: &Guest<'_>) -> Result<bool, Error> {
    let stacks = &guest.facts().network_stacks;
    let has = |stack| stacks.contains(&stack);
    let manager_rewrites = || -> Result<bool, Error> {
        Ok(main_setting(guest, "dns")?.as_deref() != Some("none")
            && main_setting(guest, "rc-manager")?.as_deref() != Some("unmanaged"))
    };
    match stacks::in_charge(guest)? {
        None => Ok(true),
        Some(NetworkStack::NetworkManager) => manager_rewrites(),
        Some(NetworkStack::Ifcfg) if has(NetworkStack::NetworkManager) => manager_rewrites(),
        Some(NetworkStack::Ifupdown | NetworkStack::Ifcfg) => Ok(!is_hooked(guest)?),
        // It leaves the file to systemd-resolved, which wants a link.
        Some(NetworkStack::Networkd) => Ok(false),
        // They write for one of the others.
        Some(NetworkStack::Netplan | NetworkStack::CloudInit) => {
            if has(NetworkStack::NetworkManager) {
                manager_rewrites()
            } else {
                Ok(has(NetworkStack::Ifupdown) || has(NetworkStack::Ifcfg))
            }
        }
        Some(NetworkStack::Wicked) => netconfig_rewrites(guest),
    }
}

/// Whether an administrator's hook keeps dhclient from writing the file.
fn is_hooked(guest: &Guest<'_>) -> Result<bool, Error> {
    let mut hooks: Vec<GuestPath> = vec![
        "/etc/dhclient-enter-hooks".into(),
        "/etc/dhcp/dhclient-enter-hooks".into(),
    ];
    for dir in HOOKS {
        hooks.extend(guest.list(&dir.into())?);
    }
    for hook in hooks {
        let shipped = SHIPPED_HOOKS.iter().any(|name| hook.name() == *name);
        let text = guest.text(&hook)?;
        if !shipped && text.is_some_and(|text| text.as_str().contains("make_resolv_conf")) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn netconfig_rewrites(guest: &Guest<'_>) -> Result<bool, Error> {
    let config = guest.text(&SUSE.into())?;
    let is_off = config.is_some_and(|text| {
        shell_vars::assignments(text.as_str())
            .iter()
            .rfind(|assignment| assignment.name == "NETCONFIG_DNS_POLICY")
            .is_some_and(|assignment| assignment.value.as_str().is_empty())
    });
    let own = guest.text(&RESOLV_CONF.into())?.is_some_and(|text| {
        text.as_str()
            .lines()
            .take_while(|line| line.starts_with('#'))
            .any(|line| line.contains(NETCONFIG_MARK))
    });
    Ok(own && !is_off)
}
