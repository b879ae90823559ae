//! `net/reserved-address`: addresses and routes in the ranges that OCI keeps for itself.
//!
//! 169.254.0.0/16 holds the boot and block volumes, metadata, DNS and DHCP servers; 224.0.0.0/3
//! is not used in virtual networks at all. What NICs have of them goes with their profiles; left
//! are bridges of containers and virtual machines, tunnels, and routes in scripts. Only what sets
//! an address or a route is judged: naming one of OCI's servers is right.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{DOC_BEST_PRACTICES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetReservedAddress;

/// Files that set addresses or routes.
const FILES: [&str; 13] = [
    "/etc/network/interfaces",
    "/etc/sysconfig/static-routes",
    "/etc/sysconfig/network/routes",
    "/etc/docker/daemon.json",
    "/etc/default/lxc-net",
    "/etc/default/docker",
    "/etc/sysconfig/docker",
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/init.d/boot.local",
    "/etc/init.d/after.local",
    "/etc/dhcpcd.conf",
    "/etc/conf.d/net",
];
/// Directories of such files, by how their names begin and end.
const DIRS: [(&str, &str, &str); 13] = [
    ("/etc/network/interfaces.d", "", ""),
    ("/etc/network/if-up.d", "", ""),
    ("/etc/sysconfig/network-scripts", "ifcfg-", ""),
    ("/etc/sysconfig/network-scripts", "route-", ""),
    ("/etc/sysconfig/network", "ifcfg-", ""),
    ("/etc/sysconfig/network", "ifroute-", ""),
    ("/etc/NetworkManager/system-connections", "", ""),
    ("/etc/NetworkManager/dispatcher.d", "", ""),
    ("/etc/systemd/network", "", ".network"),
    ("/etc/netplan", "", ".yaml"),
    ("/etc/libvirt/qemu/networks", "", ".xml"),
    ("/etc/cni/net.d", "", ""),
    ("/etc/containers/networks", "", ".json"),
];
/// Copies that nothing reads.
const IGNORED: [&str; 8] = [
    ".bak",
    ".orig",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".dpkg-old",
    ".swp",
    "~",
];
/// OCI's servers, as networks: the address and the length of the prefix.
const SERVERS: [(Ipv4Addr, u32); 5] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 29),
    (Ipv4Addr::new(169, 254, 2, 0), 24),
    (Ipv4Addr::new(169, 254, 4, 0), 23),
    (Ipv4Addr::new(169, 254, 169, 253), 32),
];

/// An address with its prefix, or what an address stands behind that sets one.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)(?:(?P<key>\bIPADDR\w*=|\bADDRESS\d*=|\baddress[ \t]+|<ip\b[^>]*\baddress=|"#,
        r"\broute[ \t]+add[ \t]+(?:-net[ \t]+|-host[ \t]+)?|",
        r"\bip[ \t]+(?:-4[ \t]+)?(?:route|ro?|addr|address|a)[ \t]+(?:add|replace|append)[ \t]+|",
        r"\bLXC_(?:ADDR|NETWORK)=|\bstatic[ \t]+ip_address=)|(?P<start>^|[^\w.:@/]))",
        r#"["']?(?P<address>(?:169\.254|2[2-5]\d\.\d{1,3})\.\d{1,3}\.\d{1,3})"#,
        r"(?:/(?P<prefix>\d{1,2})\b)?(?P<end>[^\w.]|$)",
    ))
    .ok()
});
/// A netmask that stands beside an address.
static NETMASK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i)\b(?:netmask|prefix|prefixlen)\w*[= \t]+["']?(\d[\d.]*)"#).ok()
});

/// An address or a route in a reserved range.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reserved {
    line: usize,
    text: String,
    address: Ipv4Addr,
    /// The length of its prefix.
    length: u32,
}

impl Reserved {
    /// Whether one of OCI's servers is hidden behind it.
    fn hides_servers(&self) -> bool {
        SERVERS.iter().any(|(server, length)| {
            let length = self.length.min(*length);
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            self.address.to_bits() & mask == server.to_bits() & mask
        })
    }
}

