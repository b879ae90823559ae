//! What somebody changed after a `prepare`, so that undoing it would undo that too.

use std::collections::BTreeSet;

use super::manifest::Manifest;
use super::state::State;
use crate::error::Error;
use crate::root::{GuestPath, GuestRoot};

/// Every path that is neither as before nor as `prepare` left it, one a line.
///
/// # Errors
///
/// The guest could not be read.
pub(super) fn differences(manifest: &Manifest, root: &GuestRoot) -> Result<Vec<String>, Error> {
    let known: BTreeSet<GuestPath> = manifest
        .paths
        .iter()
        .map(super::Entry::guest_path)
        .collect();
    let mut differences = Vec::new();
    for entry in &manifest.paths {
        let path = entry.guest_path();
        if entry.after == State::Any || entry.before.is_socket() {
            continue;
        }
        let now = State::of(root, &path)?;
        if now != entry.before && now != entry.after {
            differences.push(format!(
                "{path} is {now}; it was {}, and prepare left {}",
                entry.before, entry.after
            ));
        }
        if entry.before == State::Absent && now == State::Directory {
            for name in root.list(&path)? {
                let inside = path.join(name);
                if !known.contains(&inside) {
                    differences.push(format!("{inside} is new"));
                }
            }
        }
    }
    Ok(differences)
}
