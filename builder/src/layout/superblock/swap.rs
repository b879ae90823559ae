//! Linux swap areas, and the systems that hibernate in them (`mm/swapfile.c`,
//! `kernel/power/swap.c`).

use super::{Content, ContentKind};
use crate::bytes::{has, le32, text, uuid};

/// The page sizes that a swap area may have been made for, in bytes.
const PAGE_SIZES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// The first bytes of a swap area or file, by the end of the largest page.
pub(crate) const SWAP_HEAD: usize = 65_536;

/// Whether a swap area or file that begins like this holds a hibernated system.
pub(crate) fn is_hibernated(head: &[u8]) -> bool {
    probe(head).is_some_and(|content| content.kind == ContentKind::Hibernated)
}

pub(super) fn probe(head: &[u8]) -> Option<Content> {
    const HIBERNATED: [&[u8]; 5] = [
        b"S1SUSPEND",
        b"S2SUSPEND",
        b"ULSUSPEND",
        b"LINHIB0001",
        b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c",
    ];
    let kind = PAGE_SIZES.iter().find_map(|page| {
        let at = page - 10;
        if has(head, at, b"SWAPSPACE2") || has(head, at, b"SWAP-SPACE") {
            Some(ContentKind::Swap)
        } else if HIBERNATED.iter().any(|magic| has(head, at, magic)) {
            Some(ContentKind::Hibernated)
        } else {
            None
        }
    })?;
    // The first version has a map of bad pages where the others have a header.
    if PAGE_SIZES
        .iter()
        .any(|page| has(head, page - 10, b"SWAP-SPACE"))
        || le32(head, 1024) != 1
    {
        return Some(Content::of(kind));
    }
    Some(Content {
        uuid: uuid(head, 1024 + 12),
        label: text(head, 1024 + 28, 16),
        ..Content::of(kind)
    })
}
