//! Members of ZFS pools (`include/sys/vdev_impl.h`, `module/nvpair/nvpair.c`).
//!
//! A member has four labels of 256 KiB, two at each end. A label has the pool's configuration as a
//! list of pairs in XDR at 16 KiB, and uberblocks from 128 KiB on.

use std::io::{self, Read, Seek};

use super::{Content, ContentKind};
use crate::bytes::{Window, be32, be64, le64};

const LABEL: u64 = 256 * 1024;
const PAIRS: u64 = 16 * 1024;
const PAIRS_LEN: u64 = 112 * 1024;
const UBERBLOCKS: u64 = 128 * 1024;
const UBERBLOCK_LEN: usize = 1024;
const UBERBLOCK_MAGIC: u64 = 0x00ba_b10c;
/// One may be left of an earlier use; a pool writes a new one every few seconds.
const MIN_UBERBLOCKS: usize = 4;
const TYPE_NUMBER: u32 = 8;
const TYPE_TEXT: u32 = 9;
/// How many pairs are looked at.
const MAX_PAIRS: usize = 256;

pub(super) fn probe<R: Read + Seek>(part: &mut Window<'_, R>) -> io::Result<Option<Content>> {
    let end = part.len() / LABEL * LABEL;
    let places = [
        Some(0),
        Some(LABEL),
        end.checked_sub(2 * LABEL),
        end.checked_sub(LABEL),
    ];
    for label in places.into_iter().flatten() {
        let blocks = part.read(label + UBERBLOCKS, LABEL - UBERBLOCKS)?;
        let found = blocks
            .chunks_exact(UBERBLOCK_LEN)
            .filter(|block| UBERBLOCK_MAGIC == le64(block, 0) || UBERBLOCK_MAGIC == be64(block, 0))
            .count();
        if found >= MIN_UBERBLOCKS {
            let pairs = part.read(label + PAIRS, PAIRS_LEN)?;
            return Ok(Some(content(&pairs)));
        }
    }
    Ok(None)
}

/// The pool's name and number among the pairs at the top.
fn content(pairs: &[u8]) -> Content {
    let mut content = Content::of(ContentKind::Zfs);
    // Behind the encoding, and version and flags of the list.
    let mut rest = pairs.get(12..).unwrap_or(&[]);
    for _ in 0..MAX_PAIRS {
        let Ok(len) = usize::try_from(be32(rest, 0)) else {
            break;
        };
        let Some(pair) = rest.get(..len).filter(|pair| pair.len() >= 20) else {
            break;
        };
        rest = &rest[len..];
        let Some((name, value)) = text(&pair[8..]) else {
            break;
        };
        // The type, how many there are, and the value.
        match (name, be32(value, 0)) {
            (b"name", TYPE_TEXT) => {
                content.label = value
                    .get(8..)
                    .and_then(text)
                    .map(|(name, _)| String::from_utf8_lossy(name).into_owned());
            }
            (b"pool_guid", TYPE_NUMBER) => {
                content.uuid = Some(be64(value, 8).to_string());
            }
            _ => {}
        }
    }
    content
}

/// A text: its length, then its bytes, filled up to a multiple of four. Also what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(be32(bytes, 0)).ok()?;
    let text = bytes.get(4..)?.get(..len)?;
    let after = bytes.get(len.checked_next_multiple_of(4)?.checked_add(4)?..)?;
    Some((text, after))
}
