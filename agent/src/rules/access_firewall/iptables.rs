//! iptables rules that are loaded at boot: iptables-persistent, Red Hat's iptables service.

use std::collections::BTreeMap;

use super::Firewall;
use super::packet::{Fate, Match, Packet, Place, holds_address, holds_port};
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::iptables::{Chain, Rule, filter};
use crate::root::GuestPath;
use crate::units;

/// Where rules are kept, and what loads them: units and the script.
const FILES: [(&str, &[&str], &str); 4] = [
    (
        "/etc/iptables/rules.v4",
        &[
            "netfilter-persistent.service",
            "iptables-persistent.service",
        ],
        "netfilter-persistent",
    ),
    (
        "/etc/iptables/rules",
        &["iptables-persistent.service"],
        "iptables-persistent",
    ),
    ("/etc/sysconfig/iptables", &["iptables.service"], "iptables"),
    (
        "/etc/iptables/iptables.rules",
        &["iptables.service"],
        "iptables",
    ),
];
/// How deep chains may jump.
const MAX_DEPTH: usize = 32;
/// How many rules are looked at, since chains may jump to each other again and again.
const MAX_STEPS: usize = 100_000;

/// What the files that are loaded say.
pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    let readable = units::readable(guest)?;
    let mut firewalls = Vec::new();
    for (path, loaders, script) in FILES {
        let path = GuestPath::from(path);
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let mut loaded = !readable;
        for unit in loaders {
            loaded |= units::is_enabled(guest, unit, script)?;
        }
        if !loaded {
            continue;
        }
        let chains = filter(text.as_str());
        firewalls.push(Firewall {
            bound: chains
                .values()
                .flat_map(|chain| &chain.rules)
                .filter(|rule| is_bound(rule))
                .map(|rule| place(&path, rule))
                .collect(),
            fate: Box::new(move |packet| fate(&path, &chains, packet)),
        });
    }
    Ok(firewalls)
}

/// Whether a rule names a NIC.
fn is_bound(rule: &Rule) -> bool {
    rule.args.windows(2).any(|pair| {
        matches!(
            pair[0].as_str(),
            "-i" | "--in-interface" | "-o" | "--out-interface"
        ) && super::is_nic(&pair[1])
    })
}

fn place(path: &GuestPath, rule: &Rule) -> Place {
    Place {
        path: path.clone(),
        line: rule.line,
        text: rule.text.clone(),
    }
}

fn fate(path: &GuestPath, chains: &BTreeMap<String, Chain>, packet: Packet) -> Fate {
    let base = if packet.destination.is_some() {
        "OUTPUT"
    } else {
        "INPUT"
    };
    let Some(chain) = chains.get(base) else {
        return Fate::Open;
    };
    let mut walk = Walk {
        path,
        chains,
        packet,
        partly: None,
        steps: 0,
    };
    let closed = match walk.chain(chain, 0) {
        Way::Accepted => return Fate::Open,
        Way::Dropped(place) => place,
        Way::Undecided => match chain.policy.as_deref() {
            Some("DROP" | "REJECT") => Place {
                path: path.clone(),
                line: chain.line,
                text: format!(":{base} DROP"),
            },
            _ => return Fate::Open,
        },
    };
    match walk.partly {
        Some(place) => Fate::Partly(place),
        None => Fate::Closed(closed),
    }
}

/// Where a packet is after a chain.
enum Way {
    Accepted,
    Dropped(Place),
    Undecided,
}

/// A packet on its way through the chains.
struct Walk<'a> {
    path: &'a GuestPath,
    chains: &'a BTreeMap<String, Chain>,
    packet: Packet,
    /// The first rule that lets some packets through.
    partly: Option<Place>,
    steps: usize,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain, depth: usize) -> Way {
        for rule in &chain.rules {
            self.steps += 1;
            // Nobody can follow that: taken for open.
            if self.steps > MAX_STEPS || depth > MAX_DEPTH {
                return Way::Accepted;
            }
            let (matched, target) = judge(rule, self.packet);
            if matched == Match::No {
                continue;
            }
            let way = match target {
                Some("ACCEPT") => Way::Accepted,
                Some("DROP" | "REJECT" | "TARPIT") => Way::Dropped(place(self.path, rule)),
                Some("RETURN") if matched == Match::Yes => return Way::Undecided,
                Some(name) => match self.chains.get(name) {
                    Some(next) => self.chain(next, depth + 1),
                    None => continue,
                },
                None => continue,
            };
            match (way, matched) {
                (Way::Undecided, _) | (Way::Dropped(_), Match::Maybe) => {}
                (Way::Accepted, Match::Maybe) => {
                    self.partly.get_or_insert_with(|| place(self.path, rule));
                }
                (way, _) => return way,
            }
        }
        Way::Undecided
    }
}

/// Whether a rule applies, and what it does then.
fn judge(rule: &Rule, packet: Packet) -> (Match, Option<&str>) {
    let mut matched = Match::Yes;
    let mut target = None;
    let mut args = rule.args.iter().map(String::as_str).peekable();
    let mut negated = false;
    while let Some(arg) = args.next() {
        if arg == "!" {
            negated = true;
            continue;
        }
        let condition = match arg {
            "-j" | "--jump" | "-g" | "--goto" => {
                target = args.next();
                // What follows are the target's own options.
                break;
            }
            "-m" | "--match" | "--comment" => {
                args.next();
                continue;
            }
            _ => {
                // Old syntax has the `!` behind the option.
                negated |= args.next_if_eq(&"!").is_some();
                let value = args.next_if(|value| !value.starts_with('-') && *value != "!");
                judge_option(arg, value, packet)
            }
        };
        matched = matched.min(condition.negated(negated));
        negated = false;
        // A second value: `--tcp-flags MASK FLAGS`.
        while args
            .next_if(|value| !value.starts_with('-') && *value != "!")
            .is_some()
        {}
    }
    (matched, target)
}

