//! Identities that ifcfg files tell the DHCP client: client ids, DUIDs, the old host name.
//!
//! What names a way to make one, such as `stable`, is no identity.

use super::{Config, rewrite};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit;
use crate::parse::shell_vars::Assignment;

/// Values that stand for a way to make an identity.
const WAYS: [&str; 14] = [
    "duid",
    "ifname",
    "ipv6-duid",
    "lease",
    "ll",
    "llt",
    "mac",
    "none",
    "perm-mac",
    "stable",
    "stable-ll",
    "stable-llt",
    "stable-uuid",
    "",
];
/// Options of Red Hat's dhclient that tell an identity: of the client, its host, its full name.
const CLIENT_OPTIONS: [&str; 3] = ["-I", "-H", "-F"];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in &config.files {
        let found = file.assignments.iter().filter(|found| is_identity(found));
        defects.extend(found.map(|assignment| {
            Defect::in_file(&file.path, "the DHCP client is told an identity")
                .at_line(assignment.line)
                .evidence(file.line(assignment.line))
                .hint("delete the setting")
        }));
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    for file in Config::read(guest)?.files {
        let found = file.assignments.iter().filter(|found| is_identity(found));
        let edits = found.map(|assignment| file.removal(assignment)).collect();
        rewrite(
            guest,
            &file.path,
            &file.text,
            &edit::apply(&file.text, edits),
        )?;
    }
    Ok(())
}

fn is_identity(assignment: &Assignment) -> bool {
    let value = assignment.value.as_str().trim();
    match assignment.name.as_str() {
        "DHCP_CLIENT_ID" | "DHCP_FQDN" | "DHCP_HOSTNAME" | "DHCP_IAID" | "DHCPV6_DUID"
        | "DHCPV6_HOSTNAME" | "DHCPV6_IAID" => !WAYS.contains(&value),
        "DHCLIENTARGS" => value
            .split_whitespace()
            .any(|word| CLIENT_OPTIONS.contains(&word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::fixture::Fixture;
    use crate::rules::net_dhcp_identity::NetDhcpIdentity;

    #[test]
    fn identities_go_and_ways_to_make_one_stay() {
        let path = "/etc/sysconfig/network-scripts/ifcfg-wlan0";
        let fixture = Fixture::new(&[(
            path,
            "TYPE=Wireless\nDHCP_CLIENT_ID=01:52:54:00:aa:bb:cc\nDHCP_IAID=mac\n\
             DHCPV6_DUID=\"stable-uuid\"\nDHCP_HOSTNAME=db7 # x\nDHCLIENTARGS=\"-v -H db7\"\n",
        )]);
        assert_eq!(fixture.open(&NetDhcpIdentity).len(), 3);
        fixture.fix(&[&NetDhcpIdentity]);
        assert_eq!(
            fixture.text(path).unwrap(),
            "TYPE=Wireless\nDHCP_IAID=mac\nDHCPV6_DUID=\"stable-uuid\"\n"
        );
    }
}
