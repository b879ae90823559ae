//! Where sshd listens: `ListenAddress` and `Port`.
//!
//! sshd does not start where none of its addresses is there. Without any `ListenAddress` it listens
//! on all of them, so a line with an address goes; where another line gives a port or leaves one
//! kind of addresses out, going would change more than the address, and any address takes its
//! place.

use std::net::IpAddr;

use crate::access::sshd::{Directive, directives};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::root::GuestPath;

/// What sshd listens on unless it is told.
const PORT: &str = "22";

/// What a `ListenAddress` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Every address.
    Any,
    /// The machine itself.
    Loopback,
    /// One address, or a name for some.
    Own,
}

/// A `ListenAddress` line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listen {
    path: GuestPath,
    line: usize,
    /// The address and the port as they are written.
    text: String,
    scope: Scope,
    v6: bool,
    port: Option<String>,
}

impl Listen {
    fn read(directive: &Directive) -> Option<Self> {
        let text = directive.words.get(1)?;
        let (host, port) = split(text);
        let address = host.parse::<IpAddr>().ok();
        let scope = match address {
            Some(address) if address.is_unspecified() => Scope::Any,
            Some(address) if address.is_loopback() => Scope::Loopback,
            None if host == "localhost" => Scope::Loopback,
            None if host == "*" => Scope::Any,
            _ => Scope::Own,
        };
        Some(Self {
            path: directive.path.clone(),
            line: directive.line,
            text: text.clone(),
            scope,
            v6: address.is_some_and(|address| address.is_ipv6()),
            port: port.map(str::to_owned),
        })
    }

    /// The same port on any address.
    fn anywhere(&self) -> String {
        match (&self.port, self.v6) {
            (None, false) => "0.0.0.0".to_owned(),
            (None, true) => "::".to_owned(),
            (Some(port), false) => format!("0.0.0.0:{port}"),
            (Some(port), true) => format!("[::]:{port}"),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self.scope == Scope::Any && self.v6 == other.v6 && self.port == other.port
    }
}

/// `HOST`, `HOST:PORT`, `[V6]:PORT`, or a bare IPv6 address.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let directives = directives(guest)?;
    let listens = listens(&directives);
    let mut defects: Vec<Defect> = listens
        .iter()
        .filter(|listen| listen.scope == Scope::Own)
        .map(|listen| {
            Defect::in_file(
                &listen.path,
                "sshd listens on an address that the instance will not have",
            )
            .at_line(listen.line)
            .evidence(listen.text.clone())
            .hint("remove the line")
        })
        .collect();
    if let Some(first) = listens.first()
        && listens.iter().all(|l| l.scope == Scope::Loopback)
    {
        defects.push(
            Defect::in_file(&first.path, "sshd listens on the loopback interface alone")
                .at_line(first.line)
                .evidence(first.text.clone())
                .hint("remove the line if somebody shall log in over the network"),
        );
    }
    for port in directives.iter().filter(|directive| directive.is("Port")) {
        let Some(number) = port.words.get(1).filter(|number| *number != PORT) else {
            continue;
        };
        defects.push(
            Defect::in_file(&port.path, "sshd listens on a port of its own")
                .at_line(port.line)
                .evidence(number.clone())
                .hint("open the port in the security list or network security group of the subnet")
                .severity(Severity::Note),
        );
    }
    Ok(defects)
}

pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let listens = listens(&directives(guest)?);
    if !listens.iter().any(|listen| listen.scope == Scope::Own) {
        return Ok(());
    }
    let simple = listens
        .iter()
        .all(|listen| listen.port.is_none() && listen.scope != Scope::Any);
    let mut anywhere: Vec<String> = Vec::new();
    for listen in &listens {
        let covered = |other: &Listen| other.covers(listen);
        let becomes = match listen.scope {
            Scope::Any => continue,
            Scope::Loopback if simple => None,
            Scope::Loopback => {
                let taken = listens.iter().any(|other| {
                    other.scope == Scope::Own && other.v6 == listen.v6 && other.port == listen.port
                });
                if !taken {
                    continue;
                }
                None
            }
            Scope::Own if simple || listens.iter().any(covered) => None,
            Scope::Own => Some(listen.anywhere()).filter(|text| !anywhere.contains(text)),
        };
        anywhere.extend(becomes.clone());
        edit_line(guest, listen, becomes.as_deref())?;
    }
    Ok(())
}

