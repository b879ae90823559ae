//! FAT12, FAT16 and FAT32 (Microsoft, "FAT: General Overview of On-Disk Format").
//!
//! The label that counts is the one in the root directory, as for blkid and Windows.

use std::io::{self, Read, Seek};

use super::boot_sector::{cluster, serial};
use super::{Content, ContentKind};
use crate::bytes::{Window, has, le16, le32, text};

const ENTRY: usize = 32;
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// The attributes of a part of a long name.
const LONG_NAME: u8 = 0x0f;
/// How many clusters of a root directory are looked at.
const MAX_CLUSTERS: u32 = 100;

pub(super) fn read<R: Read + Seek>(head: &[u8], part: &mut Window<'_, R>) -> io::Result<Content> {
    // FAT32 has its fields 28 bytes further on.
    let fat32 = has(head, 82, b"FAT32");
    let base = if fat32 { 28 } else { 0 };
    let byte = |offset: usize| head.get(offset).copied().unwrap_or(0);
    Ok(Content {
        uuid: Some(serial(le32(head, base + 39))),
        label: if fat32 {
            label_in_chain(head, part)?
        } else {
            label_in_root(head, part)?
        },
        block_size: cluster(le16(head, 11).into(), byte(13)),
        ..Content::of(ContentKind::Vfat)
    })
}

/// FAT12 and FAT16 have the root directory behind the allocation tables.
fn label_in_root<R: Read + Seek>(
    head: &[u8],
    part: &mut Window<'_, R>,
) -> io::Result<Option<String>> {
    let [sector_size, reserved, entries, table] = [11, 14, 17, 22].map(|at| le16(head, at));
    let tables = u64::from(head.get(16).copied().unwrap_or(0)) * u64::from(table);
    let start = (u64::from(reserved) + tables) * u64::from(sector_size);
    let root = part.read(start, u64::from(entries) * 32)?;
    Ok(label(&root).flatten())
}

/// FAT32 has it anywhere, in a chain of clusters.
fn label_in_chain<R: Read + Seek>(
    head: &[u8],
    part: &mut Window<'_, R>,
) -> io::Result<Option<String>> {
    let sector_size = u64::from(le16(head, 11));
    let reserved = u64::from(le16(head, 14)) * sector_size;
    let tables = u64::from(head.get(16).copied().unwrap_or(0)) * u64::from(le32(head, 36));
    // At most 128 sectors of 4096 bytes; all factors are small enough for 64 bits.
    let cluster = u64::from(head.get(13).copied().unwrap_or(0)) * sector_size;
    let data = reserved + tables * sector_size;
    let mut next = le32(head, 44) & 0x0fff_ffff;
    for _ in 0..MAX_CLUSTERS {
        if !(2..0x0fff_fff0).contains(&next) {
            break;
        }
        let root = part.read(data + (u64::from(next) - 2) * cluster, cluster)?;
        if let Some(label) = label(&root) {
            return Ok(label);
        }
        let entry = part.read(reserved + u64::from(next) * 4, 4)?;
        next = le32(&entry, 0) & 0x0fff_ffff;
    }
    Ok(None)
}

/// The label in a piece of a directory; `None` where the directory goes on behind it.
fn label(directory: &[u8]) -> Option<Option<String>> {
    for entry in directory.chunks_exact(ENTRY) {
        let attributes = entry[11];
        if entry[0] == 0 {
            return Some(None);
        }
        let has_content = le16(entry, 20) != 0 || le16(entry, 26) != 0;
        if entry[0] == 0xe5 || has_content || attributes & 0x3f == LONG_NAME {
            continue;
        }
        if attributes & (VOLUME_LABEL | DIRECTORY) == VOLUME_LABEL {
            return Some(text(entry, 0, 11));
        }
    }
    None
}
