//! What `prepare` will do, with no choice left to whoever does it.
//!
//! A plan holds every file as it was and as it shall be. It is made without writing anything, is
//! the same for the same guest, and is empty for a guest that is ready.

use schemars::JsonSchema;
use serde::Serialize;
use similar::TextDiff;

use crate::error::Error;
use crate::guest::{CONFIG_LIMIT, Drafted, Guest, GuestCommand, Owner};
use crate::live::{LiveError, Operation, Record};
use crate::redact::redact;
use crate::root::{FileKind, GuestPath};
use crate::seen::Seen;
use crate::text::Text;

/// Where the guest's programs keep their state.
const STATE: &str = "/var";

/// What happens to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The running system lets go of a volume, before any file changes.
    Detach(Operation),
    /// A file gets other content.
    Edit {
        /// The file.
        path: GuestPath,
        /// Its content when the plan was made.
        before: Vec<u8>,
        /// Its content afterwards.
        after: Vec<u8>,
    },
    /// A log loses its content, however large, and stays. It is written to all the time, and what it
    /// gains until then is lost.
    Empty {
        /// The file.
        path: GuestPath,
    },
    /// A file is made.
    Create {
        /// The file.
        path: GuestPath,
        /// Its content.
        after: Vec<u8>,
        /// Who has it; `None` means root, readable by all.
        owner: Option<Owner>,
    },
    /// A symbolic link is made, in place of whatever had its name.
    Link {
        /// The link.
        path: GuestPath,
        /// What it names.
        target: String,
        /// What had its name when the plan was made.
        seen: Seen,
    },
    /// A file, link or directory goes.
    Remove {
        /// What goes.
        path: GuestPath,
        /// What it is.
        kind: FileKind,
        /// A regular file's content; `None` for anything else, and for a file that is too large to
        /// show or that nobody shall see.
        before: Option<Vec<u8>>,
        /// What was there when the plan was made; `None` for logs and caches, which change all the
        /// time.
        seen: Option<Seen>,
    },
    /// A program is run inside the guest, after all files are written.
    Command(GuestCommand),
}

/// The steps, in the order in which they are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Step>,
    detached: Record,
    obstacles: Vec<String>,
}

impl Plan {
    /// Turns what the rules drafted into steps.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn from_drafts(guest: &Guest<'_>) -> Result<Self, Error> {
        let root = guest.root();
        let release = guest.release();
        let mut steps: Vec<Step> = release
            .operations
            .iter()
            .cloned()
            .map(Step::Detach)
            .collect();
        let stays = |path: &&GuestPath| !is_detached(&release.operations, path);
        for (path, draft) in guest.drafts().iter().filter(|(path, _)| stays(path)) {
            let step = match (draft, root.kind(path)?) {
                (Drafted::Content(after), Some(FileKind::Regular))
                    if after.is_empty() && guest.is_unseen(path) =>
                {
                    Step::Empty { path: path.clone() }
                }
                (Drafted::Content(after), Some(_)) => {
                    let before = root.read(path, CONFIG_LIMIT)?.unwrap_or_default();
                    if before == *after {
                        continue;
                    }
                    Step::Edit {
                        path: path.clone(),
                        before,
                        after: after.clone(),
                    }
                }
                (Drafted::Content(after), None) => Step::Create {
                    path: path.clone(),
                    after: after.clone(),
                    owner: guest.owner(path),
                },
                (Drafted::Link(target), _) => {
                    if root
                        .read_link(path)?
                        .is_some_and(|old| old.as_os_str() == target.as_str())
                    {
                        continue;
                    }
                    Step::Link {
                        path: path.clone(),
                        target: target.clone(),
                        seen: Seen::look(root, path)?,
                    }
                }
                (Drafted::Removed, Some(kind)) => Step::Remove {
                    path: path.clone(),
                    kind,
                    before: match root.read(path, CONFIG_LIMIT) {
                        _ if kind != FileKind::Regular || guest.is_unseen(path) => None,
                        Err(Error::TooLarge { .. }) => None,
                        read => read?,
                    },
                    seen: if guest.is_unseen(path) && path.is_below(&STATE.into()) {
                        None
                    } else {
                        Some(Seen::look(root, path)?)
                    },
                },
                (Drafted::Removed, None) => continue,
            };
            steps.push(step);
        }
        steps.extend(guest.commands().iter().cloned().map(Step::Command));
        Ok(Self {
            steps,
            detached: release.record.clone(),
            obstacles: release.obstacles.clone(),
        })
    }

    /// What of the running system is detached once the plan is done, by earlier runs too: with this
    /// it can be attached again.
    pub fn detached(&self) -> &Record {
        &self.detached
    }

    /// Refuses a plan that could not be done to its end.
    ///
    /// # Errors
    ///
    /// Something stands in the way of detaching a volume: a process that uses it.
    pub fn unobstructed(&self) -> Result<(), Error> {
        if self.obstacles.is_empty() {
            return Ok(());
        }
        Err(Error::Live(LiveError::Obstructed(self.obstacles.clone())))
    }

    /// The steps, in the order in which they are done.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps as reported, secrets redacted.
    pub fn changes(&self) -> Vec<Change> {
        self.steps.iter().map(Step::change).collect()
    }
}

