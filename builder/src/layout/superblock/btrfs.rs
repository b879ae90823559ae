//! Btrfs (`include/uapi/linux/btrfs_tree.h`).

use super::{Content, ContentKind, is_block_size};
use crate::bytes::{has, le32, text, uuid};

const BTRFS: usize = 65_536;

pub(super) fn probe(head: &[u8]) -> Option<Content> {
    let sector_size = le32(head, BTRFS + 0x90);
    (has(head, BTRFS + 64, b"_BHRfS_M") && is_block_size(sector_size)).then(|| Content {
        kind: ContentKind::Btrfs,
        uuid: uuid(head, BTRFS + 32),
        label: text(head, BTRFS + 0x12b, 256),
        block_size: Some(sector_size),
        needs_recovery: false,
    })
}
