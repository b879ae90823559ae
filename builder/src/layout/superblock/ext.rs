//! Ext2, ext3 and ext4 (`fs/ext4/ext4.h`).

use super::{Content, ContentKind, is_block_size};
use crate::bytes::{le16, le32, text, uuid};

const EXT: usize = 1024;

/// The three generations share the superblock; the features tell which one it is.
pub(super) fn probe(head: &[u8]) -> Option<Content> {
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
