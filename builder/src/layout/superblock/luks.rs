//! LUKS, both versions (cryptsetup, "LUKS1" and "LUKS2 On-Disk Format Specification").

use super::{Content, ContentKind};
use crate::bytes::{be16, has, text};

pub(super) fn probe(head: &[u8]) -> Option<Content> {
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
