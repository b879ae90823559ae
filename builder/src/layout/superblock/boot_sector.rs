//! The file systems that begin with a boot sector.

use std::io::{self, Read, Seek};

use super::{Content, ContentKind, exfat, fat, ntfs};
use crate::bytes::{Window, guid, has};
use crate::layout::mbr::is_fat;

/// The one of them that this is.
pub(super) fn probe<R: Read + Seek>(
    head: &[u8],
    part: &mut Window<'_, R>,
) -> io::Result<Option<Content>> {
    if !has(head, 510, &[0x55, 0xaa]) {
        Ok(None)
    } else if has(head, 3, b"NTFS    ") {
        ntfs::read(head, part).map(Some)
    } else if has(head, 3, b"EXFAT   ") {
        exfat::read(head, part).map(Some)
    } else if is_fat(head) {
        fat::read(head, part).map(Some)
    } else {
        Ok(None)
    }
}

/// A serial number of four bytes.
pub(super) fn serial(number: u32) -> String {
    format!("{:04X}-{:04X}", number >> 16, number & 0xffff)
}

/// The size of a cluster in bytes.
pub(super) fn cluster(sector_size: u32, sectors: u8) -> Option<u32> {
    sector_size
        .checked_mul(u32::from(sectors))
        .filter(|&size| size > 0)
}

/// BitLocker, also "to go", whose boot sector is that of a FAT but for a GUID.
pub(super) fn bit_locker(head: &[u8]) -> Option<Content> {
    let to_go = has(head, 3, b"MSWIN4.1")
        && guid(head, 424).as_deref() == Some("4967d63b-2e29-4ad8-8399-f6a339e3d001");
    (has(head, 3, b"-FVE-FS-") || to_go).then(|| Content::of(ContentKind::BitLocker))
}
