//! Physical volumes of LVM2.

use super::{Content, ContentKind};
use crate::bytes::has;
use crate::lvm;

pub(super) fn probe(head: &[u8]) -> Option<Content> {
    (0..4)
        .map(|sector| sector * 512)
        .any(|at| has(head, at, b"LABELONE") && has(head, at + 24, b"LVM2 001"))
        .then(|| Content {
            uuid: lvm::pv_uuid(head),
            ..Content::of(ContentKind::Lvm2)
        })
}
