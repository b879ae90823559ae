//! Members of Linux software RAIDs (`include/uapi/linux/raid/md_p.h`).

use std::io::{self, Read, Seek};

use super::{Content, ContentKind};
use crate::bytes::{Window, array, le32, text, uuid};

const MD_MAGIC: u32 = 0xa92b_4efc;

/// Members of version 1.x have their superblock at the beginning (1.1), 4 KiB further (1.2) or at
/// the end (1.0), those of 0.90 at the end as well.
pub(super) fn probe<R: Read + Seek>(part: &mut Window<'_, R>) -> io::Result<Option<Content>> {
    let sectors = part.len() / 512;
    let at_end = (sectors.saturating_sub(16) & !7) * 512;
    for offset in [0, 4096, at_end] {
        let block = part.read(offset, 256)?;
        if le32(&block, 0) == MD_MAGIC && le32(&block, 4) == 1 {
            return Ok(Some(Content {
                uuid: uuid(&block, 16),
                label: text(&block, 32, 32),
                ..Content::of(ContentKind::MdRaid)
            }));
        }
    }
    let reserved = 64 * 1024;
    let Some(offset) = (part.len() & !(reserved - 1)).checked_sub(reserved) else {
        return Ok(None);
    };
    let block = part.read(offset, 256)?;
    if le32(&block, 0) != MD_MAGIC || le32(&block, 4) != 0 {
        return Ok(None);
    }
    let mut raw = [0; 16];
    raw[..4].copy_from_slice(&array::<4>(&block, 20));
    raw[4..].copy_from_slice(&array::<12>(&block, 52));
    // Four numbers in the order of the machine, printed as numbers.
    raw.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Ok(Some(Content {
        uuid: uuid(&raw, 0),
        ..Content::of(ContentKind::MdRaid)
    }))
}
