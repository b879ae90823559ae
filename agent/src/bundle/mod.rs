//! What undoes a `prepare`: everything it touches, as it was before.
//!
//! A bundle is a tar archive. Its first member, `byoi-bundle.json`, is the [`Manifest`]: the machine,
//! and of every path the content before and after. Then comes every path that was there before, in
//! the order of the manifest, with owner, mode, times and extended attributes as PAX records, so
//! that `tar` can unpack it too; of files with holes, their data alone. It is complete, and on disk, before anything is changed.
//!
//! [`restore`] takes a path as it finds it: as before, which leaves nothing to do, or as after,
//! which is undone. Thus it does not matter where `prepare`, or an earlier `restore`, was cut off.
//! A path that is neither was changed by somebody since; then nothing is done unless forced.
//!
//! The archive is hostile input: a name counts only where the manifest has it, a manifest holds
//! plain absolute paths only, and all are resolved inside the guest root.

mod archive;
mod attached;
mod destination;
mod difference;
mod drain;
mod machine;
mod manifest;
mod member;
mod name;
mod place;
mod remade;
mod restore;
mod scope;
mod source;
mod sparse;
mod state;

pub use archive::write;
pub use destination::Destination;
pub use difference::lacking;
pub use machine::Machine;
pub use manifest::{Entry, Manifest, SCHEMA};
pub use restore::{Choice, Outcome, restore};
pub use source::Source;
pub use state::State;

/// Why a bundle could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The archive is not one of ours, or not whole.
    #[error("the bundle is damaged: {reason}; nothing was restored from it")]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// It was written by a later version.
    #[error("the bundle is a `{schema}`, and this program reads `{SCHEMA}`; use the newer one")]
    Schema {
        /// What it says that it is.
        schema: String,
    },
    /// It was made on another machine.
    #[error(
        "the bundle is of another machine:\n{differences}\nnothing was restored (--force does it nevertheless)"
    )]
    OtherMachine {
        /// What differs, one a line.
        differences: String,
    },
    /// Somebody changed what would be overwritten.
    #[error(
        "this was changed since the bundle was made:\n{differences}\nnothing was restored \
         (--force overwrites it)"
    )]
    Changed {
        /// What differs, one a line.
        differences: String,
    },
    /// It would be written where it is lost or captured.
    #[error("the bundle cannot be written to {path}: {reason}")]
    Place {
        /// The file.
        path: String,
        /// What is wrong with the place, and what to do.
        reason: String,
    },
}
