//! Why a volume could not be detached, or not attached again.

use std::io;

use crate::cmd::CmdError;

/// A failure on the running system. Whatever was done before stays done, and a further run goes on
/// from there.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Something stands in the way; nothing was detached.
    #[error("nothing was changed, for volumes that iSCSI attached cannot be detached: {}", .0.join("; "))]
    Obstructed(Vec<String>),
    /// What should be released is held by someone.
    #[error("{action} {object}: it is in use; {next}, then run this again")]
    InUse {
        /// What was being done, as a gerund.
        action: &'static str,
        /// To what.
        object: String,
        /// What to do.
        next: String,
    },
    /// A target stopped answering.
    #[error(
        "{action} {object}: the target does not answer, and what was not written to it yet waits; \
         bring it back and run this again"
    )]
    Silent {
        /// What was being done, as a gerund.
        action: &'static str,
        /// To what.
        object: String,
    },
    /// A file system does not take what was written to it.
    #[error(
        "writing out {object}: some of it may be lost; unmount and check it by hand, then run this \
         again"
    )]
    Lost {
        /// Where it is mounted.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// A call of the system failed.
    #[error("{action} {object}")]
    Call {
        /// What was being done, as a gerund.
        action: &'static str,
        /// To what.
        object: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was done, and is not as it should be.
    #[error("{object} {state}; {next}")]
    Unfinished {
        /// What.
        object: String,
        /// How it is.
        state: &'static str,
        /// What to do.
        next: String,
    },
    /// A program failed.
    #[error(transparent)]
    Command(CmdError),
    /// Not everything could be attached again; the rest is.
    #[error("not everything could be attached again, run this again once that is mended: {}", .0.join("; "))]
    Partial(Vec<String>),
}
