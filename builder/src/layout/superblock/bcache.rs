//! Bcache (`drivers/md/bcache/bcache_ondisk.h`).

use super::{Content, ContentKind};
use crate::bytes::{has, le64, text, uuid};

const BCACHE: usize = 4096;
const MAGIC: &[u8] = &[
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];

pub(super) fn probe(head: &[u8]) -> Option<Content> {
    // The superblock knows the sector that it is in.
    (has(head, BCACHE + 24, MAGIC) && le64(head, BCACHE + 8) == 8).then(|| Content {
        uuid: uuid(head, BCACHE + 40),
        label: text(head, BCACHE + 72, 32),
        ..Content::of(ContentKind::Bcache)
    })
}
