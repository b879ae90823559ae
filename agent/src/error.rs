//! Why the agent could not run or finish. What is wrong with the guest is a finding instead.

use std::io;

use crate::bundle::BundleError;
use crate::cmd::CmdError;
use crate::interrupt::Interrupted;
use crate::live::LiveError;
use crate::shutdown::ShutdownError;

/// A failure of ours, never of the guest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on an object failed.
    #[error("{action} {object}")]
    Io {
        /// What was being done, as a gerund: `reading`.
        action: &'static str,
        /// To what.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// A guest file is larger than any honest one of its kind.
    #[error("reading {path}: it is larger than {limit} bytes")]
    TooLarge {
        /// The guest file.
        path: String,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The administrator has forbidden every change of a file.
    #[error("{path} is immutable: allow changes with chattr -i and run this again")]
    Immutable {
        /// The guest file.
        path: String,
    },
    /// A file that has to be written is a link that leads nowhere.
    #[error("{path} is a link that leads back to itself: remove it and run this again")]
    LinkLoop {
        /// The guest path.
        path: String,
    },
    /// A file changed between plan and apply.
    #[error("{path} changed while the plan was made; nothing more was written, run again")]
    Changed {
        /// The guest file.
        path: String,
    },
    /// This kernel cannot confine paths to the guest root.
    #[error(
        "confining paths to {root} needs openat2, which came with Linux 5.6; run this on a newer kernel"
    )]
    NoOpenat2 {
        /// The guest root.
        root: String,
    },
    /// A rule was named that does not exist.
    #[error("there is no rule `{id}`; see `byoi-agent rules`")]
    UnknownRule {
        /// What was asked for.
        id: String,
    },
    /// Something was asked for that only the running system can do.
    #[error("{option} is for the running system, and the guest is {root}")]
    NotLive {
        /// The option.
        option: &'static str,
        /// The guest root.
        root: String,
    },
    /// A program of the guest would have to run, and the guest is not the running system.
    #[error(
        "`{command}` belongs to the guest and is run on the running system or by byoi-builder only"
    )]
    ForeignCommand {
        /// The guest's command line.
        command: String,
    },
    /// The guest's tool made an initramfs that does less than the old one, which is kept.
    #[error(
        "`{command}` made an initramfs that is worse than the old one ({reason}); {path} was left as it was"
    )]
    WorseInitramfs {
        /// The guest's command line.
        command: String,
        /// The image.
        path: String,
        /// What is worse.
        reason: String,
    },
    /// A bundle could not be made or used.
    #[error(transparent)]
    Bundle(BundleError),
    /// The machine cannot be prepared as it stops.
    #[error(transparent)]
    Shutdown(ShutdownError),
    /// An external program failed.
    #[error(transparent)]
    Command(CmdError),
    /// A volume of the running system could not be detached, or not attached again.
    #[error(transparent)]
    Live(LiveError),
    /// A signal ended the run.
    #[error(transparent)]
    Interrupted(Interrupted),
}

impl Error {
    /// For `map_err`: an I/O error of `action` on `object`.
    pub fn io<O: ToString + ?Sized>(
        action: &'static str,
        object: &O,
    ) -> impl FnOnce(io::Error) -> Self {
        let object = object.to_string();
        move |source| Self::Io {
            action,
            object,
            source,
        }
    }
}
