//! Which paths a plan touches, and what it makes of each.

use std::collections::{BTreeMap, BTreeSet};

use super::remade::{is_remade, rendered};
use super::state::State;
use crate::error::Error;
use crate::guest::GuestCommand;
use crate::initramfs::rebuild;
use crate::plan::{Plan, Step};
use crate::root::{self, FileKind, GuestPath, GuestRoot};

/// Every path that a plan touches, with what is there afterwards.
pub(super) type Scope = BTreeMap<GuestPath, State>;

/// Where a tool notes which images it made.
const INITRAMFS_TOOLS: &str = "/var/lib/initramfs-tools";

/// Every path that a plan touches, and the directories that hold them.
///
/// # Errors
///
/// The guest could not be read.
pub(super) fn scope(plan: &Plan, root: &GuestRoot) -> Result<Scope, Error> {
    let mut scope = Scope::new();
    let mut unseen = BTreeSet::new();
    for step in plan.steps() {
        match step {
            Step::Edit { path, after, .. } | Step::Create { path, after, .. } => {
                touch(
                    &mut scope,
                    root,
                    root.resolve(path)?,
                    State::of_content(after),
                )?;
            }
            Step::Empty { path } => {
                let path = root.resolve(path)?;
                unseen.insert(path.clone());
                touch(&mut scope, root, path, State::of_content(b""))?;
            }
            Step::Link { path, target, .. } => {
                let path = root.resolve_parent(path)?;
                remove(&mut scope, root, path.clone())?;
                let target = target.into();
                touch(&mut scope, root, path, State::Link { target })?;
            }
            Step::Remove {
                path, kind, before, ..
            } => {
                let path = root.resolve_parent(path)?;
                if *kind == FileKind::Regular && before.is_none() {
                    unseen.insert(path.clone());
                }
                remove(&mut scope, root, path)?;
            }
            Step::Command(command) => run(&mut scope, root, command)?,
            // The bundle has a record of it.
            Step::Detach(_) => {}
        }
    }
    for (path, after) in &mut scope {
        let stays = *after == State::Directory && root.kind(path)? == Some(FileKind::Directory);
        if !stays && (unseen.contains(path) || is_remade(root, path)?) {
            *after = State::Any;
        }
    }
    for path in rendered() {
        if path.parent().is_some_and(|dir| scope.contains_key(&dir)) {
            scope.entry(path).or_insert(State::Any);
        }
    }
    Ok(scope)
}

/// What a program makes is not known before it ran.
fn run(scope: &mut Scope, root: &GuestRoot, command: &GuestCommand) -> Result<(), Error> {
    let image = root.resolve(&command.produces)?;
    for suffix in ["", rebuild::NEW, root::COPY, root::INCOMPLETE] {
        let beside = GuestPath::new(format!("{image}{suffix}"));
        touch(scope, root, beside, State::Any)?;
    }
    let notes = GuestPath::from(INITRAMFS_TOOLS);
    for name in root.list(&notes)? {
        touch(scope, root, notes.join(name), State::Any)?;
    }
    Ok(())
}

/// A file, link or directory goes, with all that is below it.
fn remove(scope: &mut Scope, root: &GuestRoot, path: GuestPath) -> Result<(), Error> {
    if root.kind(&path)? == Some(FileKind::Directory) {
        for name in root.list(&path)? {
            remove(scope, root, path.join(name))?;
        }
    }
    touch(scope, root, path, State::Absent)
}

/// A path changes, and with it the directories that are made for it, or the one that holds it.
fn touch(scope: &mut Scope, root: &GuestRoot, path: GuestPath, after: State) -> Result<(), Error> {
    let is_made = after != State::Absent;
    let mut above = path.parent();
    scope.insert(path, after);
    while let Some(dir) = above {
        let exists = root.kind(&dir)?.is_some();
        let goes = scope.get(&dir) == Some(&State::Absent);
        if is_made || !goes {
            scope.entry(dir.clone()).or_insert(State::Directory);
        }
        if is_made && goes {
            scope.insert(dir.clone(), State::Directory);
        }
        if exists && !goes {
            break;
        }
        above = dir.parent();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_scope_holds_what_is_touched_and_what_holds_it() {
        let fixture = Fixture::debian(&[
            ("/etc/old/a", "a"),
            ("/etc/old/b/c", "c"),
            ("/etc/fstab", "x"),
        ]);
        let mut guest = fixture.guest();
        guest.write(&"/etc/fstab".into(), b"y".to_vec()).unwrap();
        guest.remove(&"/etc/old".into()).unwrap();
        guest
            .write(&"/etc/new/deep/file".into(), Vec::new())
            .unwrap();
        guest.link(&"/srv".into(), "/mnt").unwrap();
        let plan = Plan::from_drafts(&guest).unwrap();
        let scope = scope(&plan, guest.root()).unwrap();
        let shown: Vec<String> = scope
            .iter()
            .map(|(path, after)| format!("{path}: {after}"))
            .collect();
        assert_eq!(
            shown,
            [
                "/: a directory",
                "/etc: a directory",
                "/etc/fstab: a file of 1 bytes",
                "/etc/new: a directory",
                "/etc/new/deep: a directory",
                "/etc/new/deep/file: a file of 0 bytes",
                "/etc/old: nothing",
                "/etc/old/a: nothing",
                "/etc/old/b: nothing",
                "/etc/old/b/c: nothing",
                "/srv: a link to /mnt",
            ]
        );
    }
}
