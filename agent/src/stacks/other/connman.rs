//! connman's state: a directory for each NIC, named by its MAC, with its addresses.
//!
//! connman asks by DHCP on a NIC that it does not know yet, so these directories simply go.

use super::super::Aspect;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::mac;
use crate::root::{FileKind, GuestPath};

/// Where connman keeps its state.
const STATE: &str = "/var/lib/connman";

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let message = match aspect {
        Aspect::Mac => "connman knows the old NIC by its MAC",
        Aspect::Address => "connman gives the old NIC a static address",
        _ => return Ok(Vec::new()),
    };
    let mut defects = Vec::new();
    for dir in services(guest)? {
        if aspect == Aspect::Mac || is_static(guest, &dir)? {
            defects.push(
                Defect::in_file(&dir, message)
                    .hint("remove the directory; connman makes one for the new NIC"),
            );
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
    if matches!(aspect, Aspect::Mac | Aspect::Address) {
        for dir in services(guest)? {
            if aspect == Aspect::Mac || is_static(guest, &dir)? {
                guest.remove(&dir)?;
            }
        }
    }
    Ok(())
}

/// The directories of NICs: `ethernet_525400123456_cable`.
fn services(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut services = Vec::new();
    for path in guest.list(&STATE.into())? {
        let name = path.name().to_string_lossy();
        let address = name
            .strip_prefix("ethernet_")
            .and_then(|rest| rest.strip_suffix("_cable"));
        if address.is_some_and(|address| !mac::find_bare(address).is_empty())
            && guest.kind(&path)? == Some(FileKind::Directory)
        {
            services.push(path.clone());
        }
    }
    Ok(services)
}

fn is_static(guest: &Guest<'_>, service: &GuestPath) -> Result<bool, Error> {
    let Some(text) = guest.text(&service.join("settings"))? else {
        return Ok(false);
    };
    Ok(text.as_str().lines().any(|line| {
        line.split_once('=').is_some_and(|(key, value)| {
            matches!(key.trim(), "IPv4.method" | "IPv6.method") && value.trim() == "manual"
        })
    }))
}

#[cfg(test)]
mod tests {
    use crate::rules::fixture::Fixture;
    use crate::rules::net_mac::NetMac;
    use crate::rules::net_static::NetStatic;

    #[test]
    fn the_state_of_nics_goes() {
        const NIC: &str = "/var/lib/connman/ethernet_525400123456_cable";
        let settings = format!("{NIC}/settings");
        let files = [
            (
                settings.as_str(),
                "[ethernet_525400123456_cable]\nIPv4.method=manual\nIPv4.local_address=10.0.0.5\n",
            ),
            ("/var/lib/connman/settings", "[Wired]\nEnable=true\n"),
            (
                "/var/lib/connman/wifi_525400123456_6162_managed_psk/settings",
                "[x]\nIPv4.method=dhcp\n",
            ),
        ];
        for rule in [&NetMac as &dyn crate::rules::Rule, &NetStatic] {
            let fixture = Fixture::new(&files);
            assert_eq!(fixture.open(rule), [NIC]);
            fixture.fix(&[rule]);
            assert!(!fixture.has(NIC));
            assert!(fixture.has(files[1].0) && fixture.has(files[2].0));
        }
    }
}
