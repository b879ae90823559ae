//! The guest's file systems, mounted below one directory as the guest would mount them.
//!
//! [`MountedGuest::mount`] takes the disk and [`MountedGuest::close`] gives it back, so nothing can
//! read or seal the disk while it is mounted. It needs a [`PrivateMounts`]: no mount is ever seen
//! by the rest of the host, and when the process dies, however it dies, the kernel unmounts all.
//!
//! The guest is not trusted. Its paths are resolved inside its own root only (`openat2` with
//! `RESOLVE_IN_ROOT`), mounts are `nosuid,nodev,noexec`, the file system type is always given, and
//! nothing of the guest is run. A hibernated guest is refused: its memory holds another state of
//! the file systems.

mod confined;
mod erase;
mod error;
mod mounts;
mod namespace;
mod plan;
mod root;
mod subvolume;
mod swap;
mod trim;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use byoi_agent::interrupt;
use schemars::JsonSchema;
use serde::Serialize;

pub use error::GuestError;
pub use namespace::PrivateMounts;
pub use swap::EmptiedSwap;
pub use trim::Trimmed;

use crate::disk::{Access, AttachedDisk};
use crate::layout::{ContentKind, Layout, Part, PartId};
use crate::units::ByteRange;
use mounts::{MountStack, Mountable};
use plan::Step;
use root::Root;

/// A guest whose file systems are mounted.
///
/// Call [`MountedGuest::close`]: a drop unmounts too, but can only log what goes wrong.
#[derive(Debug)]
#[must_use = "a guest is unmounted when it is dropped"]
pub struct MountedGuest {
    // Dropped in this order: first the mounts, then the disk below them.
    stack: MountStack,
    disk: AttachedDisk,
    mounts: Vec<GuestMount>,
    /// The parts of the disk that are.
    mounted: BTreeSet<PartId>,
    /// The swap files of its fstab.
    swap_files: Vec<String>,
    access: Access,
}

/// What of the disk was emptied, so that nothing that was deleted stays in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Emptied {
    /// How the free space of the file systems was emptied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub free_space: Vec<Trimmed>,
    /// The swap space.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emptied_swap: Vec<EmptiedSwap>,
    /// What belongs to no partition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emptied_gaps: Vec<ByteRange>,
}