impl Rule for NetReservedAddress {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/reserved-address",
            severity: Severity::Blocker,
            title: "Addresses and routes in the ranges that OCI reserves",
            why: "A route to 169.254.0.0/16 of the guest's own hides the boot volume and the \
                  servers that renew the lease.",
            doc: DOC_BEST_PRACTICES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for path in files(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            defects.extend(reserved(text.as_str()).into_iter().map(|found| {
                let hides = found.hides_servers();
                let defect = Defect::in_file(
                    &path,
                    if hides {
                        "this hides addresses at which OCI serves the instance"
                    } else {
                        "this is in a range that OCI reserves"
                    },
                )
                .at_line(found.line)
                .evidence(found.text.chars().take(200).collect::<String>())
                .hint("use private addresses instead: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16");
                if hides {
                    defect
                } else {
                    defect.severity(Severity::Warning)
                }
            }));
        }
        Ok(defects)
    }

    /// What address takes its place only the administrator knows.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files: Vec<GuestPath> = FILES.map(GuestPath::from).into();
    for (dir, start, end) in DIRS {
        for file in guest.list(&dir.into())? {
            let name = file.name().to_string_lossy();
            let ignored = IGNORED.iter().any(|suffix| name.ends_with(suffix));
            if name.starts_with(start)
                && name.ends_with(end)
                && !ignored
                && guest.kind(&file)? == Some(FileKind::Regular)
            {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The lines of a text that set an address or a route in a reserved range.
fn reserved(text: &str) -> Vec<Reserved> {
    let lines: Vec<&str> = edit::lines(text).map(|line| line.text).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with(['#', ';', '!']) || line.trim_start().starts_with("<!--") {
            continue;
        }
        let Some(captures) = ADDRESS.as_ref().and_then(|regex| regex.captures(line)) else {
            continue;
        };
        let Ok(address) = captures["address"].parse::<Ipv4Addr>() else {
            continue;
        };
        // 220 to 223 are ordinary; 255 begins netmasks and the broadcast address.
        if matches!(address.octets()[0], 0..=168 | 170..=223 | 255) {
            continue;
        }
        let prefix = captures
            .name("prefix")
            .and_then(|prefix| prefix.as_str().parse().ok())
            .filter(|length| *length <= 32);
        // Without a prefix it is a server that somebody names, unless what stands before says
        // otherwise. Groups of class D are what multicast routes lead to.
        if (captures.name("key").is_none() && prefix.is_none())
            || (address.is_multicast() && prefix.is_some_and(|length| length <= 8))
        {
            continue;
        }
        let length = prefix.or_else(|| netmask(&lines, at)).unwrap_or(32);
        found.push(Reserved {
            line: at + 1,
            text: line.trim().to_owned(),
            address,
            length,
        });
    }
    found
}

/// The netmask on a line or on those beside it, as the length of a prefix.
fn netmask(lines: &[&str], at: usize) -> Option<u32> {
    let beside: [Range<usize>; 3] = [
        at..at + 1,
        at + 1..(at + 3).min(lines.len()),
        at.saturating_sub(2)..at,
    ];
    let regex = NETMASK.as_ref()?;
    let mask = beside
        .into_iter()
        .filter_map(|range| lines.get(range))
        .flatten()
        .find_map(|line| regex.captures(line))?;
    let mask = mask.get(1)?.as_str();
    match mask.parse::<Ipv4Addr>() {
        Ok(mask) => Some(mask.to_bits().leading_ones()),
        Err(_) => mask.parse().ok().filter(|length| *length <= 32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_routes_are_judged() {
        let hides = Some(true);
        let harmless = Some(false);
        for (line, expected) in [
            ("  \"bip\": \"169.254.1.1/16\",", hides),
            ("  \"bip\": \"172.17.0.1/16\",", None),
            ("IPADDR=169.254.0.10\nNETMASK=255.255.0.0", hides),
            ("IPADDR='169.254.100.1'\nPREFIX=30", harmless),
            (
                "  <ip address='169.254.122.1' netmask='255.255.255.0'>",
                harmless,
            ),
            ("ip route add 169.254.0.0/16 dev virbr0", hides),
            (
                "route add -net 169.254.0.0 netmask 255.255.0.0 dev dummy0",
                hides,
            ),
            ("ip addr add 169.254.169.254/32 dev lo", hides),
            ("ip addr add 169.254.169.254 dev lo", hides),
            ("Address=169.254.21.2/30", harmless),
            ("address1=240.0.0.5/24", harmless),
            ("\taddress 169.254.3.1\n\tnetmask 255.255.255.0", harmless),
            ("Destination=224.0.0.0/4", None),
            ("DNS=169.254.169.254", None),
            ("nameserver 169.254.169.254", None),
            ("server=169.254.169.254", None),
            ("# ip route add 169.254.0.0/16 dev virbr0", None),
            ("curl http://169.254.169.254/opc/v2/instance/", None),
            ("netmask 255.255.255.0", None),
            ("      - 169.254.5.5/24", hides),
            (
                "netroot=iscsi:169.254.0.2:::1:iqn.2015-02.oracle.boot:uefi",
                None,
            ),
        ] {
            let found = reserved(line).first().map(Reserved::hides_servers);
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn files_of_virtual_devices_are_read() {
        let fixture = Fixture::new(&[
            (
                "/etc/docker/daemon.json",
                "{\n  \"bip\": \"169.254.1.1/16\"\n}\n",
            ),
            (
                "/etc/libvirt/qemu/networks/default.xml",
                "<network>\n<ip address='169.254.122.1' netmask='255.255.255.0'/>\n</network>\n",
            ),
            (
                "/etc/sysconfig/network-scripts/route-tun0.bak",
                "169.254.0.0/16 dev tun0\n",
            ),
        ]);
        assert_eq!(
            fixture.severities(&NetReservedAddress),
            [
                ("/etc/docker/daemon.json".to_owned(), Severity::Blocker),
                (
                    "/etc/libvirt/qemu/networks/default.xml".to_owned(),
                    Severity::Warning
                ),
            ]
        );
    }

    proptest! {
        #[test]
        fn hostile_text_is_read(text in "(IPADDR=|169\\.254\\.1\\.|[0-9./\n =\"])\
                                         {0,40}") {
            let lines = text.lines().count();
            for found in reserved(&text) {
                prop_assert!(found.line <= lines && found.length <= 32);
            }
        }
    }
}