/// Whether a path is on a volume that is unmounted before any file changes, and so is no part of the
/// image, or such a volume is below it.
fn is_detached(operations: &[Operation], path: &GuestPath) -> bool {
    operations.iter().any(|operation| match operation {
        Operation::Unmount {
            target,
            process: None,
            ..
        } => {
            let mount = GuestPath::new(target);
            *path == mount || path.is_below(&mount) || mount.is_below(path)
        }
        _ => false,
    })
}

/// How a path changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A file gets other content.
    Edit,
    /// A file is made.
    Create,
    /// A file, link or directory goes.
    Remove,
    /// A program makes the file anew, or detaches the volume.
    Command,
}

/// A change as reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// The guest path, or the volume, service or session.
    pub path: String,
    /// How it changes.
    pub action: Action,
    /// A unified diff of text, or the command line of a command; secrets redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Step {
    /// The step as reported.
    pub fn change(&self) -> Change {
        let (path, action, diff) = match self {
            Self::Detach(operation) => {
                return Change {
                    path: operation.subject(),
                    action: Action::Command,
                    diff: Some(redact(&operation.to_string()).into_owned()),
                };
            }
            Self::Edit {
                path,
                before,
                after,
            } => (path, Action::Edit, diff(path, before, after)),
            Self::Empty { path } => (path, Action::Edit, None),
            Self::Create { path, after, .. } => (path, Action::Create, diff(path, b"", after)),
            Self::Link { path, target, .. } => (path, Action::Create, Some(format!("-> {target}"))),
            Self::Remove { path, before, .. } => (
                path,
                Action::Remove,
                before.as_ref().and_then(|before| diff(path, before, b"")),
            ),
            Self::Command(command) => (
                &command.produces,
                Action::Command,
                Some(redact(&command.argv.join(" ")).into_owned()),
            ),
        };
        Change {
            path: path.to_string(),
            action,
            diff,
        }
    }
}

/// A unified diff; `None` for what is not text.
fn diff(path: &GuestPath, before: &[u8], after: &[u8]) -> Option<String> {
    if before.contains(&0) || after.contains(&0) {
        return None;
    }
    let before = Text::from_bytes(before);
    let after = Text::from_bytes(after);
    let name = path.to_string();
    let text = TextDiff::from_lines(redact(before.as_str()), redact(after.as_str()))
        .unified_diff()
        .header(&format!("a{name}"), &format!("b{name}"))
        .to_string();
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Release;
    use crate::testing::Fixture;

    #[test]
    fn what_is_on_a_volume_that_goes_is_left_alone() {
        let fixture = Fixture::debian(&[
            ("/etc/fstab", "x"),
            ("/home/opc/.bash_history", "ls"),
            ("/home/opc/.profile", "x"),
            ("/srv/sub/volume/record", "x"),
            ("/var/log/syslog", "x"),
        ]);
        let mut guest = fixture.guest();
        guest.write(&"/etc/fstab".into(), b"y".to_vec()).unwrap();
        guest.discard(&"/home/opc/.bash_history".into()).unwrap();
        guest
            .write(&"/home/opc/.profile".into(), Vec::new())
            .unwrap();
        guest.write(&"/home/opc/new".into(), Vec::new()).unwrap();
        guest.remove(&"/srv/sub".into()).unwrap();
        guest.empty(&"/var/log/syslog".into()).unwrap();
        let paths = |guest: &Guest<'_>| -> Vec<String> {
            let plan = Plan::from_drafts(guest).unwrap();
            let files = plan.changes().into_iter();
            let files = files.filter(|change| change.action != Action::Command);
            files.map(|change| change.path).collect()
        };
        assert_eq!(paths(&guest).len(), 6);
        let unmount = |target: &str| Operation::Unmount {
            id: 1,
            target: target.into(),
            process: None,
            paths: Vec::new(),
        };
        guest.detach(Release {
            operations: vec![
                unmount("/home"),
                unmount("/srv/sub/volume"),
                unmount("/var/log"),
            ],
            ..Release::default()
        });
        assert_eq!(paths(&guest), ["/etc/fstab"]);
    }
}
