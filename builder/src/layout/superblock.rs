//! What fills a partition, by its superblock: type, UUID and label as blkid prints them.
//!
//! Sources: the superblock structures of Linux (`fs/*/`), of LVM2 (`format_text/layout.h`), of
//! cryptsetup (on-disk format 1 and 2) and of md (`md_p.h`); the FAT and NTFS parameter blocks.
//! What is stronger comes first: a RAID member or an encrypted volume may look like the file
//! system in it.

use std::io::{self, Read, Seek};

use schemars::JsonSchema;
use serde::Serialize;

use super::mbr::is_fat;
use crate::bytes::{Window, array, be16, be32, guid, has, le16, le32, le64, text, uuid};

/// What is read from the beginning of a partition, in bytes: up to the end of the last superblock
/// that is looked for, that of btrfs.
const HEAD: u64 = 65_536 + 4096;
const EXT: usize = 1024;
const BTRFS: usize = 65_536;
/// The page sizes that a swap area may have been made for, in bytes.
const PAGE_SIZES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
const MD_MAGIC: u32 = 0xa92b_4efc;

/// What fills a partition or a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// Its UUID, as blkid prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its label. That of NTFS and exFAT is not read.
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
    pub(super) fn of(kind: ContentKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Looks at the superblocks in a part of a disk.
    pub(super) fn probe<R: Read + Seek>(part: &mut Window<'_, R>) -> io::Result<Self> {
        if let Some(raid) = md_raid(part)? {
            return Ok(raid);
        }
        let head = part.read(0, HEAD)?;
        let probes = [luks, bit_locker, lvm2, swap, xfs, ext, btrfs, boot_sector];
        Ok(probes
            .iter()
            .find_map(|probe| probe(&head))
            .unwrap_or_else(|| {
                Self::of(if head.iter().all(|&byte| byte == 0) {
                    ContentKind::Empty
                } else {
                    ContentKind::Unknown
                })
            }))
    }
}

/// Members of version 1.x have their superblock at the beginning (1.1), 4 KiB further (1.2) or at
/// the end (1.0), those of 0.90 at the end as well.
fn md_raid<R: Read + Seek>(part: &mut Window<'_, R>) -> io::Result<Option<Content>> {
    let sectors = part.len() / 512;
    let at_end = (sectors.saturating_sub(16) & !7) * 512;
    for offset in [0, 4096, at_end] {
        let block = part.read(offset, 256)?;
        if le32(&block, 0) == MD_MAGIC && le32(&block, 4) == 1 {
            return Ok(Some(Content {
                uuid: uuid(&block, 16),
                label: text(&block, 32, 32),
                ..Content::of(ContentKind::MdRaid)
            }));
        }
    }
    let reserved = 64 * 1024;
    let Some(offset) = (part.len() & !(reserved - 1)).checked_sub(reserved) else {
        return Ok(None);
    };
    let block = part.read(offset, 256)?;
    if le32(&block, 0) != MD_MAGIC || le32(&block, 4) != 0 {
        return Ok(None);
    }
    let mut raw = [0; 16];
    raw[..4].copy_from_slice(&array::<4>(&block, 20));
    raw[4..].copy_from_slice(&array::<12>(&block, 52));
    // Four numbers in the order of the machine, printed as numbers.
    raw.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Ok(Some(Content {
        uuid: uuid(&raw, 0),
        ..Content::of(ContentKind::MdRaid)
    }))
}

fn luks(head: &[u8]) -> Option<Content> {
    if !has(head, 0, b"LUKS\xba\xbe") {
        return None;
    }
    let (kind, label) = match be16(head, 6) {
        1 => (ContentKind::Luks1, None),
        2 => (ContentKind::Luks2, text(head, 24, 48)),
        _ => return None,
    };
    Some(Content {
        uuid: text(head, 168, 40),
        label,
        ..Content::of(kind)
    })
}

/// BitLocker, also "to go", whose boot sector is that of a FAT but for a GUID.
fn bit_locker(head: &[u8]) -> Option<Content> {
    let to_go = has(head, 3, b"MSWIN4.1")
        && guid(head, 424).as_deref() == Some("4967d63b-2e29-4ad8-8399-f6a339e3d001");
    (has(head, 3, b"-FVE-FS-") || to_go).then(|| Content::of(ContentKind::BitLocker))
}

fn lvm2(head: &[u8]) -> Option<Content> {
    let label = (0..4)
        .map(|sector| sector * 512)
        .find(|&at| has(head, at, b"LABELONE") && has(head, at + 24, b"LVM2 001"))?;
    let header = usize::try_from(le32(head, label + 20)).ok()?;
    let raw = text(head, label.checked_add(header)?, 32);
    // 32 characters in groups of 6, 4, 4, 4, 4, 4 and 6.
    let uuid = raw
        .filter(|raw| raw.len() == 32 && raw.is_ascii())
        .map(|raw| {
            [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32]
                .map(|group| &raw[group])
                .join("-")
        });
    Some(Content {
        uuid,
        ..Content::of(ContentKind::Lvm2)
    })
}

