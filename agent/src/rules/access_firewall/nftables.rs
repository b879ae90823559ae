//! nftables rules that are loaded at boot: `/etc/nftables.conf`, `/etc/sysconfig/nftables.conf` and
//! what they include.

use std::collections::BTreeSet;

use super::Firewall;
use super::packet::{Fate, Match, Packet, Place, holds_address, holds_port};
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::glob;
use crate::parse::nftables::{Statement, statements};
use crate::root::GuestPath;
use crate::units;

/// Where the rules begin: Debian's file, and Red Hat's.
const FILES: [&str; 2] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];
/// How deep includes may go.
const MAX_INCLUDES: usize = 16;
/// How deep chains may jump.
const MAX_DEPTH: usize = 16;
/// How many chains may hang on one hook.
const MAX_BASES: usize = 64;
/// How many statements are looked at for each.
const MAX_STEPS: usize = 100_000;

/// A statement and its file.
struct Located {
    path: GuestPath,
    statement: Statement,
}

impl Located {
    fn place(&self) -> Place {
        Place {
            path: self.path.clone(),
            line: self.statement.line,
            text: self.statement.words.join(" "),
        }
    }
}

/// What the files that are loaded say; each with what it includes.
pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    let mut firewalls = Vec::new();
    if units::readable(guest)? && !units::is_enabled(guest, "nftables.service", "nftables")? {
        return Ok(firewalls);
    }
    for path in FILES.map(GuestPath::from) {
        let mut found = Vec::new();
        collect(guest, &path, 0, &mut found)?;
        if found.is_empty() {
            continue;
        }
        firewalls.push(Firewall {
            bound: found
                .iter()
                .filter(|located| is_bound(&located.statement))
                .map(Located::place)
                .collect(),
            fate: Box::new(move |packet| fate(&found, packet)),
        });
    }
    Ok(firewalls)
}

fn collect(
    guest: &Guest<'_>,
    path: &GuestPath,
    depth: usize,
    found: &mut Vec<Located>,
) -> Result<(), Error> {
    let Some(text) = guest.text(path)? else {
        return Ok(());
    };
    for statement in statements(text.as_str()) {
        let pattern = match statement.words.as_slice() {
            [first, pattern, ..] if first == "include" && depth < MAX_INCLUDES => {
                GuestPath::from("/etc").join(pattern)
            }
            _ => {
                found.push(Located {
                    path: path.clone(),
                    statement,
                });
                continue;
            }
        };
        let Some(dir) = pattern.parent() else {
            continue;
        };
        for file in guest.list(&dir)? {
            let name = file.name().to_string_lossy();
            if glob::matches(&pattern.name().to_string_lossy(), &name) {
                collect(guest, &file, depth + 1, found)?;
            }
        }
    }
    Ok(())
}

/// Whether a rule names a NIC.
fn is_bound(statement: &Statement) -> bool {
    let mut words = statement
        .words
        .iter()
        .map(String::as_str)
        .skip_while(|word| !matches!(*word, "iif" | "iifname" | "oif" | "oifname"))
        .skip(1);
    words
        .find(|word| !matches!(*word, "{" | "==" | "!="))
        .is_some_and(super::is_nic)
}

/// What becomes of a packet that has to pass every base chain of its hook.
fn fate(statements: &[Located], packet: Packet) -> Fate {
    let hook = if packet.destination.is_some() {
        "output"
    } else {
        "input"
    };
    let mut fate = Fate::Open;
    let mut seen = BTreeSet::new();
    for located in statements {
        let base = &located.statement;
        let is_base = base.words.windows(2).any(|pair| pair == ["hook", hook])
            && base.words.windows(2).any(|pair| pair == ["type", "filter"])
            && (base.table.starts_with("inet ") || base.table.starts_with("ip "));
        if is_base && seen.len() < MAX_BASES && seen.insert((&base.table, &base.chain)) {
            fate = fate.and(base_chain(statements, base, packet));
        }
    }
    fate
}