/// Drafts another address, or no line at all. The line is looked for again, since the edits before
/// may have moved it.
fn edit_line(guest: &mut Guest<'_>, listen: &Listen, address: Option<&str>) -> Result<(), Error> {
    let Some(text) = guest.text(&listen.path)? else {
        return Ok(());
    };
    let text = text.as_str();
    let Some(line) = edit::lines(text).find(|line| {
        let mut words = line
            .text
            .split(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '"'))
            .filter(|word| !word.is_empty());
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("ListenAddress"))
            && words.next() == Some(&listen.text)
    }) else {
        return Ok(());
    };
    let edit = match (address, line.text.find(&listen.text)) {
        (Some(address), Some(at)) => {
            let start = line.range.start + at;
            Edit::replace(start..start + listen.text.len(), address)
        }
        _ => Edit::remove(line.range),
    };
    let edited = edit::apply(text, vec![edit]);
    guest.write_text(&listen.path, &edited)
}

fn listens(directives: &[Directive]) -> Vec<Listen> {
    directives
        .iter()
        .filter(|directive| directive.is("ListenAddress"))
        .filter_map(Listen::read)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::AccessSshd;
    use crate::finding::Severity;
    use crate::rules::fixture::Fixture;

    const CONFIG: &str = "/etc/ssh/sshd_config";

    #[test]
    fn old_addresses_go_and_the_rest_stays() {
        for (before, after) in [
            (
                "# sshd\nListenAddress 192.0.2.10\nlistenaddress=\"2001:db8::10\"\r\nX11Forwarding no",
                "# sshd\nX11Forwarding no",
            ),
            ("ListenAddress 192.0.2.10\nListenAddress 127.0.0.1\n", ""),
            (
                "Port 22\nListenAddress 192.0.2.10:2222\nListenAddress 192.0.2.11:2222 # second\n\
                 ListenAddress 127.0.0.1\n",
                "Port 22\nListenAddress 0.0.0.0:2222\nListenAddress 127.0.0.1\n",
            ),
            (
                "ListenAddress ::\nListenAddress web01.example.com\n",
                "ListenAddress ::\nListenAddress 0.0.0.0\n",
            ),
            (
                "ListenAddress 0.0.0.0\nListenAddress 192.0.2.10\n",
                "ListenAddress 0.0.0.0\n",
            ),
            (
                "ListenAddress [2001:db8::10]:22\n",
                "ListenAddress [::]:22\n",
            ),
            ("#ListenAddress 192.0.2.10\n", "#ListenAddress 192.0.2.10\n"),
            (
                "ListenAddress 0.0.0.0\nListenAddress ::\n",
                "ListenAddress 0.0.0.0\nListenAddress ::\n",
            ),
        ] {
            let fixture = Fixture::new(&[(CONFIG, before)]);
            fixture.fix(&[&AccessSshd]);
            assert_eq!(fixture.text(CONFIG).as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn an_included_file_is_edited_itself() {
        let part = "/etc/ssh/sshd_config.d/10-site.conf";
        let fixture = Fixture::new(&[
            (CONFIG, "Include /etc/ssh/sshd_config.d/*.conf\n"),
            (part, "ListenAddress 192.0.2.10\nPermitRootLogin no\n"),
        ]);
        assert_eq!(fixture.open(&AccessSshd), [format!("{part}:1")]);
        fixture.fix(&[&AccessSshd]);
        assert_eq!(fixture.text(part).as_deref(), Some("PermitRootLogin no\n"));
    }

    #[test]
    fn loopback_alone_and_another_port_are_told() {
        let fixture = Fixture::new(&[(CONFIG, "Port 2222\nListenAddress 127.0.0.1\n")]);
        assert_eq!(
            fixture.severities(&AccessSshd),
            [
                (CONFIG.to_owned(), Severity::Warning),
                (CONFIG.to_owned(), Severity::Note)
            ]
        );
        fixture.fix_once(&[&AccessSshd]);
        assert_eq!(
            fixture.text(CONFIG).as_deref(),
            Some("Port 2222\nListenAddress 127.0.0.1\n")
        );
    }
}