/// One file system of the guest's own disk that its fstab names, or its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GuestMount {
    /// The mount point, as the guest's fstab spells it.
    pub point: String,
    /// The number of the partition; of a logical volume, that of the one that it begins on.
    pub partition: u32,
    /// The logical volume, as `group/volume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_volume: Option<String>,
    /// The type of the file system.
    pub file_system: &'static str,
    /// The directory of a btrfs that is mounted, from its top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subvolume: Option<String>,
    /// Why it is not mounted; nothing where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl MountedGuest {
    /// Finds the root file system on the disk and mounts it with all that its fstab adds from the
    /// same disk, below a new directory in `workdir`. For reading only, not even a journal is
    /// replayed.
    ///
    /// # Errors
    ///
    /// [`GuestError`]: there is no root file system or more than one, the guest is hibernated, or
    /// something cannot be attached or mounted. Then all is unmounted again and the disk is gone.
    pub fn mount(
        disk: AttachedDisk,
        layout: &Layout,
        workdir: &Path,
        _private: &PrivateMounts,
        access: Access,
    ) -> Result<Self, GuestError> {
        for part in layout.parts() {
            if part.content().kind == ContentKind::Hibernated {
                return Err(GuestError::Hibernated {
                    place: part.id().to_string(),
                });
            }
        }
        let root = root::find(&disk, layout, workdir)?;
        let mut guest = Self {
            stack: MountStack::new(workdir)?,
            disk,
            mounts: Vec::new(),
            mounted: BTreeSet::new(),
            swap_files: root.swap_files().map(str::to_owned).collect(),
            access,
        };
        guest.mount_root(&root, layout)?;
        for step in plan::plan(&root, layout) {
            interrupt::check().map_err(|source| GuestError::Interrupted { source })?;
            guest.mount_further(&step, layout)?;
        }
        Ok(guest)
    }

    fn mount_root(&mut self, root: &Root, layout: &Layout) -> Result<(), GuestError> {
        let Some(part) = layout.part(&root.part) else {
            return Err(GuestError::NoRoot {
                seen: "no partition".to_owned(),
            });
        };
        let what =
            Mountable::new(part, self.access, root.mount_option().as_deref()).ok_or_else(|| {
                GuestError::NoRoot {
                    seen: root::describe(part),
                }
            })?;
        self.stack.mount(&self.disk, &what, "/")?;
        self.record(part, "/", None);
        Ok(())
    }

    /// What the guest itself could do without is no error: its reason is recorded.
    fn mount_further(&mut self, step: &Step, layout: &Layout) -> Result<(), GuestError> {
        let Some(part) = layout.part(&step.part) else {
            return Ok(());
        };
        let subvolume = step.subvolume.as_deref();
        let skipped = if let Some(reason) = &step.refused {
            Some((*reason).to_owned())
        } else if let Some(obstacle) = part.obstacle() {
            Some(obstacle.to_owned())
        } else if let Some(what) = Mountable::new(part, self.access, subvolume) {
            match self.stack.mount(&self.disk, &what, &step.point) {
                Ok(()) => None,
                Err(error) if error.is_bearable() => Some(error.reason()),
                Err(error) => return Err(error),
            }
        } else {
            Some("not a file system that byoi mounts".to_owned())
        };
        self.record(part, &step.point, skipped.as_deref());
        Ok(())
    }

    fn record(&mut self, part: Part<'_>, point: &str, skipped: Option<&str>) {
        let id = part.id();
        let btrfs = part.content().kind == ContentKind::Btrfs && skipped.is_none();
        let directory = btrfs.then(|| self.stack.open(point).ok()).flatten();
        self.mounts.push(GuestMount {
            point: point.to_owned(),
            partition: part.partition(),
            logical_volume: id.logical_volume(),
            file_system: part.content().kind.name(),
            subvolume: directory.and_then(|directory| subvolume::of_mount(&directory).ok()?),
            skipped: skipped.map(str::to_owned),
        });
        if skipped.is_none() {
            self.mounted.insert(id);
        }
    }

    /// The directory that is the guest's `/`. Its files are to be opened confined to it only.
    pub fn root(&self) -> &Path {
        self.stack.dir()
    }

    /// The open disk, for what lies outside of file systems.
    pub fn disk(&self) -> &File {
        self.disk.file()
    }

    /// What is mounted, and what is not and why, in the order of mounting.
    pub fn mounts(&self) -> &[GuestMount] {
        &self.mounts
    }

    /// Writes everything back, unmounts in reverse order and gives the disk back.
    ///
    /// # Errors
    ///
    /// [`GuestError`]: a write failed late, or a mount point is still in use.
    pub fn close(self) -> Result<AttachedDisk, GuestError> {
        let Self {
            mut stack, disk, ..
        } = self;
        stack.tear_down()?;
        Ok(disk)
    }

    /// Closes the guest and empties what nobody uses: swap space, the free space of the file systems
    /// that were mounted and of volume groups, and the gaps between partitions.
    ///
    /// File systems that the guest does not mount stay as they are, to the bit: they may be sealed
    /// by a hash (dm-verity), belong to a hibernated system, or be snapshots.
    ///
    /// # Errors
    ///
    /// [`GuestError`], as [`MountedGuest::close`]; or a file system cannot be discarded or filled,
    /// the host has too little room to fill it, or a signal arrived.
    pub fn close_emptied(
        self,
        layout: &Layout,
        workdir: &Path,
    ) -> Result<(AttachedDisk, Emptied), GuestError> {
        let mut emptied = Emptied {
            emptied_swap: swap::empty_files(self.root(), &self.swap_files)?,
            ..Emptied::default()
        };
        let mounted = self.mounted.clone();
        let disk = self.close()?;
        // What is free or swap space to one partition may be the data of another.
        let certain = !layout.is_contested();
        for part in layout.parts() {
            if mounted.contains(&part.id()) {
                emptied.free_space.extend(trim::trim(&disk, part, workdir)?);
            }
            if certain {
                emptied.emptied_swap.extend(swap::empty_part(&disk, part)?);
            }
        }
        for group in &layout.volume_groups {
            erase::free_extents(&disk, group)?;
        }
        emptied.emptied_gaps = erase::gaps(&disk, layout)?;
        Ok((disk, emptied))
    }
}

#[cfg(test)]
mod tests;
