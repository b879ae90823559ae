//! A metadata area: a header of one sector, then a ring buffer with the texts (LVM2
//! `lib/format_text/layout.h`).
//!
//! The header says where the committed text lies. A text that begins near the end of the area goes
//! on behind the header.

use std::io::{self, Read, Seek};

use super::label::Area;
use super::{MAX_TEXT, MetadataError, checksum};
use crate::bytes::{Window, has, le32, le64};

const HEADER: u64 = 512;
const MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";
/// The entry is to be passed over.
const IGNORED: u32 = 1;

/// Reads the committed text; `None` where there is none.
pub(super) fn read<R: Read + Seek>(
    volume: &mut Window<'_, R>,
    area: Area,
) -> io::Result<Result<Option<String>, MetadataError>> {
    let header = volume.read(area.offset, HEADER)?;
    let (offset, len, sum) = match locate(&header, area) {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    // Neither sum overflows: `locate` has seen that the text is inside the area, and the area ends
    // inside 64 bits.
    let first = len.min(area.len - offset);
    let mut text = volume.read(area.offset + offset, first)?;
    if first < len {
        text.extend(volume.read(area.offset + HEADER, len - first)?);
    }
    if u64::try_from(text.len()) != Ok(len) {
        return Ok(Err(MetadataError::CutOff));
    }
    if checksum(&text) != sum {
        return Ok(Err(MetadataError::TextChecksum));
    }
    // The text ends with a NUL.
    while text.last() == Some(&0) {
        text.pop();
    }
    Ok(String::from_utf8(text)
        .map(Some)
        .map_err(|_| MetadataError::NotText))
}

/// Offset in the area, length and checksum of the committed text.
fn locate(header: &[u8], area: Area) -> Result<Option<(u64, u64, u32)>, MetadataError> {
    if header.len() < 512 {
        return Err(MetadataError::CutOff);
    }
    if checksum(&header[4..]) != le32(header, 0) {
        return Err(MetadataError::AreaChecksum);
    }
    let size = le64(header, 32);
    let plausible = has(header, 4, MAGIC)
        && le32(header, 20) == 1
        && le64(header, 24) == area.offset
        && size == area.len
        && size > HEADER
        && area.offset.checked_add(size).is_some();
    if !plausible {
        return Err(MetadataError::AreaHeader);
    }
    let (offset, len, flags) = (le64(header, 40), le64(header, 48), le32(header, 60));
    if offset == 0 || len == 0 || flags & IGNORED != 0 {
        return Ok(None);
    }
    if len > MAX_TEXT {
        return Err(MetadataError::TooLong { len });
    }
    if offset < HEADER || offset >= size || len > size - HEADER {
        return Err(MetadataError::TextPlace);
    }
    Ok(Some((offset, len, le32(header, 56))))
}
