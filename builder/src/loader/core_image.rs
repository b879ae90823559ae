//! GRUB 2's core image for a BIOS (`i386-pc`): where it lies on the disk, and what is in it.
//!
//! `boot.img`, in a boot sector, loads one sector, `diskboot.img`. The end of that one lists the
//! sectors of the rest: a decompressor, with a header that tells sizes, then the kernel of GRUB and
//! its modules as raw LZMA (lc 3, lp 0, pb 2). No checksum covers any of it: an image counts as
//! whole where its data decodes to the declared length and ends in a module area that fits. The
//! Reed-Solomon code that may follow, by which GRUB repairs sectors, is not checked.
//!
//! Source: the GNU GRUB Manual 2.12, "Images"; offsets as `grub-mkimage` 2.06 and 2.12 write them.

use std::io::{self, Read, Seek};

use lzma_rust2::LzmaReader;

use super::modules::{Area, AreaFault};
use crate::bytes::{Window, has, holds, le16, le32, le64, sector};
use crate::units::{ByteRange, Lba, SECTOR_SIZE, byte_len};

/// The number that a BIOS gives to its first disk; 0xff stands for the one that was booted from.
const FIRST_DRIVE: u8 = 0x80;
const BOOT_DRIVE: u8 = 0xff;
/// Where `diskboot.img` has its first block list; the next ones are before it, each 12 bytes.
const FIRST_LIST: usize = 0x1f4;
const LIST_LEN: usize = 12;
/// The code of `diskboot.img` ends before here.
const LISTS_END: usize = 0x150;
/// The segment that the first block is loaded to: address 0x8200.
const FIRST_SEGMENT: u64 = 0x820;
const BASE: usize = 0x8200;
/// Sectors that fit between there and the BIOS's own memory at 0x9f000.
const MAX_SECTORS: u64 = (0x9_f000 - 0x8200) / SECTOR_SIZE;
/// What `diskboot.img` prints.
const DISKBOOT: &[u8] = b"loading";
/// How the decompressor begins: a far jump behind its header. Another target is another header.
const FAR_JUMP: u8 = 0xea;
const JUMP: &[u8] = b"\xea\x1c\x82\0\0";
/// The largest decompressor that is looked at, in bytes.
const MAX_DECOMPRESSOR: usize = 16 << 10;
/// The most that an image may decompress to, in bytes: several times the largest that fit below.
const MAX_UNCOMPRESSED: u32 = 16 << 20;

/// Where a core image lies and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreImage {
    /// The sector of `diskboot.img`.
    pub at: Lba,
    /// All its sectors, `diskboot.img` among them, in the order of loading.
    pub blocks: Vec<ByteRange>,
    /// The number, from 1, of the partition that it takes its files from where the prefix names
    /// none.
    pub boot_partition: Option<u32>,
    /// Prefix, configuration and modules.
    pub area: Area,
}

/// Why GRUB does not start from its core image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreFault {
    /// The boot sector or the block list leads out of the disk.
    #[error("{at} is behind the end of the disk")]
    OutsideDisk {
        /// The sector.
        at: Lba,
    },
    /// There is nothing.
    #[error("{at} and what follows are zeros")]
    Empty {
        /// The first sector.
        at: Lba,
    },
    /// There is something else.
    #[error("{at} does not hold the first sector of a core image")]
    NotCore {
        /// The sector.
        at: Lba,
    },
    /// A list that GRUB could not follow.
    #[error("the block list in {at} makes no sense: {reason}")]
    BlockList {
        /// The sector that it is in.
        at: Lba,
        /// What is wrong.
        reason: &'static str,
    },
    /// It is longer than its block list.
    #[error("it is cut off: {needed} bytes, of which the block list names {named}")]
    Truncated {
        /// What its header asks for, in bytes.
        needed: u64,
        /// What there is, in bytes.
        named: u64,
    },
    /// Its header, its data or its modules make no sense.
    #[error("it is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
    },
    /// The boot sector reads it from a disk of a fixed number that is not the first.
    #[error(
        "the boot sector reads it from BIOS drive {drive:#x}, and an instance has {FIRST_DRIVE:#x} alone"
    )]
    OtherDrive {
        /// The number of the drive.
        drive: u8,
    },
    /// It has the form of GRUB 1.9x, or another one.
    #[error("it is in a form that only GRUB before 2.00 used, and is not read")]
    UnknownForm,
}

impl From<AreaFault> for CoreFault {
    fn from(fault: AreaFault) -> Self {
        Self::Damaged { reason: fault.0 }
    }
}

