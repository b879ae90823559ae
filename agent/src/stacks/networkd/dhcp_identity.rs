//! Identities that networkd's DHCP client is told, and addresses that it asks for.

use std::ops::Range;

use super::file::{Definition, Source};
use super::{Config, setting};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::lines::LineEdits;
use crate::parse::unit_file::{self, Entry, Section};
use crate::root::GuestPath;

/// networkd's own settings.
const MAIN: &str = "/etc/systemd/networkd.conf";
/// Where its drop-ins are that the administrator made.
const DROP_INS: [&str; 2] = [
    "/etc/systemd/networkd.conf.d",
    "/usr/local/lib/systemd/networkd.conf.d",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for source in config.definitions().flat_map(Definition::sources) {
        report(&source.path, &source.sections, &mut defects);
    }
    for path in own_files(guest)? {
        if let Some(text) = guest.text(&path)? {
            report(&path, &unit_file::sections(text.as_str()), &mut defects);
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    for source in config.definitions().flat_map(Definition::sources) {
        let gone: Vec<Range<usize>> = identities(&source.sections)
            .map(|entry| entry.lines.clone())
            .collect();
        if !gone.is_empty() {
            source.rewrite(guest, &source.without(&gone))?;
        }
    }
    for path in own_files(guest)? {
        if let Some(text) = guest.text(&path)? {
            let mut edits = LineEdits::default();
            for entry in identities(&unit_file::sections(text.as_str())) {
                edits.remove(entry.lines.clone());
            }
            if !edits.is_empty() {
                guest.write_text(&path, &edits.apply(text.as_str()))?;
            }
        }
    }
    Ok(())
}

fn own_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let stacks = &guest.facts().network_stacks;
    if !stacks.contains(&NetworkStack::Networkd) {
        return Ok(Vec::new());
    }
    let mut files = vec![GuestPath::from(MAIN)];
    for dir in DROP_INS {
        let drop_ins = guest.list(&dir.into())?;
        files.extend(drop_ins.into_iter().filter(|path| path.has_suffix(".conf")));
    }
    Ok(files)
}

fn report(path: &GuestPath, sections: &[Section], defects: &mut Vec<Defect>) {
    defects.extend(identities(sections).map(|entry| {
        Defect::in_file(path, "networkd's DHCP client is told an identity")
            .at_line(entry.lines.start + 1)
            .evidence(Source::shown(entry))
            .hint("remove the setting")
    }));
}

fn identities(sections: &[Section]) -> impl Iterator<Item = &Entry> {
    sections.iter().flat_map(|section| {
        let entries = section.entries.iter();
        entries.filter(|entry| setting::is_identity(entry, section))
    })
}
