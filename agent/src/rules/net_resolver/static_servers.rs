//! Static servers beside `/etc/resolv.conf`: the parts that `resolvconf` puts into it, and
//! resolved.conf(5).

use super::address::{Reach, reach};
use super::{defect, servers};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::lines::LineEdits;
use crate::parse::unit_file::{self, Entry};
use crate::root::{FileKind, GuestPath};

/// What resolvconf puts before, after and between what the lease brings.
const PARTS: [&str; 4] = [
    "/etc/resolvconf/resolv.conf.d/head",
    "/etc/resolvconf/resolv.conf.d/base",
    "/etc/resolvconf/resolv.conf.d/tail",
    "/etc/resolvconf/resolv.conf.d/original",
];
const RESOLVED: &str = "/etc/systemd/resolved.conf";
const RESOLVED_DIR: &str = "/etc/systemd/resolved.conf.d";

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for path in parts(guest)? {
        if let Some(text) = guest.text(&path)? {
            defects.extend(
                servers(text.as_str())
                    .map(|(line, server, reach)| defect(&path, line.number, server, reach)),
            );
        }
    }
    for path in resolved(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        for entry in unit_file::parse(text.as_str())
            .iter()
            .filter(|entry| is_servers(entry))
        {
            defects.extend(entry.value.split_whitespace().filter_map(|server| {
                Some(defect(&path, entry.lines.start + 1, server, reach(server)?))
            }));
        }
    }
    Ok(defects)
}

pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    for path in parts(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let edits: Vec<Edit> = servers(text.as_str())
            .filter(|(_, _, reach)| *reach == Reach::Private)
            .map(|(line, _, _)| Edit::remove(line.range))
            .collect();
        if !edits.is_empty() {
            guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
        }
    }
    for path in resolved(guest)? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let mut edits = LineEdits::default();
        for entry in unit_file::parse(text.as_str())
            .iter()
            .filter(|entry| is_servers(entry))
        {
            let kept: Vec<&str> = entry
                .value
                .split_whitespace()
                .filter(|server| reach(server) != Some(Reach::Private))
                .collect();
            if kept.len() == entry.value.split_whitespace().count() {
                continue;
            }
            if kept.is_empty() {
                edits.remove(entry.lines.clone());
            } else {
                let line = format!("{}={}\n", entry.key, kept.join(" "));
                edits.replace(entry.lines.clone(), line);
            }
        }
        if !edits.is_empty() {
            guest.write_text(&path, &edits.apply(text.as_str()))?;
        }
    }
    Ok(())
}

/// The parts that are files of their own: `tail` may be a link to `original`.
fn parts(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut parts = Vec::new();
    for path in PARTS.map(GuestPath::from) {
        if guest.kind(&path)? == Some(FileKind::Regular) {
            parts.push(path);
        }
    }
    Ok(parts)
}

fn resolved(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = vec![GuestPath::from(RESOLVED)];
    files.extend(
        guest
            .list(&RESOLVED_DIR.into())?
            .into_iter()
            .filter(|file| file.has_suffix(".conf")),
    );
    Ok(files)
}

fn is_servers(entry: &Entry) -> bool {
    entry.section == "Resolve" && matches!(entry.key.as_str(), "DNS" | "FallbackDNS")
}

#[cfg(test)]
mod tests {
    use super::super::NetResolver;
    use super::*;
    use crate::finding::Severity;
    use crate::rules::fixture::Fixture;

    #[test]
    fn private_servers_go_and_public_ones_are_told() {
        let part = "/etc/systemd/resolved.conf.d/dns.conf";
        let fixture = Fixture::new(&[
            (
                RESOLVED,
                "[Resolve]\n#DNS=10.0.0.1\nDNS=10.0.0.2 fd00::53\nDNSSEC=no\n",
            ),
            (
                part,
                "[Resolve]\nDNS=10.0.0.2 9.9.9.9#dns.quad9.net\nFallbackDNS=\n",
            ),
            (
                PARTS[0],
                "# head\nnameserver 192.168.1.1\nsearch example.com\n",
            ),
            (PARTS[2], "-> original"),
            (PARTS[3], "nameserver 192.168.1.1\n"),
        ]);
        assert_eq!(
            fixture.open(&NetResolver),
            [
                format!("{}:2", PARTS[0]),
                format!("{}:1", PARTS[3]),
                format!("{RESOLVED}:3"),
                format!("{RESOLVED}:3"),
                format!("{part}:2"),
            ]
        );
        fixture.fix(&[&NetResolver]);
        assert_eq!(
            fixture.text(RESOLVED).as_deref(),
            Some("[Resolve]\n#DNS=10.0.0.1\nDNSSEC=no\n")
        );
        assert_eq!(
            fixture.text(part).as_deref(),
            Some("[Resolve]\nDNS=9.9.9.9#dns.quad9.net\nFallbackDNS=\n")
        );
        assert_eq!(
            fixture.text(PARTS[0]).as_deref(),
            Some("# head\nsearch example.com\n")
        );
        assert_eq!(
            fixture.severities(&NetResolver),
            [(part.to_owned(), Severity::Note)]
        );
    }
}
