//! Doing what a plan says. Decides nothing.
//!
//! Each file is either old or new at any moment, so that a run that was cut off is completed by
//! running it again. Volumes of the running system come first, then files, in the order of their
//! paths; programs come last, because they read the files.

use crate::error::Error;
use crate::failpoint;
use crate::guest::{CONFIG_LIMIT, GuestCommand};
use crate::initramfs::rebuild;
use crate::interrupt;
use crate::live::detach;
use crate::plan::{Plan, Step};
use crate::root::{GuestPath, GuestRoot, GuestRootMut};

/// Runs a program inside the guest.
pub trait GuestShell {
    /// Whether there is a system to run programs in.
    fn is_available(&self) -> bool {
        true
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// It could not be run, or failed.
    fn run(&self, command: &GuestCommand) -> Result<(), Error>;
}

/// Does every step of a plan, in order.
///
/// # Errors
///
/// A file changed since the plan was made, could not be written, a program failed, or a signal
/// arrived. What was done before stays done.
pub fn apply(plan: &Plan, root: &GuestRootMut, shell: &dyn GuestShell) -> Result<(), Error> {
    for step in plan.steps() {
        failpoint::reach("apply").map_err(Error::io("changing", &"the guest"))?;
        interrupt::check().map_err(Error::Interrupted)?;
        match step {
            Step::Detach(operation) => detach::run(operation, root)?,
            Step::Edit {
                path,
                before,
                after,
            } => {
                unchanged(root.reader(), path, Some(before))?;
                root.replace(path, after)?;
            }
            Step::Empty { path } => root.replace(path, b"")?,
            Step::Create { path, after, owner } => {
                unchanged(root.reader(), path, None)?;
                root.create(path, after, *owner)?;
            }
            Step::Link { path, target, seen } => {
                seen.unchanged(root.reader(), path)?;
                root.link(path, target)?;
            }
            Step::Remove {
                path, before, seen, ..
            } => {
                if let Some(seen) = seen {
                    seen.unchanged(root.reader(), path)?;
                }
                // Some file systems keep times by the second only.
                if before.is_some() && root.reader().kind(path)?.is_some() {
                    unchanged(root.reader(), path, before.as_ref())?;
                }
                root.remove(path)?;
            }
            Step::Command(command) => match &command.initramfs {
                Some(requirement) => {
                    rebuild::run(root, command, requirement, || shell.run(command))?;
                }
                None => shell.run(command)?,
            },
        }
    }
    Ok(())
}

fn unchanged(root: &GuestRoot, path: &GuestPath, before: Option<&Vec<u8>>) -> Result<(), Error> {
    if root.read(path, CONFIG_LIMIT)?.as_ref() == before {
        Ok(())
    } else {
        Err(Error::Changed {
            path: path.to_string(),
        })
    }
}
