//! ufw(8). Oracle advises against it on OCI: its rules come before those that let an instance reach
//! its boot volume.

use super::Firewall;
use super::packet::{Fate, Packet, Place, holds_port};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::parse::shell_vars;
use crate::root::GuestPath;
use crate::units;

const CONFIG: &str = "/etc/ufw/ufw.conf";
const DEFAULTS: &str = "/etc/default/ufw";
/// Where the administrator's rules are kept, today and in old versions.
const RULES: [&str; 2] = ["/etc/ufw/user.rules", "/lib/ufw/user.rules"];
/// What a rule begins with.
const TUPLE: &str = "### tuple ###";

/// That it is in use at all.
pub(super) fn advice(guest: &Guest<'_>) -> Result<Option<Defect>, Error> {
    let Some(line) = enabled(guest)? else {
        return Ok(None);
    };
    Ok(Some(
        Defect::in_file(
            &CONFIG.into(),
            "ufw is in use, which Oracle advises against",
        )
        .at_line(line)
        .evidence("ENABLED=yes")
        .hint("disable ufw, and filter in the security list of the subnet or with iptables")
        .severity(Severity::Note),
    ))
}

pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    if enabled(guest)?.is_none() {
        return Ok(Vec::new());
    }
    let mut tuples = Vec::new();
    for path in RULES.map(GuestPath::from) {
        if let Some(text) = guest.text(&path)? {
            tuples = read(&path, text.as_str());
            break;
        }
    }
    let closed = closed_by_default(guest)?;
    Ok(vec![Firewall {
        bound: tuples
            .iter()
            .filter(|tuple| tuple.interface.as_deref().is_some_and(super::is_nic))
            .map(|tuple| tuple.place.clone())
            .collect(),
        fate: Box::new(move |packet| fate(&tuples, closed.as_ref(), packet)),
    }])
}

/// The line that turns it on, if something starts it.
fn enabled(guest: &Guest<'_>) -> Result<Option<usize>, Error> {
    if units::readable(guest)? && !units::is_enabled(guest, "ufw.service", "ufw")? {
        return Ok(None);
    }
    let text = guest.text(&CONFIG.into())?;
    Ok(text.and_then(|text| {
        shell_vars::assignments(text.as_str())
            .into_iter()
            .rfind(|assignment| assignment.name == "ENABLED")
            .filter(|assignment| assignment.value.as_str().eq_ignore_ascii_case("yes"))
            .map(|assignment| assignment.line)
    }))
}

/// Where the default policy is that lets nothing in.
fn closed_by_default(guest: &Guest<'_>) -> Result<Option<Place>, Error> {
    let text = guest.text(&DEFAULTS.into())?;
    let policy = text.and_then(|text| {
        shell_vars::assignments(text.as_str())
            .into_iter()
            .rfind(|assignment| assignment.name == "DEFAULT_INPUT_POLICY")
    });
    let path = DEFAULTS.into();
    Ok(match policy {
        Some(policy) if policy.value.as_str() == "ACCEPT" => None,
        Some(policy) => Some(Place {
            path,
            line: policy.line,
            text: format!("DEFAULT_INPUT_POLICY={}", policy.value.as_str()),
        }),
        None => Some(Place {
            path,
            line: 0,
            text: "DEFAULT_INPUT_POLICY=DROP".to_owned(),
        }),
    })
}

/// A rule as ufw notes it down: action, protocol, port and address of the destination and the
/// source, direction.
struct Tuple {
    place: Place,
    allows: bool,
    tcp: bool,
    port: String,
    from_anywhere: bool,
    interface: Option<String>,
}

fn read(path: &GuestPath, text: &str) -> Vec<Tuple> {
    edit::lines(text)
        .filter_map(|line| {
            let words: Vec<&str> = line
                .text
                .trim()
                .strip_prefix(TUPLE)?
                .split_whitespace()
                .filter(|word| !word.starts_with("comment="))
                .collect();
            let [action, protocol, port, _, _, source, ..] = words.as_slice() else {
                return None;
            };
            let (direction, interface) = match words.last()?.split_once('_') {
                Some((direction, interface)) => (direction, Some(interface.to_owned())),
                None => (*words.last()?, None),
            };
            if direction == "out" || action.starts_with("route:") {
                return None;
            }
            Some(Tuple {
                place: Place {
                    path: path.clone(),
                    line: line.number,
                    text: line.text.trim().to_owned(),
                },
                allows: action.starts_with("allow") || action.starts_with("limit"),
                tcp: matches!(*protocol, "any" | "tcp"),
                port: (*port).to_owned(),
                from_anywhere: *source == "0.0.0.0/0",
                interface,
            })
        })
        .collect()
}

fn fate(tuples: &[Tuple], closed: Option<&Place>, packet: Packet) -> Fate {
    if packet.destination.is_some() {
        return Fate::Open;
    }
    let mut partly = None;
    for tuple in tuples {
        if !tuple.tcp || !(tuple.port == "any" || holds_port(&tuple.port, packet.port)) {
            continue;
        }
        let always = tuple.from_anywhere && tuple.interface.is_none();
        match (tuple.allows, always) {
            (true, true) => return Fate::Open,
            (true, false) => partly = partly.or(Some(&tuple.place)),
            (false, true) => {
                return partly.map_or_else(
                    || Fate::Closed(tuple.place.clone()),
                    |place| Fate::Partly(place.clone()),
                );
            }
            (false, false) => {}
        }
    }
    match (closed, partly) {
        (None, _) => Fate::Open,
        (Some(_), Some(place)) => Fate::Partly(place.clone()),
        (Some(place), None) => Fate::Closed(place.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessFirewall;
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn ssh_gets_through_or_not() {
        let tuple = |words: &str| format!("{TUPLE} {words}\n-A ufw-user-input -j ACCEPT\n");
        for (rules, expected) in [
            (String::new(), vec!["/etc/default/ufw:1"]),
            (tuple("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"), vec![]),
            (
                tuple("limit any 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in"),
                vec![],
            ),
            (
                tuple("allow tcp 20:25,80 0.0.0.0/0 any 0.0.0.0/0 in comment=6162"),
                vec![],
            ),
            (
                tuple("allow udp 22 0.0.0.0/0 any 0.0.0.0/0 in"),
                vec!["/etc/default/ufw:1"],
            ),
            (
                tuple("deny any any 0.0.0.0/0 any 0.0.0.0/0 in")
                    + &tuple("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"),
                vec!["/etc/ufw/user.rules:1"],
            ),
            // Notes: from a network only, over a NIC only.
            (tuple("allow tcp 22 0.0.0.0/0 any 10.0.0.0/8 in"), vec![]),
            (
                tuple("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_eth0"),
                vec![],
            ),
        ] {
            let fixture = Fixture::new(&[
                (CONFIG, "# on\nENABLED=yes\n"),
                (DEFAULTS, "DEFAULT_INPUT_POLICY=\"DROP\"\n"),
                (RULES[0], &rules),
            ]);
            assert_eq!(fixture.open(&AccessFirewall), expected, "{rules}");
            assert!(!fixture.check(&AccessFirewall).is_empty());
        }
    }

    #[test]
    fn it_counts_where_it_is_on() {
        let fixture = Fixture::new(&[(CONFIG, "ENABLED=no\n")]);
        assert_eq!(fixture.check(&AccessFirewall), []);
    }
}
