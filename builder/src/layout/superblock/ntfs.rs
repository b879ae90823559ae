//! NTFS (the Linux kernel, `fs/ntfs3/ntfs.h`). Its label is in the file record of `$Volume`.

use std::io::{self, Read, Seek};

use super::boot_sector::cluster;
use super::{Content, ContentKind};
use crate::bytes::{Window, has, le16, le32, le64, utf16};

/// The number of the record of `$Volume`.
const VOLUME: u64 = 3;
const VOLUME_NAME: u32 = 0x60;
const END: u32 = u32::MAX;

pub(super) fn read<R: Read + Seek>(head: &[u8], part: &mut Window<'_, R>) -> io::Result<Content> {
    let byte = |offset: usize| head.get(offset).copied().unwrap_or(0);
    Ok(Content {
        uuid: Some(format!("{:016X}", le64(head, 72))),
        label: label(head, part)?,
        block_size: cluster(le16(head, 11).into(), byte(13)),
        ..Content::of(ContentKind::Ntfs)
    })
}

fn label<R: Read + Seek>(head: &[u8], part: &mut Window<'_, R>) -> io::Result<Option<String>> {
    let Some((offset, len)) = volume_record(head) else {
        return Ok(None);
    };
    let record = part.read(offset, len)?;
    if !has(&record, 0, b"FILE") {
        return Ok(None);
    }
    let mut at = usize::from(le16(&record, 20));
    while let Some(attribute) = record.get(at..).filter(|rest| rest.len() >= 24) {
        let kind = le32(attribute, 0);
        let Ok(len) = usize::try_from(le32(attribute, 4)) else {
            break;
        };
        if kind == END || len < 24 {
            break;
        }
        if kind == VOLUME_NAME {
            let start = usize::from(le16(attribute, 20));
            let Ok(len) = usize::try_from(le32(attribute, 16)) else {
                break;
            };
            let value = attribute.get(start..).and_then(|rest| rest.get(..len));
            return Ok(value.and_then(utf16));
        }
        at = at.saturating_add(len);
    }
    Ok(None)
}

/// Place and length of the record of `$Volume`.
fn volume_record(head: &[u8]) -> Option<(u64, u64)> {
    let [per_cluster, per_record] = [13, 64].map(|at| head.get(at).copied().unwrap_or(0));
    let sector = u64::from(le16(head, 11));
    // Large clusters are written as a negative power of two.
    let sectors = match per_cluster {
        1..=128 => u64::from(per_cluster),
        240..=249 => 1 << (256 - u32::from(per_cluster)),
        _ => return None,
    };
    let cluster = sector * sectors;
    let len = match per_record {
        1..=127 => u64::from(per_record) * cluster,
        225..=255 => 1 << (256 - u32::from(per_record)),
        _ => return None,
    };
    let record = VOLUME * len;
    let table = le64(head, 48).checked_mul(cluster)?;
    (512..=65_536)
        .contains(&len)
        .then(|| table.checked_add(record))
        .flatten()
        .map(|offset| (offset, len))
}
