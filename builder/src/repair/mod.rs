//! Mending what lies outside of the guest's file systems: the partition table and the boot code.
//!
//! Rules of the guest draft edits of files; what is here writes sectors of the working disk, which
//! is a copy. [`table`] is done before anything is mounted, so that all rules judge
//! the disk as it will be; [`grub::reinstall`] needs the guest's own files.

mod dos_record;
mod embed;
pub mod esp;
pub mod grub;
pub mod table;

use std::io;

use byoi_agent::plan::{Action, Change};

/// The rule that says that a disk has no boot code.
pub(crate) const BOOT_CODE: &str = "disk/mbr-boot-code";

/// Why a repair was not done. The disk may hold the half of it, and is a copy.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The working disk could not be read or written.
    #[error("writing the {what} of the working disk")]
    Disk {
        /// The part of the disk.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The guest could not be read, or one of its programs failed.
    #[error(transparent)]
    Guest(#[from] byoi_agent::error::Error),
    /// `--convert-gpt` cannot be done.
    #[error("the GPT cannot be converted to an MBR: {reason}")]
    NotConvertible {
        /// What is in the way, and what to do.
        reason: String,
    },
}

/// A change of the disk as reported.
fn change(what: &str, how: String) -> Change {
    Change {
        path: what.to_owned(),
        action: Action::Edit,
        diff: Some(how),
    }
}

#[cfg(test)]
mod tests;
