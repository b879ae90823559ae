//! XFS (`fs/xfs/libxfs/xfs_format.h`).

use super::{Content, ContentKind, is_block_size};
use crate::bytes::{be32, has, text, uuid};

pub(super) fn probe(head: &[u8]) -> Option<Content> {
    let block_size = be32(head, 4);
    (has(head, 0, b"XFSB") && is_block_size(block_size)).then(|| Content {
        kind: ContentKind::Xfs,
        uuid: uuid(head, 32),
        label: text(head, 108, 12),
        block_size: Some(block_size),
        needs_recovery: false,
    })
}
