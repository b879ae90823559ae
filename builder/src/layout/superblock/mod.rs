//! What fills a partition, by its superblock: type, UUID and label as blkid prints them. One file
//! for each family.
//!
//! What is stronger comes first: a RAID member or an encrypted volume may look like the file
//! system in it.

mod bcache;
mod boot_sector;
mod btrfs;
mod exfat;
mod ext;
mod fat;
mod luks;
mod lvm2;
mod ntfs;
mod raid;
mod swap;
mod xfs;
mod zfs;

use std::io::{self, Read, Seek};

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::Window;
use crate::units::ByteRange;

pub(crate) use swap::{SWAP_HEAD, is_hibernated, swap_pages};

/// What is read from the beginning of a partition, in bytes: up to the end of the last superblock
/// that is looked for, that of btrfs.
const HEAD: u64 = 65_536 + 4096;

/// Those that the head is enough for, the stronger ones first.
const HEAD_PROBES: [fn(&[u8]) -> Option<Content>; 8] = [
    luks::probe,
    boot_sector::bit_locker,
    lvm2::probe,
    bcache::probe,
    swap::probe,
    xfs::probe,
    ext::probe,
    btrfs::probe,
];

/// What fills a partition or a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// Its UUID, as blkid prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its label, as blkid prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The unit in which a file system gives out space, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Whether an ext journal holds changes that are not in their place yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_recovery: bool,
}

/// The kinds of content that byoi tells apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// Zeros as far as one looks.
    #[default]
    Empty,
    /// Something else.
    Unknown,
    /// The second extended file system.
    Ext2,
    /// The third one: with a journal.
    Ext3,
    /// The fourth one.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// exFAT.
    #[serde(rename = "exfat")]
    ExFat,
    /// NTFS.
    Ntfs,
    /// A Linux swap area.
    Swap,
    /// A Linux swap area that holds a hibernated system.
    #[serde(rename = "swsuspend")]
    Hibernated,
    /// A physical volume of LVM2.
    #[serde(rename = "LVM2_member")]
    Lvm2,
    /// A LUKS volume of version 1.
    Luks1,
    /// A LUKS volume of version 2.
    Luks2,
    /// A volume encrypted by BitLocker.
    #[serde(rename = "BitLocker")]
    BitLocker,
    /// A member of a Linux software RAID.
    #[serde(rename = "linux_raid_member")]
    MdRaid,
    /// A member of a ZFS pool.
    #[serde(rename = "zfs_member")]
    Zfs,
    /// A device of bcache: a cache, or what is cached.
    Bcache,
    /// An extended partition: nothing but the chain of logical ones.
    Extended,
}

/// The file systems that hold Linux systems here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinuxFs {
    /// Ext2, ext3 or ext4: the kernel has one driver for the three.
    Ext,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl LinuxFs {
    /// The name of the kernel's driver.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Ext => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

impl ContentKind {
    /// The name, that of blkid where blkid has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unknown => "unknown",
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::ExFat => "exfat",
            Self::Ntfs => "ntfs",
            Self::Swap => "swap",
            Self::Hibernated => "swsuspend",
            Self::Lvm2 => "LVM2_member",
            Self::Luks1 | Self::Luks2 => "crypto_LUKS",
            Self::BitLocker => "BitLocker",
            Self::MdRaid => "linux_raid_member",
            Self::Zfs => "zfs_member",
            Self::Bcache => "bcache",
            Self::Extended => "extended",
        }
    }

    /// The Linux file system that this is.
    pub fn linux_fs(self) -> Option<LinuxFs> {
        match self {
            Self::Ext2 | Self::Ext3 | Self::Ext4 => Some(LinuxFs::Ext),
            Self::Xfs => Some(LinuxFs::Xfs),
            Self::Btrfs => Some(LinuxFs::Btrfs),
            _ => None,
        }
    }

    /// Whether it cannot be read without a key.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Luks1 | Self::Luks2 | Self::BitLocker)
    }

    /// Whether a superblock says what it is.
    pub fn is_known(self) -> bool {
        !matches!(self, Self::Empty | Self::Unknown)
    }
}

impl Content {
    /// Content of a kind about which there is no more to say.
    pub(in crate::layout) fn of(kind: ContentKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Looks at the superblocks in a part of a disk.
    pub(crate) fn probe<R: Read + Seek>(part: &mut Window<'_, R>) -> io::Result<Self> {
        if let Some(raid) = raid::probe(part)? {
            return Ok(raid);
        }
        let head = part.read(0, HEAD)?;
        if let Some(content) = HEAD_PROBES.iter().find_map(|probe| probe(&head)) {
            return Ok(content);
        }
        if let Some(content) = boot_sector::probe(&head, part)? {
            return Ok(content);
        }
        if let Some(content) = zfs::probe(part)? {
            return Ok(content);
        }
        Ok(Self::of(if head.iter().all(|&byte| byte == 0) {
            ContentKind::Empty
        } else {
            ContentKind::Unknown
        }))
    }
}

/// The pages of the swap area that a part of a disk is, as [`swap_pages`]. `None` also where
/// another superblock has a claim: not every mkfs removes the header of a swap area.
pub(crate) fn own_swap_pages<R: Read + Seek>(
    part: &mut Window<'_, R>,
) -> io::Result<Option<ByteRange>> {
    let head = part.read(0, HEAD)?;
    let claimed = HEAD_PROBES
        .iter()
        .filter_map(|probe| probe(&head))
        .any(|content| content.kind != ContentKind::Swap)
        || raid::probe(part)?.is_some()
        || boot_sector::probe(&head, part)?.is_some()
        || zfs::probe(part)?.is_some();
    Ok(swap_pages(&head, part.len()).filter(|_| !claimed))
}

fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}
