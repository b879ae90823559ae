//! What may hold a file system: a partition or a logical volume.

use std::fmt;

use super::{Content, Layout, LogicalName, LogicalVolume, Partition, VolumeGroup};
use crate::lvm::Backing;

/// Which part of a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartId {
    /// The partition of this number.
    Partition(u32),
    /// A logical volume.
    Logical(LogicalName),
}

impl PartId {
    /// The name of the logical volume, as `group/volume`.
    pub(crate) fn logical_volume(&self) -> Option<String> {
        match self {
            Self::Logical(name) => Some(name.to_string()),
            Self::Partition(_) => None,
        }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(number) => write!(f, "partition {number}"),
            Self::Logical(name) => write!(f, "logical volume {name}"),
        }
    }
}

/// A part of a disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Partition(&'a Partition),
    Logical(&'a VolumeGroup, &'a LogicalVolume),
}

impl<'a> Part<'a> {
    pub(crate) fn id(self) -> PartId {
        match self {
            Self::Partition(partition) => PartId::Partition(partition.number),
            Self::Logical(group, volume) => PartId::Logical(LogicalName {
                group: group.name.clone(),
                volume: volume.name.clone(),
            }),
        }
    }

    pub(crate) fn content(self) -> &'a Content {
        match self {
            Self::Partition(partition) => &partition.content,
            Self::Logical(_, volume) => &volume.content,
        }
    }

    /// The number of the partition that it is or begins on, 0 for the whole disk.
    pub(crate) fn partition(self) -> u32 {
        match self {
            Self::Partition(partition) => partition.number,
            Self::Logical(_, volume) => volume.partition.unwrap_or(0),
        }
    }

    /// Its bytes; `None` where they cannot be had.
    pub(crate) fn backing(self) -> Option<Backing> {
        match self {
            Self::Partition(partition) => Some(Backing::Range(partition.range)),
            Self::Logical(_, volume) => volume.backing.clone().ok(),
        }
    }

    /// Why its bytes cannot be had.
    pub(crate) fn obstacle(self) -> Option<&'a str> {
        match self {
            Self::Partition(_) => None,
            Self::Logical(_, volume) => volume.obstacle.as_deref(),
        }
    }
}

impl Layout {
    /// The partitions, then the logical volumes that are for use.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let logical = self.volume_groups.iter().flat_map(|group| {
            group
                .logical_volumes
                .iter()
                .filter(|volume| volume.visible)
                .map(move |volume| Part::Logical(group, volume))
        });
        self.partitions.iter().map(Part::Partition).chain(logical)
    }

    /// The part with this name.
    pub(crate) fn part(&self, id: &PartId) -> Option<Part<'_>> {
        match id {
            PartId::Partition(number) => self.partition(*number).map(Part::Partition),
            PartId::Logical(_) => self.parts().find(|part| part.id() == *id),
        }
    }
}
