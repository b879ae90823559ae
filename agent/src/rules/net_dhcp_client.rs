//! `net/dhcp-client`: the program that asks for a lease is there.
//!
//! ifupdown and Red Hat's initscripts run one of their choice; systemd-networkd and wicked have
//! their own, and so has `NetworkManager`, unless `dhcp=` in its configuration names another. A
//! bare configuration tree, without an init, says nothing about programs.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::network_manager::main_setting;
use crate::root::GuestPath;
use crate::{stacks, units};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetDhcpClient;

/// What ifupdown runs, in its order: see `inet.defn` in its source.
const IFUPDOWN: [&str; 5] = ["dhclient3", "dhclient", "pump", "udhcpc", "dhcpcd"];
/// What Red Hat's initscripts run.
const INITSCRIPTS: [&str; 1] = ["dhclient"];
/// Where programs are.
const DIRS: [&str; 6] = [
    "/sbin",
    "/usr/sbin",
    "/usr/local/sbin",
    "/bin",
    "/usr/bin",
    "/usr/local/bin",
];

impl Rule for NetDhcpClient {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/dhcp-client",
            severity: Severity::Blocker,
            title: "A network stack whose DHCP client is not installed",
            why: "Without a client there is no lease, and without a lease no address on OCI.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        if !units::has_init(guest)? {
            return Ok(Vec::new());
        }
        let stacks = &guest.facts().network_stacks;
        let has = |stack| stacks.contains(&stack);
        let runs_own = [
            NetworkStack::NetworkManager,
            NetworkStack::Netplan,
            NetworkStack::Networkd,
            NetworkStack::Wicked,
        ]
        .into_iter()
        .any(has);
        let defect = match stacks::in_charge(guest)? {
            Some(NetworkStack::Ifupdown) => missing(guest, "ifupdown", &IFUPDOWN)?,
            Some(NetworkStack::Ifcfg) if has(NetworkStack::NetworkManager) => manager(guest)?,
            Some(NetworkStack::Ifcfg) => missing(guest, "the network service", &INITSCRIPTS)?,
            Some(NetworkStack::NetworkManager) => manager(guest)?,
            // It writes for one of the others.
            Some(NetworkStack::CloudInit) if runs_own => None,
            Some(NetworkStack::CloudInit) if has(NetworkStack::Ifupdown) => {
                missing(guest, "ifupdown", &IFUPDOWN)?
            }
            Some(NetworkStack::CloudInit) if has(NetworkStack::Ifcfg) => {
                missing(guest, "the network service", &INITSCRIPTS)?
            }
            _ => None,
        };
        Ok(defect.into_iter().collect())
    }

    /// Packages are for the user to install.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn missing(
    guest: &Guest<'_>,
    stack: &str,
    clients: &[&'static str],
) -> Result<Option<Defect>, Error> {
    for dir in DIRS {
        for client in clients {
            let program = GuestPath::from(dir).join(client);
            // Links are not followed: alternatives lead through places that may be mounted later.
            if guest.kind(&program)?.is_some() {
                return Ok(None);
            }
        }
    }
    Ok(Some(
        Defect::of(
            "DHCP client",
            format!("{stack} asks for a lease through a program that is not installed"),
        )
        .evidence(clients.join(", "))
        .hint("install a DHCP client before the import: isc-dhcp-client, or dhclient"),
    ))
}

/// `NetworkManager` goes on with its own client where the one that it is told is missing, but
/// versions before 1.0 have none.
fn manager(guest: &Guest<'_>) -> Result<Option<Defect>, Error> {
    let client: &[&str] = match main_setting(guest, "dhcp")?.as_deref() {
        Some("dhclient") => &["dhclient"],
        Some("dhcpcd") => &["dhcpcd"],
        _ => return Ok(None),
    };
    let defect = missing(guest, "NetworkManager", client)?;
    Ok(defect.map(|defect| defect.severity(Severity::Warning)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn the_stack_in_charge_has_its_client() {
        let init = ("/sbin/init", "");
        let interfaces = ("/etc/network/interfaces", "auto lo\n");
        let ifcfg = ("/etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n");
        let manager = ("/etc/NetworkManager/NetworkManager.conf", "[main]\n");
        let dhclient = (
            "/etc/NetworkManager/conf.d/dhcp.conf",
            "[main]\ndhcp=dhclient\n",
        );
        let networkd = ("/etc/systemd/network/10.network", "[Network]\nDHCP=yes\n");
        for (files, expected) in [
            (vec![interfaces], None),
            (vec![init], None),
            (vec![init, interfaces], Some(Severity::Blocker)),
            (vec![init, interfaces, ("/usr/sbin/dhclient", "")], None),
            (
                vec![init, interfaces, ("/sbin/udhcpc", "-> /bin/busybox")],
                None,
            ),
            (vec![init, ifcfg], Some(Severity::Blocker)),
            (
                vec![init, ifcfg, ("/usr/sbin/dhcpcd", "")],
                Some(Severity::Blocker),
            ),
            (vec![init, ifcfg, ("/sbin/dhclient", "")], None),
            (vec![init, manager], None),
            (vec![init, manager, dhclient], Some(Severity::Warning)),
            (
                vec![init, manager, dhclient, ("/usr/sbin/dhclient", "")],
                None,
            ),
            (vec![init, networkd], None),
        ] {
            let found: Vec<Severity> = Fixture::packaged(&files)
                .severities(&NetDhcpClient)
                .into_iter()
                .map(|(_, severity)| severity)
                .collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{files:?}");
        }
    }
}
