//! Configuration of stacks that are not put right here: netctl, the scripts of Gentoo and
//! Slackware, nmstate, connman's provisioning files.
//!
//! Each is read line by line, which is enough to see a MAC, an address or a NIC's name.

use std::net::IpAddr;

use super::super::Aspect;
use super::super::device::Topology;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::mac;
use crate::root::{FileKind, GuestPath};

/// A stack.
struct Foreign {
    /// What it is called.
    name: &'static str,
    /// Its files, or the directories that they are in.
    places: &'static [&'static str],
    /// How the names of files in a directory end.
    suffixes: &'static [&'static str],
    /// The interface that a line configures.
    interface: fn(&str) -> Option<&str>,
}

/// The stacks.
const FOREIGN: [Foreign; 5] = [
    Foreign {
        name: "netctl",
        places: &["/etc/netctl"],
        suffixes: &[""],
        interface: |line| value_of(line, "Interface"),
    },
    Foreign {
        name: "Gentoo's netifrc",
        places: &["/etc/conf.d/net"],
        suffixes: &[],
        interface: |line| line.strip_prefix("config_")?.split('=').next(),
    },
    Foreign {
        name: "Slackware's rc.inet1",
        places: &["/etc/rc.d/rc.inet1.conf"],
        suffixes: &[],
        interface: |_| None,
    },
    Foreign {
        name: "nmstate",
        places: &["/etc/nmstate"],
        suffixes: &[".yml", ".yaml"],
        interface: |_| None,
    },
    Foreign {
        name: "connman",
        places: &["/var/lib/connman", "/etc/connman"],
        suffixes: &[".config"],
        interface: |_| None,
    },
];

/// The warnings.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for foreign in &FOREIGN {
        for path in foreign.files(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let lines = text.as_str().lines().enumerate();
            defects.extend(lines.filter_map(|(number, line)| {
                let what = foreign.finds(aspect, line.trim())?;
                let message = format!("{} {what}", foreign.name);
                Some(
                    Defect::in_file(&path, message)
                        .at_line(number + 1)
                        .evidence(line.trim())
                        .hint("change it by hand, so that the NIC is configured by DHCP whatever its name")
                        .severity(Severity::Warning),
                )
            }));
        }
    }
    Ok(defects)
}

impl Foreign {
    fn files(&self, guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
        let mut files = Vec::new();
        for place in self.places {
            if self.suffixes.is_empty() {
                files.push(GuestPath::from(*place));
            }
            for path in guest.list(&(*place).into())? {
                let fits = self.suffixes.iter().any(|suffix| path.has_suffix(suffix));
                if fits && guest.kind(&path)? == Some(FileKind::Regular) {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }

    /// What a line does that an aspect is about.
    fn finds(&self, aspect: Aspect, line: &str) -> Option<&'static str> {
        if line.starts_with('#') {
            return None;
        }
        let is_nic = |name: &str| Topology::default().devices().device(name).is_replaced();
        match aspect {
            Aspect::Mac => (!mac::find(line).is_empty()).then_some("names a MAC"),
            Aspect::Address => holds_address(line).then_some("sets a static address"),
            Aspect::Name => (self.interface)(line)
                .filter(|name| is_nic(name))
                .map(|_| "binds a NIC by its name"),
            Aspect::Dhcp | Aspect::DhcpIdentity => None,
        }
    }
}

/// The value in `KEY=value`, quotes removed.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.strip_prefix('=')?;
    Some(value.trim_matches(['"', '\'']))
}

/// Whether a line holds an IP address that is not the machine's own loopback or a netmask.
fn holds_address(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '.'))
        .filter(|word| word.len() > 2)
        .filter_map(|word| word.parse::<IpAddr>().ok())
        .any(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_unspecified() && v4.octets()[0] != 255,
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unspecified(),
        })
}

#[cfg(test)]
mod tests {
    use crate::rules::Rule;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_mac::NetMac;
    use crate::rules::net_name_pinned::NetNamePinned;
    use crate::rules::net_static::NetStatic;

    #[test]
    fn each_stack_is_warned_about() {
        let fixture = Fixture::new(&[
            (
                "/etc/netctl/lan",
                "Interface=eth0\nConnection=ethernet\nIP=static\nAddress=('10.0.0.5/24')\nMACAddress=52:54:00:12:34:56\n",
            ),
            ("/etc/netctl/examples/x", "Interface=eth0\n"),
            (
                "/etc/conf.d/net",
                "# config_eth1=\"10.0.0.1\"\nconfig_eth0=\"10.0.0.5/24\"\nroutes_eth0=\"default via 10.0.0.1\"\nmac_eth0=\"52:54:00:12:34:56\"\nconfig_lo=\"127.0.0.1/8\"\n",
            ),
            (
                "/etc/rc.d/rc.inet1.conf",
                "IPADDR[0]=\"10.0.0.5\"\nNETMASK[0]=\"255.255.255.0\"\nUSE_DHCP[0]=\"\"\nGATEWAY=\"10.0.0.1\"\n",
            ),
            (
                "/etc/nmstate/a.yml",
                "interfaces:\n- name: eth0\n  mac-address: 52:54:00:12:34:56\n  ipv4:\n    address:\n    - ip: 10.0.0.5\n      prefix-length: 24\n",
            ),
        ]);
        for (rule, lines) in [
            (&NetMac as &dyn Rule, vec![5, 4, 3]),
            (&NetStatic, vec![4, 2, 3, 1, 4, 6]),
            (&NetNamePinned, vec![1, 2]),
        ] {
            let found = fixture.check(rule);
            let found: Vec<usize> = found.iter().filter_map(|defect| defect.line).collect();
            assert_eq!(found, lines, "{}", rule.meta().id);
            assert_eq!(fixture.open(rule), Vec::<String>::new());
        }
    }
}