fn base_chain(statements: &[Located], base: &Statement, packet: Packet) -> Fate {
    let mut walk = Walk {
        statements,
        table: &base.table,
        packet,
        partly: None,
        steps: 0,
    };
    let closed = match walk.chain(&base.chain, 0) {
        Way::Accepted => return Fate::Open,
        Way::Dropped(place) => place,
        Way::Undecided => {
            let policy = statements.iter().rfind(|located| {
                let statement = &located.statement;
                statement.table == base.table
                    && statement.chain == base.chain
                    && statement.words.first().is_some_and(|word| word == "policy")
            });
            match policy {
                Some(policy)
                    if policy
                        .statement
                        .words
                        .get(1)
                        .is_some_and(|word| word == "drop") =>
                {
                    policy.place()
                }
                _ => return Fate::Open,
            }
        }
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

/// A packet on its way through the chains of a table.
struct Walk<'a> {
    statements: &'a [Located],
    table: &'a str,
    packet: Packet,
    /// The first rule that lets some packets through.
    partly: Option<Place>,
    steps: usize,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &str, depth: usize) -> Way {
        let statements = self.statements;
        for located in statements {
            let statement = &located.statement;
            self.steps += 1;
            // Nobody can follow that: taken for open.
            if self.steps > MAX_STEPS || depth > MAX_DEPTH {
                return Way::Accepted;
            }
            if statement.table != self.table || statement.chain != chain {
                continue;
            }
            let (matched, verdict) = judge(&statement.words, self.packet);
            if matched == Match::No {
                continue;
            }
            let way = match verdict {
                Some(Verdict::Accept) => Way::Accepted,
                Some(Verdict::Drop) => Way::Dropped(located.place()),
                Some(Verdict::Return) if matched == Match::Yes => return Way::Undecided,
                Some(Verdict::Jump(next)) => self.chain(next, depth + 1),
                _ => continue,
            };
            match (way, matched) {
                (Way::Undecided, _) | (Way::Dropped(_), Match::Maybe) => {}
                (Way::Accepted, Match::Maybe) => {
                    self.partly.get_or_insert_with(|| located.place());
                }
                (way, _) => return way,
            }
        }
        Way::Undecided
    }
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict<'a> {
    Accept,
    Drop,
    Return,
    Jump(&'a str),
}

/// Whether a rule applies, and what it does then.
fn judge(words: &[String], packet: Packet) -> (Match, Option<Verdict<'_>>) {
    let mut words = Words { words, at: 0 };
    let mut matched = Match::Yes;
    while let Some(word) = words.next() {
        let verdict = match word {
            "accept" => Some(Verdict::Accept),
            "drop" | "reject" => Some(Verdict::Drop),
            "return" => Some(Verdict::Return),
            "jump" | "goto" => words.next().map(Verdict::Jump),
            // Not rules: what a chain is, and what a set holds.
            "type" | "policy" | "elements" | "include" | "define" => return (Match::No, None),
            _ => None,
        };
        if verdict.is_some() {
            return (matched, verdict);
        }
        matched = matched.min(condition(word, &mut words, packet));
    }
    (matched, None)
}

fn condition(word: &str, words: &mut Words<'_>, packet: Packet) -> Match {
    match word {
        "counter" => {
            while words.next_if(&["packets", "bytes", "name"]).is_some() {
                words.next();
            }
            Match::Yes
        }
        "log" => {
            while words
                .next_if(&[
                    "prefix",
                    "level",
                    "group",
                    "flags",
                    "snaplen",
                    "queue-threshold",
                ])
                .is_some()
            {
                words.next();
            }
            Match::Yes
        }
        "comment" => {
            words.next();
            Match::Yes
        }
        "iif" | "iifname" | "oif" | "oifname" => words.values(|name| {
            if name == "lo" {
                Match::No
            } else {
                Match::Maybe
            }
        }),
        "meta" => match words.next() {
            Some("l4proto") => words.values(|name| Match::when(matches!(name, "tcp" | "6"))),
            Some("nfproto") => words.values(|name| Match::when(name == "ipv4")),
            Some("iif" | "iifname" | "oif" | "oifname") => words.values(|name| {
                if name == "lo" {
                    Match::No
                } else {
                    Match::Maybe
                }
            }),
            Some("skuid") => words.values(|name| Match::when(matches!(name, "0" | "root"))),
            _ => words.values(|_| Match::Maybe),
        },
        "ct" => match words.next() {
            Some("state") => words.values(|state| Match::when(state == "new")),
            _ => words.values(|_| Match::Maybe),
        },
        "tcp" | "th" => match words.next() {
            Some("dport") => words.values(|ports| match ports {
                set if set.starts_with(['@', '$']) => Match::Maybe,
                ports => Match::when(holds_port(ports, packet.port)),
            }),
            _ => words.values(|_| Match::Maybe),
        },
        "ip" => match words.next() {
            Some("protocol") => words.values(|name| Match::when(matches!(name, "tcp" | "6"))),
            Some("daddr") => words.values(|network| match packet.destination {
                Some(address) => holds_address(network, address).map_or(Match::Maybe, Match::when),
                None => Match::Maybe,
            }),
            _ => words.values(|_| Match::Maybe),
        },
        "udp" | "icmp" | "icmpv6" | "ip6" | "esp" | "ah" | "sctp" | "igmp" | "dccp" => Match::No,
        "limit" => {
            words.next_if(&["rate"]);
            let over = words.next_if(&["over"]).is_some();
            words.next();
            if words.next_if(&["burst"]).is_some() {
                words.next();
                words.next_if(&["packets", "bytes"]);
            }
            if over { Match::Maybe } else { Match::Yes }
        }
        _ => Match::Maybe,
    }
}

/// The words of a rule, read from left to right.
struct Words<'a> {
    words: &'a [String],
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn next_if(&mut self, wanted: &[&str]) -> Option<&'a str> {
        let word = self.words.get(self.at)?;
        wanted.contains(&word.as_str()).then(|| self.at += 1)?;
        Some(word)
    }

    /// Whether one of the values applies: one, several between commas, a set in braces, or none of
    /// them after `!=`. A verdict map decides by itself and is not followed.
    fn values(&mut self, applies: impl Fn(&str) -> Match) -> Match {
        let negated = self.next_if(&["!="]).is_some();
        self.next_if(&["=="]);
        let is_map = self.next_if(&["vmap", "map"]).is_some();
        let mut matched = Match::No;
        if self.next_if(&["{"]).is_some() {
            while let Some(value) = self.next() {
                match value {
                    "}" => break,
                    "," => {}
                    value => matched = matched.max(applies(value)),
                }
            }
        } else {
            while let Some(value) = self.next() {
                matched = matched.max(applies(value));
                if self.next_if(&[","]).is_none() {
                    break;
                }
            }
        }
        if is_map {
            Match::Maybe
        } else {
            matched.negated(negated)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn input(rules: &str) -> Fate {
        let text = format!(
            "table inet filter {{\nchain input {{\ntype filter hook input priority 0; policy drop;\n\
             {rules}\n}}\nchain web {{\ntcp dport ssh accept\n}}\n}}\n"
        );
        fate(&located(&text), Packet::ssh(22))
    }

    fn located(text: &str) -> Vec<Located> {
        let locate = |statement| Located {
            path: FILES[0].into(),
            statement,
        };
        statements(text).into_iter().map(locate).collect()
    }

    #[test]
    fn ssh_gets_through_or_not() {
        for (rules, expected) in [
            ("", "closed 3"),
            ("tcp dport 22 accept", "open"),
            (
                "tcp dport { http, 20-25 } ct state new counter accept",
                "open",
            ),
            ("tcp dport != 22 accept", "closed 3"),
            (
                "ct state established,related accept\niif lo accept\nicmp type echo-request accept",
                "closed 3",
            ),
            (
                "ct state vmap { established : accept, invalid : drop }\ntcp dport ssh accept",
                "open",
            ),
            ("ip saddr 10.0.0.0/8 tcp dport 22 accept", "partly 4"),
            ("iifname \"eth0\" accept", "partly 4"),
            ("iifname != \"lo\" tcp dport 22 accept", "open"),
            ("tcp dport @open accept", "partly 4"),
            ("jump web", "open"),
            (
                "meta l4proto tcp ct state new limit rate 10/minute burst 5 packets tcp dport 22 accept",
                "open",
            ),
            (
                "counter packets 0 bytes 0 log prefix \"in: \" reject with icmp type port-unreachable\ntcp dport 22 accept",
                "closed 4",
            ),
            (
                "ip6 saddr fe80::/10 drop\nudp dport 22 drop\ntcp dport 22 accept",
                "open",
            ),
        ] {
            let shown = match input(rules) {
                Fate::Open => "open".to_owned(),
                Fate::Partly(place) => format!("partly {}", place.line),
                Fate::Closed(place) => format!("closed {}", place.line),
            };
            assert_eq!(shown, expected, "{rules}");
        }
        assert_eq!(
            fate(&located("flush ruleset\n"), Packet::ssh(22)),
            Fate::Open
        );
    }

    #[test]
    fn a_way_to_the_metadata_may_be_closed() {
        let text = "table ip filter {\nchain output {\ntype filter hook output priority 0;\n\
                    ip daddr 169.254.0.0/16 meta skuid != 0 reject\nip daddr 169.254.169.254 drop\n}\n}\n";
        let to = |address: [u8; 4]| Packet {
            destination: Some(Ipv4Addr::from(address)),
            port: 80,
        };
        assert!(matches!(
            fate(&located(text), to([169, 254, 169, 254])),
            Fate::Closed(Place { line: 5, .. })
        ));
        assert_eq!(fate(&located(text), to([169, 254, 0, 2])), Fate::Open);
    }
}