/// Reads the image whose first sector is `at`.
///
/// # Errors
///
/// The disk could not be read. What is wrong with the image is the inner error.
pub fn read<R: Read + Seek>(
    disk: &mut R,
    disk_size: u64,
    at: Lba,
) -> io::Result<Result<CoreImage, CoreFault>> {
    let disk_range = ByteRange::new(0, disk_size);
    let on_disk = |range: Option<ByteRange>| {
        range.filter(|range| disk_range.is_some_and(|disk| disk.contains(*range)))
    };
    let Some(first) = on_disk(ByteRange::of_sectors(at, 1)) else {
        return Ok(Err(CoreFault::OutsideDisk { at }));
    };
    let head = sector(disk, at)?;
    if head.iter().all(|&byte| byte == 0) {
        return Ok(Err(CoreFault::Empty { at }));
    }
    if at == Lba::ZERO || !holds(&head, DISKBOOT) {
        return Ok(Err(CoreFault::NotCore { at }));
    }
    let lists = match block_lists(&head, at) {
        Ok(lists) => lists,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut blocks = vec![first];
    let mut body = Vec::new();
    for (start, count) in lists {
        let Some(range) = on_disk(ByteRange::of_sectors(start, count)) else {
            return Ok(Err(CoreFault::OutsideDisk { at: start }));
        };
        body.extend(Window::new(disk, range).read(0, range.len())?);
        blocks.push(range);
    }
    Ok(decode(&body, at).map(|area| CoreImage {
        at,
        blocks,
        boot_partition: boot_partition(&body),
        area,
    }))
}

/// What a boot sector of GRUB 2 keeps from reading its core image: `boot_drive` at 0x64.
pub(super) fn drive_fault(boot_sector: &[u8]) -> Option<CoreFault> {
    let drive = *boot_sector.get(0x64)?;
    (drive != FIRST_DRIVE && drive != BOOT_DRIVE).then_some(CoreFault::OtherDrive { drive })
}

/// First sector and number of sectors of each block.
fn block_lists(head: &[u8], at: Lba) -> Result<Vec<(Lba, u64)>, CoreFault> {
    let fault = |reason| CoreFault::BlockList { at, reason };
    let mut lists = Vec::new();
    let mut total = 0;
    for offset in (LISTS_END..=FIRST_LIST).rev().step_by(LIST_LEN) {
        let start = Lba::new(le64(head, offset));
        let count = u64::from(le16(head, offset + 8));
        let segment = u64::from(le16(head, offset + 10));
        if count == 0 {
            break;
        }
        if start == Lba::ZERO {
            return Err(fault("a block begins with sector 0"));
        }
        if segment != FIRST_SEGMENT + total * (SECTOR_SIZE / 16) {
            return Err(fault("a block is not loaded behind the one before"));
        }
        total += count;
        if total > MAX_SECTORS {
            return Err(fault("the blocks do not fit into a BIOS's memory"));
        }
        lists.push((start, count));
    }
    if lists.is_empty() {
        return Err(fault("it is empty"));
    }
    Ok(lists)
}

/// The partition in the header; 0xff stands for none.
fn boot_partition(body: &[u8]) -> Option<u32> {
    let number = *body.get(0x1a)?;
    (number != 0xff).then(|| u32::from(number) + 1)
}

/// Decompresses what follows `diskboot.img` and finds the modules.
fn decode(body: &[u8], at: Lba) -> Result<Area, CoreFault> {
    if body.iter().all(|&byte| byte == 0) {
        return Err(CoreFault::Empty { at });
    }
    if !has(body, 0, JUMP) {
        return Err(if has(body, 0, &[FAR_JUMP]) && has(body, 3, &[0, 0]) {
            CoreFault::UnknownForm
        } else {
            CoreFault::Damaged {
                reason: "it does not begin with a decompressor",
            }
        });
    }
    let compressed = le32(body, 0x08);
    let uncompressed = le32(body, 0x0c);
    if compressed == 0 || uncompressed == 0 || uncompressed > MAX_UNCOMPRESSED {
        return Err(CoreFault::Damaged {
            reason: "the sizes in its header are impossible",
        });
    }
    let len = usize::try_from(compressed).unwrap_or(usize::MAX);
    let mut candidates = payloads(body).peekable();
    if candidates.peek().is_none() {
        return Err(CoreFault::Damaged {
            reason: "its decompressor names no data",
        });
    }
    let mut fault = CoreFault::Damaged {
        reason: "its data does not decompress to the declared length",
    };
    for start in candidates {
        let end = start.saturating_add(len);
        match body.get(start..end) {
            None => {
                fault = CoreFault::Truncated {
                    needed: byte_len(end),
                    named: byte_len(body.len()),
                };
            }
            Some(payload) => {
                if let Some(image) = decompress(payload, uncompressed) {
                    return Ok(Area::find(&image)?);
                }
            }
        }
    }
    Err(fault)
}

/// Where the compressed data may begin: the decompressor's length is in no header, but its code
/// loads the address of the data into ESI.
fn payloads(body: &[u8]) -> impl Iterator<Item = usize> {
    const MOV_ESI: u8 = 0xbe;
    let code = &body[..MAX_DECOMPRESSOR.min(body.len())];
    code.windows(5)
        .enumerate()
        .filter(|(_, window)| window[0] == MOV_ESI)
        .filter_map(|(at, window)| {
            let target = usize::try_from(le32(window, 1)).ok()?;
            let target = target.checked_sub(BASE)?;
            (target > at && target <= MAX_DECOMPRESSOR).then_some(target)
        })
        .take(16)
}

/// The whole of the data, or nothing.
fn decompress(payload: &[u8], len: u32) -> Option<Vec<u8>> {
    let reader = LzmaReader::new(payload, len.into(), 3, 0, 2, MAX_UNCOMPRESSED, None).ok()?;
    let mut image = Vec::new();
    reader.take(len.into()).read_to_end(&mut image).ok()?;
    (byte_len(image.len()) == u64::from(len)).then_some(image)
}

#[cfg(test)]
pub(crate) mod tests;
