//! Undoing a `prepare`.
//!
//! Each path is either restored or as it was found at any moment, and what is as before already is
//! left alone, so that a run that was cut off is completed by running it again.

use std::collections::BTreeMap;

use nix::sys::stat::SFlag;

use super::BundleError;
use super::archive::{Content, damaged, read};
use super::attached;
use super::difference::differences;
use super::machine::Machine;
use super::manifest::{Entry, Manifest};
use super::source::Source;
use super::state::State;
use crate::error::Error;
use crate::failpoint;
use crate::interrupt;
use crate::live;
use crate::plan::{Action, Change};
use crate::root::{Attributes, FileKind, GuestPath, GuestRootMut};
use crate::text::printable;

/// How many differences are told.
const SHOWN: usize = 20;

/// How a bundle is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice {
    /// Whether the guest is the running system.
    pub live: bool,
    /// Whether another machine, or what was changed since, is overwritten.
    pub force: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// What was restored.
#[derive(Debug)]
pub struct Outcome {
    /// What the bundle said of itself.
    pub manifest: Manifest,
    /// What was, or would be, changed.
    pub changes: Vec<Change>,
}

/// Puts everything that a bundle holds back, and removes what was not there.
///
/// # Errors
///
/// The bundle is damaged, of another machine or of another time, and then nothing is changed; or
/// the guest could not be written, and then running this again completes it.
pub fn restore(
    source: &Source,
    root: &GuestRootMut,
    machine: &Machine,
    choice: Choice,
) -> Result<Outcome, Error> {
    let mut directories = BTreeMap::new();
    let manifest = read(source.rewound()?, |entry, attributes, content| {
        content.copy_to(None).map_err(|error| {
            interrupt::check().map_or_else(Error::Interrupted, |()| {
                damaged(format!("{}: {error}", entry.path.display()))
            })
        })?;
        if entry.before == State::Directory {
            directories.insert(entry.guest_path(), attributes.clone());
        }
        Ok(())
    })?;
    if !choice.force {
        refuse(&manifest, root, machine, choice.live)?;
    }
    let mut changes = changes(&manifest, root)?;
    if choice.live {
        changes.extend(attached::changes(&manifest.detached));
    }
    if !choice.dry_run {
        read(source.rewound()?, |entry, attributes, content| {
            step()?;
            put(root, entry, attributes, content)
        })?;
        remove(&manifest, root)?;
        settle(&manifest, root, &directories)?;
        if choice.live {
            live::reattach(&manifest.detached, root)?;
        }
    }
    Ok(Outcome { manifest, changes })
}

/// Refuses a bundle of another machine or of another time.
fn refuse(
    manifest: &Manifest,
    root: &GuestRootMut,
    machine: &Machine,
    live: bool,
) -> Result<(), Error> {
    let strange = machine.differences(&manifest.machine, live);
    if !strange.is_empty() {
        return Err(Error::Bundle(BundleError::OtherMachine {
            differences: told(&strange),
        }));
    }
    let changed = differences(manifest, root.reader())?;
    if !changed.is_empty() {
        return Err(Error::Bundle(BundleError::Changed {
            differences: told(&changed),
        }));
    }
    Ok(())
}

/// What is to be done, by path.
fn changes(manifest: &Manifest, root: &GuestRootMut) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for entry in &manifest.paths {
        let path = entry.guest_path();
        if entry.before.is_socket() || entry.before.is_at(root.reader(), &path)? {
            continue;
        }
        changes.push(Change {
            path: path.to_string(),
            action: match (root.reader().kind(&path)?, &entry.before) {
                (None, _) => Action::Create,
                (_, State::Absent) => Action::Remove,
                _ => Action::Edit,
            },
            diff: None,
        });
    }
    Ok(changes)
}

fn step() -> Result<(), Error> {
    failpoint::reach("restore").map_err(Error::io("restoring", "the guest"))?;
    interrupt::check().map_err(Error::Interrupted)
}

/// Puts one path back.
fn put(
    root: &GuestRootMut,
    entry: &Entry,
    attributes: &Attributes,
    content: &mut Content<'_>,
) -> Result<(), Error> {
    let path = entry.guest_path();
    if entry.before != State::Directory && entry.before.is_at(root.reader(), &path)? {
        return root.set_attributes_of(&path, attributes).map(drop);
    }
    match &entry.before {
        State::Directory => root.put_directory(&path, attributes),
        State::File { .. } | State::Sparse { .. } => {
            root.put_file(&path, attributes, |file| content.copy_to(Some(file)))
        }
        State::Link { target } => root.put_link(&path, attributes, target),
        State::Special { format, device } => {
            let format = SFlag::from_bits_truncate(*format);
            root.put_special(&path, attributes, format, *device)
        }
        State::Absent | State::Any => Ok(()),
    }
}

/// Removes what was not there, what is in a directory before the directory. A directory in which
/// there is something else stays.
fn remove(manifest: &Manifest, root: &GuestRootMut) -> Result<(), Error> {
    let absent = |entry: &&Entry| entry.before == State::Absent;
    for entry in manifest.paths.iter().rev().filter(absent) {
        let path = entry.guest_path();
        let kind = root.reader().kind(&path)?;
        let in_use = kind == Some(FileKind::Directory) && !is_empty(root, &path)?;
        if kind.is_some() && !in_use {
            step()?;
            root.remove(&path)?;
        }
    }
    Ok(())
}

fn is_empty(root: &GuestRootMut, dir: &GuestPath) -> Result<bool, Error> {
    root.remove_leftover(dir)?;
    Ok(root.reader().list(dir)?.is_empty())
}

/// Gives the directories what they had; last, since every change in one gives it another time.
fn settle(
    manifest: &Manifest,
    root: &GuestRootMut,
    directories: &BTreeMap<GuestPath, Attributes>,
) -> Result<(), Error> {
    for entry in manifest.paths.iter().rev() {
        let path = entry.guest_path();
        let Some(attributes) = directories.get(&path) else {
            continue;
        };
        step()?;
        root.remove_leftover(&path)?;
        if entry.surrounds() {
            root.set_times(&path, attributes)?;
        } else {
            root.set_attributes_of(&path, attributes)?;
        }
    }
    Ok(())
}

/// The first of a list, one a line, and how many more there are.
fn told(list: &[String]) -> String {
    let mut lines: Vec<String> = list
        .iter()
        .take(SHOWN)
        .map(|line| format!("  {}", printable(line)))
        .collect();
    if list.len() > SHOWN {
        lines.push(format!("  ...and {} more", list.len() - SHOWN));
    }
    lines.join("\n")
}
