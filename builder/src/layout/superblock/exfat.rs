//! exFAT (Microsoft, "exFAT file system specification").

use std::io::{self, Read, Seek};

use super::boot_sector::serial;
use super::{Content, ContentKind};
use crate::bytes::{Window, le32, utf16};

const ENTRY: usize = 32;
const LABEL: u8 = 0x83;
/// How many clusters of a root directory are looked at.
const MAX_CLUSTERS: u32 = 100;

pub(super) fn read<R: Read + Seek>(head: &[u8], part: &mut Window<'_, R>) -> io::Result<Content> {
    Ok(Content {
        uuid: Some(serial(le32(head, 100))),
        label: label(head, part)?,
        ..Content::of(ContentKind::ExFat)
    })
}

fn label<R: Read + Seek>(head: &[u8], part: &mut Window<'_, R>) -> io::Result<Option<String>> {
    let byte = |offset: usize| u32::from(head.get(offset).copied().unwrap_or(0));
    let (sector_bits, cluster_bits) = (byte(108), byte(109));
    // The specification allows sectors of 512 to 4096 bytes, and clusters of up to 32 MiB.
    if !(9..=12).contains(&sector_bits) || sector_bits + cluster_bits > 25 {
        return Ok(None);
    }
    let sector = 1_u64 << sector_bits;
    let cluster = sector << cluster_bits;
    let table = u64::from(le32(head, 80)) * sector;
    let data = u64::from(le32(head, 88)) * sector;
    let mut next = le32(head, 96);
    for _ in 0..MAX_CLUSTERS {
        if !(2..0xffff_fff7).contains(&next) {
            break;
        }
        let entries = part.read(data + u64::from(next - 2) * cluster, cluster.min(1 << 16))?;
        for entry in entries.chunks_exact(ENTRY) {
            match entry[0] {
                0 => return Ok(None),
                LABEL => {
                    let len = usize::from(entry[1]).min(11) * 2;
                    return Ok(utf16(&entry[2..2 + len]));
                }
                _ => {}
            }
        }
        next = le32(&part.read(table + u64::from(next) * 4, 4)?, 0);
    }
    Ok(None)
}
