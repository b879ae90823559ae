//! TCP wrappers, `hosts_access(5)`, which sshd asks on Debian and on Red Hat up to 7.

use super::Firewall;
use super::packet::{Fate, Packet, Place};
use crate::error::Error;
use crate::facts::Family;
use crate::guest::Guest;
use crate::parse::edit;
use crate::root::GuestPath;

const ALLOW: &str = "/etc/hosts.allow";
const DENY: &str = "/etc/hosts.deny";

pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    if !are_asked(guest) {
        return Ok(Vec::new());
    }
    let Some(closed) = rules(guest, DENY)?.into_iter().find(|rule| rule.everyone) else {
        return Ok(Vec::new());
    };
    let allowed = rules(guest, ALLOW)?;
    let fate = if allowed.iter().any(|rule| rule.everyone) {
        Fate::Open
    } else {
        allowed
            .into_iter()
            .next()
            .map_or(Fate::Closed(closed.place), |rule| Fate::Partly(rule.place))
    };
    Ok(vec![Firewall {
        fate: Box::new(move |packet: Packet| {
            if packet.destination.is_some() {
                Fate::Open
            } else {
                fate.clone()
            }
        }),
        bound: Vec::new(),
    }])
}

/// Whether sshd asks them: Red Hat's does not from 8 on.
fn are_asked(guest: &Guest<'_>) -> bool {
    let facts = guest.facts();
    let major = facts.version.split('.').next().unwrap_or_default();
    facts.family != Family::RedHat || major.parse::<u32>().is_ok_and(|major| major < 8)
}

/// A rule for sshd.
struct Rule {
    place: Place,
    /// Whether it is for all clients.
    everyone: bool,
}

fn rules(guest: &Guest<'_>, path: &str) -> Result<Vec<Rule>, Error> {
    let path = GuestPath::from(path);
    let text = guest.text(&path)?;
    Ok(text
        .iter()
        .flat_map(|text| edit::lines(text.as_str()))
        .filter_map(|line| {
            let text = line.text.trim();
            let (daemons, clients) = text.split_once(':')?;
            let about_sshd = words(daemons).any(|name| matches!(name, "ALL" | "sshd"));
            if text.starts_with('#') || !about_sshd || daemons.contains(" EXCEPT ") {
                return None;
            }
            let clients = clients.split(':').next().unwrap_or_default();
            Some(Rule {
                place: Place {
                    path: path.clone(),
                    line: line.number,
                    text: text.to_owned(),
                },
                everyone: words(clients).any(|name| name == "ALL") && !clients.contains(" EXCEPT "),
            })
        })
        .collect())
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::AccessFirewall;
    use super::*;
    use crate::finding::Severity;
    use crate::rules::fixture::Fixture;

    #[test]
    fn ssh_gets_through_or_not() {
        let warning = vec![(DENY.to_owned(), Severity::Warning)];
        let note = vec![(ALLOW.to_owned(), Severity::Note)];
        for (deny, allow, expected) in [
            ("ALL: ALL\n", "", warning.clone()),
            ("# all\nsshd : ALL : spawn x\n", "vsftpd: ALL\n", warning),
            ("ALL: ALL\n", "sshd: ALL\n", vec![]),
            ("ALL: ALL\n", "sshd, vsftpd: 10.0.0.\n", note),
            ("vsftpd: ALL\n", "", vec![]),
            ("ALL: PARANOID\n", "", vec![]),
        ] {
            let fixture = Fixture::new(&[(DENY, deny), (ALLOW, allow)]);
            assert_eq!(
                fixture.severities(&AccessFirewall),
                expected,
                "{deny}{allow}"
            );
        }
    }
}
