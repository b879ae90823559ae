//! The volume groups on a disk, as the report has them.

use std::fmt;
use std::io::{self, Read, Seek};

use schemars::JsonSchema;
use serde::Serialize;

use super::superblock::{Content, ContentKind};
use super::{Partition, PartitionTable, Slot};
use crate::bytes::Window;
use crate::lvm::{self, Backing, Extents, Group, Member, Obstacle};
use crate::units::ByteRange;

pub use crate::lvm::Kind as VolumeKind;

/// A volume group of LVM2 of which a physical volume is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeGroup {
    /// Its name.
    pub name: String,
    /// Its UUID, as LVM prints it.
    pub uuid: String,
    /// How often it has been changed.
    pub seqno: u64,
    /// The size of an extent in bytes.
    pub extent_size: u64,
    /// Its physical volumes, those that are elsewhere among them.
    pub physical_volumes: Vec<PhysicalVolume>,
    /// Its logical volumes, those that are only parts of others among them.
    pub logical_volumes: Vec<LogicalVolume>,
    /// The extents that no volume uses, as bytes of the disk.
    #[serde(skip)]
    pub(crate) free: Vec<ByteRange>,
}

/// A physical volume of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhysicalVolume {
    /// Its UUID, as LVM prints it.
    pub uuid: String,
    /// The number of the partition that it is, 0 for the whole disk; nothing where it is not on
    /// this disk, or where two parts of it claim to be it.
    pub partition: Option<u32>,
    /// The size of its extents together, in bytes.
    pub size: u64,
}

/// A logical volume of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogicalVolume {
    /// Its name.
    pub name: String,
    /// Its UUID, as LVM prints it.
    pub uuid: String,
    /// What it is.
    pub kind: VolumeKind,
    /// Whether it is for use, and not a part of another volume.
    pub visible: bool,
    /// Its size in bytes.
    pub size: u64,
    /// The number of the partition that it begins on, 0 for the whole disk.
    pub partition: Option<u32>,
    /// Its bytes on the disk, where they are in one piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<ByteRange>,
    /// What is in it, as far as that can be seen without the kernel.
    pub content: Content,
    /// Why it cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    #[serde(skip)]
    pub(crate) backing: Result<Backing, Obstacle>,
}

/// Metadata of LVM2 that are not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LvmFault {
    /// The number of the partition that they are on, 0 for the whole disk.
    pub partition: u32,
    /// What is wrong with them.
    pub reason: String,
}

impl LogicalVolume {
    /// Whether a part of it is on a physical volume that is not on this disk.
    pub(crate) fn is_partial(&self) -> bool {
        self.backing.as_ref().is_err_and(Obstacle::is_missing)
    }

    /// Whether what is in it was seen.
    pub(crate) fn is_looked_into(&self) -> bool {
        self.backing.is_ok() && (self.kind != VolumeKind::Thin || self.content.kind.is_known())
    }
}

/// A volume group and a volume of it, as `vg/root`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogicalName {
    /// The name of the group.
    pub group: String,
    /// The name of the volume.
    pub volume: String,
}

impl LogicalName {
    /// The name of its device below `/dev/mapper`: hyphens are doubled, but for the one between.
    pub fn mapper(&self) -> String {
        let double = |name: &str| name.replace('-', "--");
        format!("{}-{}", double(&self.group), double(&self.volume))
    }
}

impl fmt::Display for LogicalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.volume)
    }
}

/// Reads the groups that the physical volumes on a disk belong to.
pub(super) fn read<R: Read + Seek>(
    disk: &mut R,
    disk_size: u64,
    table: &PartitionTable,
    partitions: &[Partition],
) -> io::Result<(Vec<VolumeGroup>, Vec<LvmFault>)> {
    let whole = ByteRange::new(0, disk_size).map(|range| (0, range));
    let bare = match table {
        PartitionTable::None { content } if content.kind == ContentKind::Lvm2 => whole,
        _ => None,
    };
    let members: Vec<Member> = partitions
        .iter()
        .filter(|partition| partition.content.kind == ContentKind::Lvm2)
        .map(|partition| (partition.number, partition.range))
        .chain(bare)
        .filter_map(|(partition, range)| {
            // A partition may claim to go on behind the end of the disk.
            let len = disk_size.min(range.end()).checked_sub(range.start())?;
            Some(Member {
                partition,
                range: ByteRange::new(range.start(), len)?,
            })
        })
        .collect();
    let found = lvm::read(disk, &members)?;
    let faults = found
        .faults
        .iter()
        .map(|fault| LvmFault {
            partition: fault.partition,
            reason: fault.error.to_string(),
        })
        .collect();
    let mut groups = Vec::new();
    for group in &found.groups {
        let namesakes = found.groups.iter().filter(|other| other.name == group.name);
        let mut group = volume_group(disk, group, namesakes.count() > 1)?;
        // Where partitions overlap, what is free in one may be in use by the other.
        group.free.retain(|range| {
            let owners = partitions.iter().filter(|partition| {
                partition.slot != Slot::Extended && partition.range.overlaps(*range)
            });
            owners.count() <= 1
        });
        groups.push(group);
    }
    Ok((groups, faults))
}

fn volume_group<R: Read + Seek>(
    disk: &mut R,
    group: &Group,
    ambiguous: bool,
) -> io::Result<VolumeGroup> {
    let mut logical_volumes = Vec::new();
    for volume in &group.logical {
        let backing = if ambiguous {
            Err(Obstacle::Ambiguous {
                group: group.name.clone(),
            })
        } else {
            group.backing(volume)
        };
        let mut content = Content::of(ContentKind::Unknown);
        // What is only a part of another volume means nothing by itself.
        if volume.visible
            && let Ok(backing) = &backing
            && let Some(mut extents) = Extents::new(disk, backing)
            && let Some(range) = extents.range()
        {
            content = Content::probe(&mut Window::new(&mut extents, range))?;
        }
        logical_volumes.push(LogicalVolume {
            name: volume.name.clone(),
            uuid: volume.uuid.clone(),
            kind: volume.kind,
            visible: volume.visible,
            size: volume.size,
            partition: group.first_member(volume),
            range: match &backing {
                Ok(Backing::Range(range)) => Some(*range),
                _ => None,
            },
            content,
            obstacle: backing.as_ref().err().map(Obstacle::to_string),
            backing,
        });
    }
    let free = group
        .free()
        .into_iter()
        .filter(|_| !ambiguous && !group.exported)
        .filter_map(|(volume, first, count)| {
            let len = count.checked_mul(group.extent_size)?;
            group.bytes(volume, first, len).ok()
        })
        .collect();
    Ok(VolumeGroup {
        name: group.name.clone(),
        uuid: group.uuid.clone(),
        seqno: group.seqno,
        extent_size: group.extent_size,
        physical_volumes: group
            .physical
            .iter()
            .map(|physical| PhysicalVolume {
                uuid: physical.uuid.clone(),
                partition: physical.member.map(|member| member.partition),
                size: physical.extents.saturating_mul(group.extent_size),
            })
            .collect(),
        logical_volumes,
        free,
    })
}
