//! `access/firewall`: the guest's own firewall lets SSH in, and OCI's services be reached.
//!
//! Whichever firewalls are loaded at boot are asked about the packets that matter, as far as their
//! configuration can be understood; where it cannot, they count as open. Nothing is changed: what
//! may come in only the administrator knows.

mod firewalld;
mod iptables;
mod nftables;
mod packet;
mod susefirewall;
mod ufw;
mod wrappers;

use self::packet::{Fate, Packet, Place, SERVICES};
use super::{DOC_BEST_PRACTICES, Rule, RuleMeta};
use crate::access::sshd::Sshd;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct AccessFirewall;

/// A firewall that is loaded at boot.
struct Firewall {
    /// What becomes of a packet.
    fate: Box<dyn Fn(Packet) -> Fate>,
    /// What is bound to a NIC by its name.
    bound: Vec<Place>,
}

impl Rule for AccessFirewall {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/firewall",
            severity: Severity::Warning,
            title: "A firewall in the guest that keeps SSH out, or OCI's services away",
            why: "OCI filters at the subnet already; behind a firewall made for the old network \
                  nobody can log in.",
            doc: DOC_BEST_PRACTICES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let ports = Sshd::of(guest)?.ports;
        let mut defects = Vec::new();
        defects.extend(ufw::advice(guest)?);
        let mut firewalls = firewalld::firewalls(guest)?;
        firewalls.extend(ufw::firewalls(guest)?);
        firewalls.extend(iptables::firewalls(guest)?);
        firewalls.extend(nftables::firewalls(guest)?);
        firewalls.extend(susefirewall::firewalls(guest)?);
        firewalls.extend(wrappers::firewalls(guest)?);
        for firewall in firewalls {
            defects.extend(ssh(&firewall, &ports));
            defects.extend(services(&firewall));
            defects.extend(firewall.bound.iter().map(bound));
        }
        Ok(defects)
    }

    /// What may come in only the administrator knows.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether SSH gets in, by one port at least.
fn ssh(firewall: &Firewall, ports: &[u16]) -> Option<Defect> {
    let mut fates = ports.iter().map(|port| (firewall.fate)(Packet::ssh(*port)));
    let first = fates.next()?;
    if first == Fate::Open || fates.any(|fate| fate == Fate::Open) {
        return None;
    }
    let hint = "let the port of sshd in from any address and any interface, and filter in the \
                security list of the subnet instead";
    Some(match first {
        Fate::Closed(place) => defect(&place, "the firewall keeps SSH out").hint(hint),
        Fate::Partly(place) => defect(
            &place,
            "the firewall lets SSH in from certain addresses or interfaces only",
        )
        .hint(hint)
        .severity(Severity::Note),
        Fate::Open => return None,
    })
}

/// Whether what OCI serves can be reached.
fn services(firewall: &Firewall) -> impl Iterator<Item = Defect> {
    SERVICES.iter().filter_map(|(service, address, port)| {
        let packet = Packet {
            destination: Some(*address),
            port: *port,
        };
        match (firewall.fate)(packet) {
            Fate::Closed(place) => Some(
                defect(
                    &place,
                    &format!("the firewall keeps the instance from {service} at {address}"),
                )
                .hint("let the instance reach 169.254.0.0/16"),
            ),
            Fate::Open | Fate::Partly(_) => None,
        }
    })
}

fn bound(place: &Place) -> Defect {
    defect(place, "the firewall is bound to a NIC by its name")
        .hint("the NIC may have another name on OCI: leave the name out")
        .severity(Severity::Note)
}

fn defect(place: &Place, message: &str) -> Defect {
    let defect = Defect::in_file(&place.path, message)
        .evidence(place.text.chars().take(200).collect::<String>());
    if place.line == 0 {
        defect
    } else {
        defect.at_line(place.line)
    }
}

/// Whether an interface may be a NIC: not loopback, no pattern, not known to be made by software.
fn is_nic(name: &str) -> bool {
    ["eth", "en", "em", "p", "bond", "team", "wl", "ib"]
        .iter()
        .any(|prefix| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.contains(|c: char| c.is_ascii_digit()))
        })
        && !name.starts_with("ppp")
        && !name.contains(['*', '+'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        Fixture::new(files)
            .check(&AccessFirewall)
            .into_iter()
            .map(|d| {
                let line = d.line.map(|line| format!(":{line}")).unwrap_or_default();
                let severity = d.severity.unwrap_or(Severity::Warning);
                format!("{severity} {}{line} {}", d.subject, d.message)
            })
            .collect()
    }

    const CLOSED: &str = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i eth0 -p tcp --dport 80 -j ACCEPT\n\
        -A OUTPUT -d 169.254.0.0/16 -j REJECT\nCOMMIT\n";

    #[test]
    fn rules_are_judged_where_they_are_loaded() {
        let rules = ("/etc/sysconfig/iptables", CLOSED);
        let wants = |unit: &'static str| (unit, "-> /usr/lib/systemd/system/x.service");
        let cron = wants("/etc/systemd/system/multi-user.target.wants/crond.service");
        let service = wants("/etc/systemd/system/multi-user.target.wants/iptables.service");
        assert_eq!(found(&[rules, cron]), Vec::<String>::new());
        let expected = [
            "warning /etc/sysconfig/iptables:2 the firewall keeps SSH out",
            "warning /etc/sysconfig/iptables:4 the firewall keeps the instance from the metadata service at 169.254.169.254",
            "warning /etc/sysconfig/iptables:4 the firewall keeps the instance from the boot volume at 169.254.0.2",
            "note /etc/sysconfig/iptables:3 the firewall is bound to a NIC by its name",
        ];
        assert_eq!(found(&[rules, cron, service]), expected);
        assert_eq!(found(&[rules]), expected);
    }

    #[test]
    fn the_port_of_sshd_counts() {
        let sshd = ("/etc/ssh/sshd_config", "Port 22\nPort 2222\n");
        let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 2222 -j ACCEPT\nCOMMIT\n";
        let rules = ("/etc/iptables/rules.v4", rules);
        assert_eq!(found(&[rules]).len(), 1);
        assert_eq!(found(&[rules, sshd]), Vec::<String>::new());
    }

    #[test]
    fn nftables_includes_are_followed() {
        let main = "table inet filter {\nchain in {\ntype filter hook input priority 0; policy drop;\n}\n}\n\
                    include \"/etc/nftables.d/*.nft\"\n";
        let part = "table inet filter {\nchain in {\ntcp dport 22 drop\n}\n}\n";
        assert_eq!(
            found(&[
                ("/etc/nftables.conf", main),
                ("/etc/nftables.d/10-ssh.nft", part),
            ]),
            ["warning /etc/nftables.d/10-ssh.nft:3 the firewall keeps SSH out"]
        );
    }

    #[test]
    fn nics_are_told_by_their_names() {
        for (name, expected) in [
            ("eth0", true),
            ("enp3s0f0", true),
            ("em1", true),
            ("bond0", true),
            ("lo", false),
            ("docker0", false),
            ("ppp0", false),
            ("eth+", false),
            ("tun0", false),
        ] {
            assert_eq!(is_nic(name), expected, "{name}");
        }
    }
}
