//! Literal MAC addresses in networkd's files.
//!
//! Those of other machines (a static neighbour, a lease that a DHCP server here gives) are worth a
//! note, and so are comments and files that nothing reads.

use std::collections::BTreeSet;

use super::super::note;
use super::file::{Definition, ETC, Source};
use super::{Config, scrub, setting};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::unit_file::Entry;
use crate::root::GuestPath;

/// Where files are that are looked at for what nothing reads.
const DIRS: [&str; 2] = [ETC, "/usr/local/lib/systemd/network"];
/// What generators write at each boot.
const VOLATILE: &str = "/run/systemd/network";

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for source in config.definitions().flat_map(Definition::sources) {
        let mut reported = BTreeSet::new();
        for entry in own_macs(source) {
            reported.extend(entry.lines.clone());
            defects.push(
                Defect::in_file(&source.path, "a setting binds the network to the old MAC")
                    .at_line(entry.lines.start + 1)
                    .evidence(Source::shown(entry))
                    .hint("remove it; the NIC brings its own MAC"),
            );
        }
        for (number, line) in source.text.lines().enumerate() {
            let place = if line.trim_start().starts_with(['#', ';']) {
                "a comment"
            } else {
                "a setting about another machine"
            };
            if !reported.contains(&number) {
                defects.extend(note(&source.path, number, line, place));
            }
        }
    }
    if !config.networks.is_empty() || !config.netdevs.is_empty() {
        note_unread(guest, &config, &mut defects)?;
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
    let bound = |definition: &Definition| {
        definition
            .sources()
            .any(|source| own_macs(source).next().is_some())
    };
    let narrowed = config
        .networks
        .iter()
        .filter(|network| matches!(network.reach, super::Reach::Pinned { .. }) && !network.goes());
    if scrub::gone(&config).any(bound) || narrowed.map(|network| &network.definition).any(bound) {
        scrub::run(guest)?;
    }
    for source in Config::read(guest)?
        .definitions()
        .flat_map(Definition::sources)
    {
        let gone: Vec<_> = own_macs(source).map(|entry| entry.lines.clone()).collect();
        if !gone.is_empty() {
            source.rewrite(guest, &source.without(&gone))?;
        }
    }
    Ok(())
}

fn own_macs(source: &Source) -> impl Iterator<Item = &Entry> {
    source.entries().filter(|entry| setting::is_own_mac(entry))
}

/// Notes the MACs in files that networkd does not read, or that are made anew at each boot.
fn note_unread(guest: &Guest<'_>, config: &Config, defects: &mut Vec<Defect>) -> Result<(), Error> {
    let read: BTreeSet<&GuestPath> = config
        .definitions()
        .flat_map(Definition::sources)
        .map(|source| &source.path)
        .collect();
    let mut files: Vec<(GuestPath, &str)> = Vec::new();
    for dir in DIRS {
        let found = guest.walk(&dir.into())?.into_iter().filter(|path| {
            let parent = path.parent();
            let of_udev = |path: &GuestPath| path.has_suffix(".link") || path.has_suffix(".link.d");
            !of_udev(path) && !parent.as_ref().is_some_and(of_udev) && !read.contains(path)
        });
        files.extend(found.map(|path| (path, "a file that is not read")));
    }
    let volatile = guest.walk(&VOLATILE.into())?.into_iter();
    files.extend(volatile.map(|path| (path, "a file that is made anew at each boot")));
    for (path, place) in files {
        if let Some(text) = guest.text(&path)? {
            let lines = text.as_str().lines().enumerate();
            defects.extend(lines.filter_map(|(number, line)| note(&path, number, line, place)));
        }
    }
    Ok(())
}
