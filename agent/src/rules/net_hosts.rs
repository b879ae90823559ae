//! `net/hosts`: the guest's own name at its old address, in hosts(5).
//!
//! A line that gives one of the guest's own names to an address other than loopback goes. Lines for
//! `localhost`, and Debian's `127.0.1.1`, stay.

use std::net::IpAddr;

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit::{self, Edit, Line};
use crate::parse::shell_vars;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetHosts;

const HOSTS: &str = "/etc/hosts";
/// Files whose first line is the name: today's, and SUSE's old one.
const NAMES: [&str; 2] = ["/etc/hostname", "/etc/HOSTNAME"];
/// Red Hat's old place, as `HOSTNAME=`.
const SYSCONFIG: &str = "/etc/sysconfig/network";

/// What a line does with the old address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It gives it a name of the guest.
    Own,
    /// It gives it some other name.
    Neighbour,
}

impl Rule for NetHosts {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/hosts",
            severity: Severity::Warning,
            title: "The guest's own name at its old address in /etc/hosts",
            why: "Whatever looks up its own name would bind to, or connect to, an address that \
                  the instance does not have.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let Some(text) = guest.text(&HOSTS.into())? else {
            return Ok(Vec::new());
        };
        let names = own_names(guest)?;
        let path = HOSTS.into();
        let defects = judged(text.as_str(), &names).map(|(line, verdict)| {
            let defect = Defect::in_file(&path, "")
                .at_line(line.number)
                .evidence(line.text.trim());
            match verdict {
                Verdict::Own => Defect {
                    message: "the guest's own name is given to its old address".to_owned(),
                    ..defect.hint("remove the line")
                },
                Verdict::Neighbour => Defect {
                    message: "another name is given to the guest's old address".to_owned(),
                    ..defect
                        .hint("give the name to whichever address shall have it on OCI")
                        .severity(Severity::Note)
                },
            }
        });
        Ok(defects.collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let Some(text) = guest.text(&HOSTS.into())? else {
            return Ok(());
        };
        let names = own_names(guest)?;
        let edits: Vec<Edit> = judged(text.as_str(), &names)
            .filter(|(_, verdict)| *verdict == Verdict::Own)
            .map(|(line, _)| Edit::remove(line.range))
            .collect();
        if edits.is_empty() {
            return Ok(());
        }
        guest.write_text(&HOSTS.into(), &edit::apply(text.as_str(), edits))
    }
}

/// The lines with an old address of the guest.
fn judged<'a>(text: &'a str, names: &[String]) -> impl Iterator<Item = (Line<'a>, Verdict)> {
    let own: Vec<IpAddr> = edit::lines(text)
        .filter_map(|line| entry(line.text))
        .filter(|(_, found)| is_own(found, names))
        .map(|(address, _)| address)
        .collect();
    let names = names.to_vec();
    edit::lines(text).filter_map(move |line| {
        let (address, found) = entry(line.text)?;
        if is_own(&found, &names) {
            Some((line, Verdict::Own))
        } else if own.contains(&address) {
            Some((line, Verdict::Neighbour))
        } else {
            None
        }
    })
}

/// The address of a line and its names; `None` for a comment, and for addresses that every machine
/// has.
fn entry(line: &str) -> Option<(IpAddr, Vec<&str>)> {
    let content = line.split('#').next()?;
    let mut words = content.split_whitespace();
    let address: IpAddr = words.next()?.parse().ok()?;
    let everywhere = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    (!everywhere).then(|| (address, words.collect()))
}

fn is_own(found: &[&str], names: &[String]) -> bool {
    let is_localhost = |name: &&str| name.to_ascii_lowercase().starts_with("localhost");
    !found.iter().any(is_localhost)
        && found
            .iter()
            .any(|name| names.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// The guest's names, as they are on the disk: with its domain and without.
fn own_names(guest: &Guest<'_>) -> Result<Vec<String>, Error> {
    let disk = Guest::new(guest.root(), guest.facts());
    let mut names = Vec::new();
    for path in NAMES {
        let text = disk.text(&path.into())?;
        names.extend(text.and_then(|text| {
            let mut lines = text.as_str().lines().map(str::trim);
            lines
                .find(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
        }));
    }
    if let Some(text) = disk.text(&SYSCONFIG.into())? {
        names.extend(
            shell_vars::assignments(text.as_str())
                .into_iter()
                .filter(|assignment| assignment.name == "HOSTNAME")
                .map(|assignment| assignment.value.as_str().to_owned()),
        );
    }
    let short: Vec<String> = names
        .iter()
        .filter_map(|name| name.split_once('.'))
        .map(|(host, _)| host.to_owned())
        .collect();
    names.extend(short);
    names.retain(|name| !name.is_empty() && !name.starts_with("localhost"));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const TABLE: &str = "127.0.0.1\tlocalhost\n127.0.1.1 web01.example.com web01\n\
        ::1 localhost ip6-localhost web01\n\
        192.0.2.10\tWEB01.example.com web01 # this machine\r\n\
        192.0.2.10 git.example.com\n2001:db8::10 web01\n192.0.2.11 db01\n\
        #192.0.2.10 web01\n192.0.2.12 localhost web01\nnonsense web01\n";
    const AFTER: &str = "127.0.0.1\tlocalhost\n127.0.1.1 web01.example.com web01\n\
        ::1 localhost ip6-localhost web01\n\
        192.0.2.10 git.example.com\n192.0.2.11 db01\n\
        #192.0.2.10 web01\n192.0.2.12 localhost web01\nnonsense web01\n";

    #[test]
    fn own_lines_go_whatever_names_the_guest() {
        for (path, content) in [
            ("/etc/hostname", "# set by us\nweb01\n"),
            ("/etc/HOSTNAME", "web01.example.com\n"),
            (
                "/etc/sysconfig/network",
                "NETWORKING=yes\nHOSTNAME=\"web01\"\n",
            ),
        ] {
            let fixture = Fixture::new(&[(HOSTS, TABLE), (path, content)]);
            assert_eq!(
                fixture.severities(&NetHosts),
                [Severity::Warning, Severity::Note, Severity::Warning]
                    .map(|severity| (HOSTS.to_owned(), severity)),
                "{path}"
            );
            fixture.fix(&[&NetHosts]);
            assert_eq!(fixture.text(HOSTS).as_deref(), Some(AFTER), "{path}");
        }
    }

    #[test]
    fn without_a_name_of_its_own_nothing_goes() {
        for hostname in ["", "localhost.localdomain\n"] {
            let fixture = Fixture::new(&[
                (
                    HOSTS,
                    "192.0.2.10 localhost.localdomain localhost\n192.0.2.11 web01\n",
                ),
                ("/etc/hostname", hostname),
            ]);
            assert!(fixture.check(&NetHosts).is_empty());
        }
    }
}
