//! The files that ifupdown reads: `/etc/network/interfaces` and what it sources.

use std::collections::BTreeSet;

use super::Stanza;
use crate::error::Error;
use crate::guest::Guest;
use crate::interrupt;
use crate::parse::glob;
use crate::parse::interfaces::{Interfaces, Kind};
use crate::parse::lines::physical;
use crate::root::GuestPath;

/// Where it starts.
pub const INTERFACES: &str = "/etc/network/interfaces";
/// The most files that are read, and the most paths that one pattern may stand for.
const MAX_FILES: usize = 10_000;

/// A file of ifupdown's.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: GuestPath,
    /// The same with its links followed.
    pub resolved: GuestPath,
    /// Its text.
    pub text: String,
    /// What it says.
    pub parsed: Interfaces,
}

impl File {
    /// Its interface definitions, in order.
    pub fn stanzas(&self) -> impl Iterator<Item = Stanza<'_>> {
        let lines = self.parsed.lines.iter().enumerate();
        lines.filter_map(|(header, line)| match &line.kind {
            Kind::Iface(iface) => Some(Stanza {
                file: self,
                header,
                iface,
            }),
            _ => None,
        })
    }

    /// Its physical lines, each with its terminator.
    pub fn physical(&self) -> Vec<&str> {
        physical(&self.text)
    }

    /// Whether it goes once it says nothing any more: every file but the first.
    pub fn is_sourced(&self) -> bool {
        self.path != GuestPath::from(INTERFACES)
    }
}

/// Every file, each once, in the order in which they are first named.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    let mut named = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut pending = vec![GuestPath::from(INTERFACES)];
    while let Some(path) = pending.pop() {
        if !named.insert(path.clone()) {
            continue;
        }
        interrupt::check().map_err(Error::Interrupted)?;
        let resolved = guest.root().resolve(&path)?;
        if !seen.insert(resolved.clone()) || seen.len() > MAX_FILES {
            continue;
        }
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let parsed = Interfaces::parse(text.as_str());
        let mut sourced = Vec::new();
        for line in &parsed.lines {
            if let Kind::Source { paths, directory } = &line.kind {
                // Only the first path is relative to the file; ifupdown takes the rest from `/`.
                for (number, pattern) in paths.iter().enumerate() {
                    let base = match path.parent() {
                        Some(dir) if number == 0 => dir,
                        _ => GuestPath::from("/"),
                    };
                    sourced.extend(expand(guest, &base, pattern, *directory)?);
                }
            }
        }
        pending.extend(sourced.into_iter().rev());
        files.push(File {
            path,
            resolved,
            text: text.as_str().to_owned(),
            parsed,
        });
    }
    Ok(files)
}

/// The files that a `source` or `source-directory` names.
fn expand(
    guest: &Guest<'_>,
    base: &GuestPath,
    pattern: &str,
    directory: bool,
) -> Result<Vec<GuestPath>, Error> {
    let pattern = pattern.trim_matches(['"', '\'']);
    let base = if pattern.starts_with('/') {
        GuestPath::from("/")
    } else {
        base.clone()
    };
    let mut paths = vec![base];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        if !glob::is_pattern(component) {
            paths = paths.iter().map(|path| path.join(component)).collect();
            continue;
        }
        let mut matched = Vec::new();
        for path in &paths {
            interrupt::check().map_err(Error::Interrupted)?;
            matched.extend(guest.list(path)?.into_iter().filter(|entry| {
                let name = entry.name().to_string_lossy();
                name.starts_with('.') == component.starts_with('.')
                    && glob::matches(component, &name)
            }));
            if matched.len() > MAX_FILES {
                return Err(Error::TooLarge {
                    path: path.to_string(),
                    limit: MAX_FILES.try_into().unwrap_or(u64::MAX),
                });
            }
        }
        paths = matched;
    }
    if !directory {
        return Ok(paths);
    }
    let mut entries = Vec::new();
    for path in &paths {
        entries.extend(guest.list(path)?.into_iter().filter(|entry| {
            let name = entry.name().to_string_lossy();
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        }));
    }
    Ok(entries)
}