fn judge_option(option: &str, value: Option<&str>, packet: Packet) -> Match {
    let Some(value) = value else {
        return if option == "--syn" {
            Match::Yes
        } else {
            Match::Maybe
        };
    };
    match option {
        "-p" | "--protocol" | "--proto" => Match::when(matches!(value, "tcp" | "all" | "6" | "0")),
        "--dport" | "--dports" | "--destination-port" | "--destination-ports" | "--ports" => {
            Match::when(holds_port(value, packet.port))
        }
        "--state" | "--ctstate" => Match::when(value.split(',').any(|state| state == "NEW")),
        "--tcp-flags" => Match::when(value.contains("SYN")),
        "--uid-owner" => Match::when(matches!(value, "0" | "root")),
        "-i" | "--in-interface" | "-o" | "--out-interface" => match value {
            "lo" => Match::No,
            "+" => Match::Yes,
            _ => Match::Maybe,
        },
        "-s" | "--source" | "--src" => match value {
            "0.0.0.0/0" | "0/0" => Match::Yes,
            _ => Match::Maybe,
        },
        "-d" | "--destination" | "--dst" => match packet.destination {
            _ if matches!(value, "0.0.0.0/0" | "0/0") => Match::Yes,
            Some(address) => holds_address(value, address).map_or(Match::Maybe, Match::when),
            // The instance has another address than the one named here.
            None => Match::Maybe,
        },
        _ => Match::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn input(rules: &str) -> Fate {
        let text = format!("*filter\n:INPUT DROP [0:0]\n:IN_WEB - [0:0]\n{rules}COMMIT\n");
        fate(&FILES[2].0.into(), &filter(&text), Packet::ssh(22))
    }

    fn place(line: usize, text: &str) -> Place {
        Place {
            path: FILES[2].0.into(),
            line,
            text: text.to_owned(),
        }
    }

    #[test]
    fn ssh_gets_through_or_not() {
        let closed = |line, text: &str| Fate::Closed(place(line, text));
        let partly = |line, text: &str| Fate::Partly(place(line, text));
        for (rules, expected) in [
            ("", closed(2, ":INPUT DROP")),
            ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", Fate::Open),
            (
                "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n\
                 -A INPUT -p icmp -j ACCEPT\n",
                closed(2, ":INPUT DROP"),
            ),
            (
                "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT\n",
                Fate::Open,
            ),
            (
                "-A INPUT -p tcp -m multiport --dports 80,20:25 -j ACCEPT\n",
                Fate::Open,
            ),
            (
                "-A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT\n",
                partly(4, "-A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT"),
            ),
            (
                "-A INPUT -i eth0 -p tcp --dport 22 -j ACCEPT\n",
                partly(4, "-A INPUT -i eth0 -p tcp --dport 22 -j ACCEPT"),
            ),
            ("-A INPUT ! -i lo -j ACCEPT\n", Fate::Open),
            (
                "-A INPUT -p tcp -j IN_WEB\n-A IN_WEB -p tcp --dport ssh -j ACCEPT\n",
                Fate::Open,
            ),
            (
                "-A INPUT -j REJECT --reject-with icmp-host-prohibited\n\
                 -A INPUT -p tcp --dport 22 -j ACCEPT\n",
                closed(4, "-A INPUT -j REJECT --reject-with icmp-host-prohibited"),
            ),
            (
                "-A INPUT -s 10.9.0.0/16 -j DROP\n-A INPUT -p tcp --dport 22 -j ACCEPT\n",
                Fate::Open,
            ),
            (
                "-A INPUT -p tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment \"in -j DROP\" \
                 --dport 22 -j ACCEPT\n",
                Fate::Open,
            ),
            ("-A INPUT -j IN_WEB\n-A IN_WEB -j IN_WEB\n", Fate::Open),
        ] {
            assert_eq!(input(rules), expected, "{rules}");
        }
        let open = filter("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n");
        assert_eq!(fate(&FILES[2].0.into(), &open, Packet::ssh(22)), Fate::Open);
    }

    #[test]
    fn the_rules_of_oci_images_let_their_services_through() {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [463:49013]\n\
            :InstanceServices - [0:0]\n-A OUTPUT -d 169.254.0.0/16 -j InstanceServices\n\
            -A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -j ACCEPT\n\
            -A InstanceServices -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j ACCEPT\n\
            -A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n";
        let chains = filter(text);
        let to = |address: [u8; 4], port| {
            let packet = Packet {
                destination: Some(Ipv4Addr::from(address)),
                port,
            };
            fate(&FILES[2].0.into(), &chains, packet)
        };
        assert_eq!(to([169, 254, 169, 254], 80), Fate::Open);
        assert_eq!(to([169, 254, 0, 2], 3260), Fate::Open);
        assert!(matches!(
            to([169, 254, 9, 9], 80),
            Fate::Closed(Place { line: 8, .. })
        ));
    }
}
