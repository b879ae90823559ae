//! Literal MAC addresses in netplan's files.

use std::collections::BTreeSet;

use super::super::note;
use super::Config;
use super::file::{DIRS, File};
use super::removal::Removal;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::lines;
use crate::parse::mac;
use crate::parse::yaml::{Entry, NodeId, Value, Yaml};
use crate::redact::redact;
use crate::root::FileKind;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in config.files() {
        let Some(yaml) = file.yaml() else {
            defects.extend(broken_lines(file).map(|(number, line)| {
                defect(file, number, line).hint("remove the file: netplan does not take it")
            }));
            continue;
        };
        for entry in entries(yaml) {
            let (key, value) = yaml.entry(entry);
            let text = yaml.scalar(value).unwrap_or_default();
            let evidence = match yaml.scalar(key) {
                Some(key) if yaml.is_mapping(entry.0) => format!("{key}: {text}"),
                _ => text.to_owned(),
            };
            defects.push(
                defect(file, file.line(key), &evidence)
                    .hint("remove it, and the whole definition if it is a NIC's"),
            );
        }
        note_comments(file, yaml, &mut defects);
    }
    note_unread(guest, &config, &mut defects)?;
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    let mut removal = Removal::default();
    for (number, file) in config.files().iter().enumerate() {
        let Some(yaml) = file.yaml() else {
            if broken_lines(file).next().is_some() {
                removal.files.insert(number);
            }
            continue;
        };
        let found = entries(yaml);
        let mut own = BTreeSet::new();
        for (name, place) in config.pinned().filter(|(_, place)| place.file == number) {
            let inside = below(yaml, place.value);
            let key_named = found.contains(&place.entry);
            if key_named || found.iter().any(|entry| inside.contains(&entry.0)) {
                removal.names.insert(name.to_owned());
                own.extend(inside);
            }
        }
        for entry in found.iter().filter(|entry| !own.contains(&entry.0)) {
            removal.add(number, *entry);
        }
        for place in config.definitions().values().flat_map(|d| &d.places) {
            if place.file == number && !own.contains(&yaml.resolve(place.value)) {
                drop_match(yaml, place.value, &found, |entry| {
                    removal.add(number, entry);
                });
            }
        }
    }
    removal.draft(&config, guest)
}

/// A `match` that loses all its keys would match every device: it goes, with the name that would
/// be given to it.
fn drop_match(
    yaml: &Yaml,
    definition: NodeId,
    found: &BTreeSet<Entry>,
    mut remove: impl FnMut(Entry),
) {
    let Some(matching) = yaml.get(definition, "match").map(|id| yaml.resolve(id)) else {
        return;
    };
    let length = yaml.pairs(matching).len();
    if length == 0 || !(0..length).all(|number| found.contains(&(matching, number))) {
        return;
    }
    let definition = yaml.resolve(definition);
    for (number, (key, _)) in yaml.pairs(definition).iter().enumerate() {
        if matches!(yaml.scalar(*key), Some("match" | "set-name")) {
            remove((definition, number));
        }
    }
}

/// The innermost entries that hold a MAC.
fn entries(yaml: &Yaml) -> BTreeSet<Entry> {
    let mut found = BTreeSet::new();
    for (id, node) in yaml.nodes.iter().enumerate() {
        match &node.value {
            Value::Mapping(pairs) => {
                for (number, (key, value)) in pairs.iter().enumerate() {
                    let name = yaml.scalar(*key).unwrap_or_default();
                    let text = yaml.scalar(*value).unwrap_or_default();
                    let is_address = ["macaddress", "mac-address", "hwaddr"]
                        .iter()
                        .any(|word| name.contains(word));
                    let bare = is_address && !mac::find_bare(text).is_empty();
                    if bare || holds_mac(name) || holds_mac(text) {
                        found.insert((id, number));
                    }
                }
            }
            Value::Sequence(items) => {
                for (number, item) in items.iter().enumerate() {
                    if yaml.scalar(*item).is_some_and(holds_mac) {
                        found.insert((id, number));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The entries with a MAC inside of these.
pub fn inside(yaml: &Yaml, outer: &BTreeSet<Entry>) -> BTreeSet<Entry> {
    let mut nodes = BTreeSet::new();
    for entry in outer {
        nodes.extend(below(yaml, yaml.entry(*entry).1));
    }
    let mut found = entries(yaml);
    found.retain(|entry| nodes.contains(&entry.0));
    found
}

/// A node and all that it is made of.
fn below(yaml: &Yaml, id: NodeId) -> BTreeSet<NodeId> {
    let mut nodes = BTreeSet::new();
    let mut pending = vec![id];
    while let Some(id) = pending.pop() {
        if nodes.insert(id) {
            pending.extend(yaml.children(id));
        }
    }
    nodes
}

fn holds_mac(text: &str) -> bool {
    !mac::find(text).is_empty()
}

fn defect(file: &File, line: usize, evidence: &str) -> Defect {
    Defect::in_file(&file.path, "netplan is told the old MAC")
        .at_line(line)
        .evidence(redact(evidence))
}

/// The lines with a MAC of a file that is not netplan's YAML.
fn broken_lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    lines(&file.text)
        .map(|line| (line.number, line.text.trim()))
        .filter(|(_, text)| !text.starts_with('#') && holds_mac(text))
}

/// MACs that stand in no value.
fn note_comments(file: &File, yaml: &Yaml, defects: &mut Vec<Defect>) {
    for line in lines(&file.text) {
        let in_comment = mac::find(line.text).into_iter().find(|range| {
            let at = line.range.start + range.start;
            let before = yaml.nodes.partition_point(|node| node.header.start <= at);
            before.checked_sub(1).is_none_or(|last| {
                let node = &yaml.nodes[last];
                !matches!(node.value, Value::Scalar { .. }) || node.end <= at
            })
        });
        if let Some(range) = in_comment {
            let start = line.text[..range.start].rfind('#').unwrap_or(range.start);
            let comment = &line.text[start..];
            defects.extend(note(&file.path, line.number - 1, comment, "a comment"));
        }
    }
}

/// Files in netplan's directories that netplan does not read.
fn note_unread(guest: &Guest<'_>, config: &Config, defects: &mut Vec<Defect>) -> Result<(), Error> {
    if config.files().is_empty() && !guest.exists(&DIRS[2].into())? {
        return Ok(());
    }
    let mut seen: BTreeSet<_> = config
        .files()
        .iter()
        .map(|file| &file.resolved)
        .cloned()
        .collect();
    for dir in DIRS {
        for path in guest.list(&dir.into())? {
            let resolved = guest.root().resolve(&path)?;
            let regular = guest.kind(&resolved)? == Some(FileKind::Regular);
            if !regular || !seen.insert(resolved) {
                continue;
            }
            if let Some(text) = guest.text(&path)? {
                for line in lines(text.as_str()) {
                    let place = "a file that is not read";
                    defects.extend(note(&path, line.number - 1, line.text, place));
                }
            }
        }
    }
    Ok(())
}
