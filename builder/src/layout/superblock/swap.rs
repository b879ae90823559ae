//! Linux swap areas, and the systems that hibernate in them (`mm/swapfile.c`,
//! `kernel/power/swap.c`).

use super::{Content, ContentKind};
use crate::bytes::{has, le32, text, uuid};
use crate::units::{ByteRange, byte_len};

/// The page sizes that a swap area may have been made for, in bytes.
const PAGE_SIZES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// The first bytes of a swap area or file, by the end of the largest page.
pub(crate) const SWAP_HEAD: usize = 65_536;

/// What stands at the end of the first page of a system that hibernates.
const HIBERNATED: [&[u8]; 5] = [
    b"S1SUSPEND",
    b"S2SUSPEND",
    b"ULSUSPEND",
    b"LINHIB0001",
    b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c",
];

/// Whether a swap area or file that begins like this holds a hibernated system.
pub(crate) fn is_hibernated(head: &[u8]) -> bool {
    probe(head).is_some_and(|content| content.kind == ContentKind::Hibernated)
}

/// What follows the header of the swap area that `head` begins, where the whole is `len` bytes
/// long: the pages that the kernel swaps to, of which nothing counts after a start. The header has
/// the first page to itself, with UUID, label and the list of bad pages.
///
/// `None` for the version without a header, the byte order of other machines, an area that claims
/// more than there is, and wherever a system may hibernate.
pub(crate) fn swap_pages(head: &[u8], len: u64) -> Option<ByteRange> {
    let hibernates = PAGE_SIZES
        .iter()
        .any(|page| HIBERNATED.iter().any(|magic| has(head, page - 10, magic)));
    let page = PAGE_SIZES
        .iter()
        .find(|page| has(head, *page - 10, b"SWAPSPACE2"))
        .copied()
        .map(byte_len)?;
    let (version, last_page) = (le32(head, 1024), u64::from(le32(head, 1028)));
    let pages = ByteRange::new(page, last_page.checked_mul(page)?)?;
    (!hibernates && version == 1 && !pages.is_empty() && pages.end() <= len).then_some(pages)
}

pub(super) fn probe(head: &[u8]) -> Option<Content> {
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

#[cfg(test)]
mod tests {
    use byoi_agent::cmd::Cmd;

    use super::*;

    /// The first bytes of a swap area of 1 MiB that mkswap makes for pages of this size.
    fn made_for(page: u64) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        Cmd::new("mkswap")
            .args(["-q", "-p", &page.to_string()])
            .arg(file.path())
            .run()
            .unwrap();
        let mut head = std::fs::read(file.path()).unwrap();
        head.truncate(SWAP_HEAD);
        head
    }

    #[test]
    fn the_pages_of_what_mkswap_makes_are_found() {
        for page in PAGE_SIZES.map(byte_len) {
            let pages = ByteRange::new(page, (1 << 20) - page);
            assert_eq!(swap_pages(&made_for(page), 1 << 20), pages, "{page}");
            assert_eq!(swap_pages(&made_for(page), (1 << 20) - 1), None, "{page}");
        }
    }

    #[test]
    fn what_is_not_understood_or_hibernates_has_no_pages() {
        // The version, its byte order, the last page, and the texts of other versions and states.
        let cases: [(usize, &[u8]); 7] = [
            (1024, &[2]),
            (1024, &[0, 0, 0, 1]),
            (1028, &[0; 4]),
            (1028, &[0xff; 4]),
            (4086, b"SWAP-SPACE"),
            (4086, b"S1SUSPEND\0"),
            (65_526, b"S1SUSPEND\0"),
        ];
        for (at, bytes) in cases {
            let mut head = made_for(4096);
            head[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(swap_pages(&head, 1 << 20), None, "{bytes:x?} at {at}");
        }
        assert_eq!(swap_pages(&[], 1 << 20), None);
    }
}
