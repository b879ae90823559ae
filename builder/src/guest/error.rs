//! What goes wrong with mounting a guest.

use std::io;
use std::path::PathBuf;

use byoi_agent::interrupt::Interrupted;
use nix::errno::Errno;

use crate::disk::DiskError;
use crate::layout::PartId;

/// Why a guest is not mounted, or not unmounted.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The process could not leave the host's mount namespace.
    #[error("{action} (root is needed)")]
    Namespace {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory to mount on could not be made, opened or removed.
    #[error("{action} {}", path.display())]
    Workdir {
        /// What was being done.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A partition or volume did not become a device.
    #[error("attaching {part}")]
    Attach {
        /// Which one.
        part: PartId,
        /// The reason.
        source: DiskError,
    },
    /// The device of a partition or volume does not go.
    #[error("detaching {part}")]
    Detach {
        /// Which one.
        part: PartId,
        /// The reason.
        source: DiskError,
    },
    /// The kernel refused a mount.
    #[error(
        "mounting {part} ({driver}) on the guest's {point} (if it is damaged, repair it with fsck)"
    )]
    Mount {
        /// Which part of the disk.
        part: PartId,
        /// The kernel's driver.
        driver: &'static str,
        /// The mount point in the guest.
        point: String,
        /// What the system said.
        source: io::Error,
    },
    /// A mount point is missing, or no directory.
    #[error("opening the guest's {point}")]
    Point {
        /// The path in the guest.
        point: String,
        /// What the system said.
        source: io::Error,
    },
    /// Following the guest's own links, the mount point is its root.
    #[error("the guest's {point} leads to its root")]
    PointIsRoot {
        /// The path in the guest.
        point: String,
    },
    /// No file system holds a Linux system.
    #[error(
        "no Linux root file system on the disk, {seen}: give the whole boot disk of the machine"
    )]
    NoRoot {
        /// What each partition holds.
        seen: String,
    },
    /// More than one may be meant.
    #[error(
        "more than one Linux root file system on the disk, {candidates}: remove all but one, or let its fstab name it"
    )]
    ManyRoots {
        /// The candidates.
        candidates: String,
    },
    /// The guest sleeps.
    #[error("the guest is hibernated ({place}): start it, shut it down and export it again")]
    Hibernated {
        /// Where its memory is.
        place: String,
    },
    /// What was written did not reach the disk.
    #[error("writing the guest's {point} back")]
    Flush {
        /// The mount point in the guest.
        point: String,
        /// What the system said.
        source: io::Error,
    },
    /// A mount point is still in use.
    #[error("unmounting the guest's {point}")]
    Unmount {
        /// The mount point in the guest.
        point: String,
        /// What the system said.
        source: io::Error,
    },
    /// The unused extents of a volume group could not be emptied.
    #[error("emptying the free extents of volume group {group}")]
    FreeExtents {
        /// Its name.
        group: String,
        /// What the system said.
        source: io::Error,
    },
    /// The gaps between partitions could not be found or emptied.
    #[error("emptying the gaps between partitions")]
    Gaps {
        /// What the system said.
        source: io::Error,
    },
    /// Swap space could not be emptied.
    #[error("emptying {place}")]
    Swap {
        /// Where it is.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The free space could not be emptied.
    #[error("emptying the free space of {part}")]
    Trim {
        /// Which part of the disk.
        part: PartId,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room to fill the guest's free space.
    #[error(
        "emptying the free space of {part} takes {needed} bytes, {available} are free: choose another directory with --workdir"
    )]
    NoSpace {
        /// Which part of the disk.
        part: PartId,
        /// The bytes to be written for a while.
        needed: u64,
        /// The bytes that are free where the working disk is.
        available: u64,
    },
    /// A signal arrived.
    #[error("mounting the guest was stopped")]
    Interrupted {
        /// The signal.
        source: Interrupted,
    },
}

impl GuestError {
    /// Whether the guest, too, may boot without this mount: its mount point is not there, or this
    /// kernel has no driver for a file system that holds no system files.
    pub(super) fn is_bearable(&self) -> bool {
        match self {
            Self::Point { .. } | Self::PointIsRoot { .. } => true,
            Self::Mount { driver, source, .. } => {
                *driver == "vfat"
                    && source.raw_os_error().map(Errno::from_raw) == Some(Errno::ENODEV)
            }
            _ => false,
        }
    }

    /// The whole chain on one line.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}