/// The first bytes of a swap area or file, by the end of the largest page.
pub(crate) const SWAP_HEAD: usize = 65_536;

/// Whether a swap area or file that begins like this holds a hibernated system.
pub(crate) fn is_hibernated(head: &[u8]) -> bool {
    swap(head).is_some_and(|content| content.kind == ContentKind::Hibernated)
}

fn swap(head: &[u8]) -> Option<Content> {
    const HIBERNATED: [&[u8]; 5] = [
        b"S1SUSPEND",
        b"S2SUSPEND",
        b"ULSUSPEND",
        b"LINHIB0001",
        b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c",
    ];
    const SWAP: [&[u8]; 2] = [b"SWAPSPACE2", b"SWAP-SPACE"];
    let kind = PAGE_SIZES.iter().find_map(|page| {
        let at = page - 10;
        if SWAP.iter().any(|magic| has(head, at, magic)) {
            Some(ContentKind::Swap)
        } else if HIBERNATED.iter().any(|magic| has(head, at, magic)) {
            Some(ContentKind::Hibernated)
        } else {
            None
        }
    })?;
    Some(Content {
        uuid: uuid(head, 1024 + 12),
        label: text(head, 1024 + 28, 16),
        ..Content::of(kind)
    })
}

fn xfs(head: &[u8]) -> Option<Content> {
    let block_size = be32(head, 4);
    (has(head, 0, b"XFSB") && is_block_size(block_size)).then(|| Content {
        kind: ContentKind::Xfs,
        uuid: uuid(head, 32),
        label: text(head, 108, 12),
        block_size: Some(block_size),
        needs_recovery: false,
    })
}

/// The three generations share the superblock; the features tell which one it is.
fn ext(head: &[u8]) -> Option<Content> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const NEEDS_RECOVERY: u32 = 0x4;
    /// File types, journal to be replayed, meta block groups.
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    /// Sparse superblocks, large files, B-tree directories.
    const EXT3_READ_ONLY_COMPATIBLE: u32 = 0x1 | 0x2 | 0x4;
    let magic = le16(head, EXT + 56) == 0xef53;
    let [compatible, incompatible, read_only_compatible] =
        [92, 96, 100].map(|offset| le32(head, EXT + offset));
    let block_size = 1024_u32.checked_shl(le32(head, EXT + 24))?;
    if !magic || !is_block_size(block_size) || incompatible & JOURNAL_DEVICE != 0 {
        return None;
    }
    let newer = incompatible & !EXT3_INCOMPATIBLE != 0
        || read_only_compatible & !EXT3_READ_ONLY_COMPATIBLE != 0;
    let kind = if newer {
        ContentKind::Ext4
    } else if compatible & HAS_JOURNAL != 0 {
        ContentKind::Ext3
    } else {
        ContentKind::Ext2
    };
    Some(Content {
        kind,
        uuid: uuid(head, EXT + 104),
        label: text(head, EXT + 120, 16),
        block_size: Some(block_size),
        needs_recovery: incompatible & NEEDS_RECOVERY != 0,
    })
}

fn btrfs(head: &[u8]) -> Option<Content> {
    let sector_size = le32(head, BTRFS + 0x90);
    (has(head, BTRFS + 64, b"_BHRfS_M") && is_block_size(sector_size)).then(|| Content {
        kind: ContentKind::Btrfs,
        uuid: uuid(head, BTRFS + 32),
        label: text(head, BTRFS + 0x12b, 256),
        block_size: Some(sector_size),
        needs_recovery: false,
    })
}

/// The file systems that begin with a boot sector.
fn boot_sector(head: &[u8]) -> Option<Content> {
    if !has(head, 510, &[0x55, 0xaa]) {
        return None;
    }
    let cluster = |sector_size: u32, sectors: u8| {
        sector_size
            .checked_mul(u32::from(sectors))
            .filter(|&size| size > 0)
    };
    let byte = |offset: usize| head.get(offset).copied().unwrap_or(0);
    if has(head, 3, b"NTFS    ") {
        return Some(Content {
            uuid: Some(format!("{:016X}", le64(head, 72))),
            block_size: cluster(le16(head, 11).into(), byte(13)),
            needs_recovery: false,
            ..Content::of(ContentKind::Ntfs)
        });
    }
    if has(head, 3, b"EXFAT   ") {
        return Some(Content {
            uuid: Some(serial(le32(head, 100))),
            ..Content::of(ContentKind::ExFat)
        });
    }
    is_fat(head).then(|| {
        // FAT32 has its fields 28 bytes further on.
        let base = if has(head, 82, b"FAT32") { 28 } else { 0 };
        Content {
            kind: ContentKind::Vfat,
            uuid: Some(serial(le32(head, base + 39))),
            label: text(head, base + 43, 11).filter(|label| label != "NO NAME"),
            block_size: cluster(le16(head, 11).into(), byte(13)),
            needs_recovery: false,
        }
    })
}

fn serial(number: u32) -> String {
    format!("{:04X}-{:04X}", number >> 16, number & 0xffff)
}

fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}
