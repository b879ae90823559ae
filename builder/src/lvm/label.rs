//! The label and the header of a physical volume (LVM2 `lib/label/label.h`,
//! `lib/format_text/layout.h`).

use std::io::{self, Read, Seek};

use super::{MetadataError, checksum};
use crate::bytes::{Window, has, le32, le64, text};

/// The label is in one of the first four sectors.
const LABEL_SECTORS: usize = 4;
const SECTOR: usize = 512;
/// As many areas of each kind as a sector has room for.
const MAX_AREAS: usize = 16;

/// What the header of a physical volume says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PvHeader {
    /// The UUID in groups, as LVM prints it.
    pub(super) uuid: String,
    /// Where metadata areas lie, in bytes from the beginning of the volume.
    pub(super) metadata_areas: Vec<Area>,
}

/// A part of a physical volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The UUID of the physical volume that begins like this, by its label alone.
pub(crate) fn pv_uuid(head: &[u8]) -> Option<String> {
    let (sector, header) = find(head)?;
    grouped(&text(sector, header, 32)?)
}

/// Reads label and header; `None` where there is no label.
pub(super) fn read<R: Read + Seek>(
    volume: &mut Window<'_, R>,
) -> io::Result<Option<Result<PvHeader, MetadataError>>> {
    let head = volume.read(0, 2048)?;
    Ok(find(&head).map(|(sector, header)| parse(sector, header)))
}

/// The sector with the label, and where in it the header begins.
fn find(head: &[u8]) -> Option<(&[u8], usize)> {
    let (number, sector) = (0_u64..)
        .zip(head.chunks_exact(SECTOR))
        .take(LABEL_SECTORS)
        .find(|(_, sector)| has(sector, 0, b"LABELONE") && has(sector, 24, b"LVM2 001"))?;
    let header = usize::try_from(le32(sector, 20)).ok()?;
    (le64(sector, 8) == number && (32..SECTOR).contains(&header)).then_some((sector, header))
}

fn parse(sector: &[u8], header: usize) -> Result<PvHeader, MetadataError> {
    if checksum(&sector[20..]) != le32(sector, 16) {
        return Err(MetadataError::LabelChecksum);
    }
    let uuid = text(sector, header, 32)
        .and_then(|raw| grouped(&raw))
        .ok_or(MetadataError::LabelUuid)?;
    // Two lists, each ended by an entry of zeros: data areas, then metadata areas.
    let mut at = header + 40;
    list(sector, &mut at)?;
    let metadata_areas = list(sector, &mut at)?;
    Ok(PvHeader {
        uuid,
        metadata_areas,
    })
}

fn list(sector: &[u8], at: &mut usize) -> Result<Vec<Area>, MetadataError> {
    let mut areas = Vec::new();
    while *at + 16 <= SECTOR && areas.len() <= MAX_AREAS {
        let (offset, len) = (le64(sector, *at), le64(sector, *at + 8));
        *at += 16;
        if offset == 0 {
            return Ok(areas);
        }
        areas.push(Area { offset, len });
    }
    Err(MetadataError::LabelAreas)
}

/// 32 characters in groups of 6, 4, 4, 4, 4, 4 and 6.
pub(super) fn grouped(raw: &str) -> Option<String> {
    (raw.len() == 32 && raw.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| {
        [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32]
            .map(|group| &raw[group])
            .join("-")
    })
}
