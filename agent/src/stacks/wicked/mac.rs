//! Literal MAC addresses in what wicked reads.
//!
//! The variable goes, or the element, and nothing else. Up to SLES 10 the name of a profile could
//! hold the MAC (`ifcfg-eth-id-…`): there the profile goes, and so does an XML description that
//! finds its NIC by the MAC.

use super::super::note;
use super::globals;
use super::native::Document;
use super::profile::{PREFIX, Profile, is_ignored};
use super::{Config, DIR, remove, remove_elements};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::mac;
use crate::parse::shell_vars::Assignment;
use crate::parse::xml::Element;
use crate::root::GuestPath;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for profile in &config.profiles {
        check_profile(profile, &mut defects);
    }
    for globals in globals::read_all(guest)? {
        defects.extend(globals.macs().into_iter().map(|found| {
            bound(&globals.path)
                .at_line(found.line)
                .evidence(globals.line(found))
        }));
    }
    for document in &config.documents {
        check_document(document, &mut defects);
    }
    check_ignored(guest, &mut defects)?;
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    remove(guest, &config, &is_named_by_mac, &is_found_by_mac)?;
    let config = Config::read(guest)?;
    for profile in &config.profiles {
        let edits: Vec<Edit> = macs(profile)
            .map(|found| Edit::remove(found.lines.clone()))
            .collect();
        if !edits.is_empty() {
            guest.write_text(&profile.path, &edit::apply(&profile.text, edits))?;
        }
    }
    for globals in globals::read_all(guest)? {
        globals.empty(guest, &globals.macs())?;
    }
    for document in &config.documents {
        let ranges = innermost(document).map(|element| element.range.clone());
        remove_elements(guest, document, ranges.collect())?;
    }
    Ok(())
}

fn bound(path: &GuestPath) -> Defect {
    Defect::in_file(path, "the network is bound to the old MAC")
        .hint("remove it; the NIC brings its own MAC")
}

fn is_named_by_mac(profile: &Profile) -> bool {
    !mac::find(&profile.name).is_empty()
}

/// Whether a description of an interface finds it by a MAC.
fn is_found_by_mac(document: &Document, interface: &Element) -> bool {
    interface.child("name").is_some_and(|name| {
        let text = document.text.get(name.range.clone()).unwrap_or_default();
        !mac::find(text).is_empty()
    })
}

/// The variables of a profile that hold a MAC.
fn macs(profile: &Profile) -> impl Iterator<Item = &Assignment> {
    profile.assignments.iter().filter(|found| {
        let value = found.value.as_str();
        !mac::find(value).is_empty()
            || (found.name.starts_with("LLADDR") && !mac::find_bare(value).is_empty())
    })
}

fn check_profile(profile: &Profile, defects: &mut Vec<Defect>) {
    if is_named_by_mac(profile) {
        defects.push(bound(&profile.path).evidence(format!("{PREFIX}{}", profile.name)));
    }
    defects.extend(macs(profile).map(|found| {
        bound(&profile.path)
            .at_line(found.line)
            .evidence(profile.line(found))
    }));
    for line in edit::lines(&profile.text) {
        let takes_effect = profile
            .assignments
            .iter()
            .any(|found| found.lines.contains(&line.range.start));
        if !takes_effect {
            defects.extend(note(&profile.path, line.number - 1, line.text, "a comment"));
        }
    }
}

/// The elements that themselves name a MAC.
fn innermost(document: &Document) -> impl Iterator<Item = &Element> {
    document
        .elements()
        .filter(|element| !mac::find(&document.says(element)).is_empty())
}

fn check_document(document: &Document, defects: &mut Vec<Defect>) {
    let elements: Vec<&Element> = innermost(document).collect();
    defects.extend(elements.iter().map(|element| {
        bound(&document.path)
            .at_line(document.line(element))
            .evidence(document.says(element))
    }));
    for line in edit::lines(&document.text) {
        let takes_effect = elements.iter().any(|element| {
            element.range.start < line.range.end && line.range.start < element.range.end
        });
        if !takes_effect {
            defects.extend(note(
                &document.path,
                line.number - 1,
                line.text,
                "a comment",
            ));
        }
    }
}

/// Files that nothing reads.
fn check_ignored(guest: &Guest<'_>, defects: &mut Vec<Defect>) -> Result<(), Error> {
    for path in guest.list(&DIR.into())? {
        let name = path.name().to_string_lossy().into_owned();
        let leftover = name.starts_with(PREFIX) && is_ignored(&name);
        if !leftover && name != "ifcfg.template" {
            continue;
        }
        if let Some(text) = guest.text(&path)? {
            let lines = text.as_str().lines().enumerate();
            defects.extend(
                lines.filter_map(|(number, line)| {
                    note(&path, number, line, "a file that is not read")
                }),
            );
        }
    }
    Ok(())
}
