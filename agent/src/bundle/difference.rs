//! What somebody changed after a `prepare`, so that undoing it would undo that too.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::Manifest;
use super::state::State;
use crate::error::Error;
use crate::root::{FileKind, GuestPath, GuestRoot};

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
        if !entry.before.is_at(root, &path)? && !entry.after.is_at(root, &path)? {
            differences.push(format!(
                "{path} is {}; it was {}, and prepare left {}",
                State::of(root, &path)?,
                entry.before,
                entry.after
            ));
        }
        if entry.before == State::Absent && root.kind(&path)? == Some(FileKind::Directory) {
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

/// What a later plan touches and a bundle does not undo, one a line. What a running guest makes anew
/// by itself does not count.
pub fn lacking(bundled: &Manifest, later: &Manifest) -> Vec<String> {
    let kept: BTreeMap<_, _> = bundled
        .paths
        .iter()
        .map(|entry| (&entry.path, &entry.before))
        .collect();
    later
        .paths
        .iter()
        .filter(|entry| entry.after != State::Any && !entry.surrounds())
        .filter(|entry| kept.get(&entry.path) != Some(&&entry.before))
        .map(|entry| format!("  {}", entry.path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Machine;
    use crate::plan::Plan;
    use crate::testing::Fixture;

    #[test]
    fn what_changed_before_the_stop_is_lacking() {
        let manifest = |files: &[(&str, &str)]| {
            let fixture = Fixture::debian(files);
            let mut guest = fixture.guest();
            for (path, _) in files {
                guest.write(&(*path).into(), b"prepared".to_vec()).unwrap();
            }
            let plan = Plan::from_drafts(&guest).unwrap();
            Manifest::of(guest.root(), Machine::default(), &plan).unwrap()
        };
        let leases = ("/var/lib/dhcp/leases", "1");
        let bundled = manifest(&[("/etc/fstab", "a"), ("/etc/hosts", "b"), leases]);
        for (later, expected) in [
            (
                &[("/etc/fstab", "a"), ("/var/lib/dhcp/leases", "2")][..],
                &[][..],
            ),
            (&[("/var/lib/dhcp/other", "2")], &[]),
            (
                &[("/etc/fstab", "a"), ("/etc/hosts", "c"), ("/etc/new", "d")],
                &["  /etc/hosts", "  /etc/new"],
            ),
        ] {
            assert_eq!(lacking(&bundled, &manifest(later)), expected);
        }
    }
}
