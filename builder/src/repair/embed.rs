//! Putting GRUB 2's boot sector and core image onto a disk, as `grub-bios-setup` does.
//!
//! The core image lies in one piece, in front of the first partition of a DOS table or in the BIOS
//! boot partition of a GPT. Offsets: GRUB 2.06 and 2.12, `include/grub/i386/pc/boot.h`. Reed-Solomon
//! code is not added; a core image works without.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::RepairError;
use crate::bytes::sector;
use crate::layout::{BootCode, Layout, PartitionTable};
use crate::units::{ByteRange, Lba, SECTOR_SIZE, byte_len};

/// The parameter block of a file system, which stays as it is on the disk.
const PARAMETERS: std::ops::Range<usize> = 0x03..0x5a;
/// What follows the code: the disk signature and the table.
const TABLE: std::ops::Range<usize> = 440..512;
/// Where the boot sector keeps the sector of the core image.
const KERNEL_SECTOR: usize = 0x5c;
/// The BIOS drive to read it from; 0xff is the one that was booted from.
const BOOT_DRIVE: usize = 0x64;
/// A jump over the trust in the BIOS's drive number; without it, DL is corrected where it cannot be
/// that of a hard disk.
const DRIVE_CHECK: usize = 0x66;
const NOPS: [u8; 2] = [0x90, 0x90];
/// The first block list of the core image's first sector: start, length, segment.
const FIRST_LIST: usize = 0x1f4;
const FIRST_SEGMENT: u16 = 0x820;
const SECTOR: usize = 512;

/// Why GRUB was not put onto the disk.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// There is no place for a core image.
    #[error("there is no room for GRUB's core image of {needed} bytes: {room} bytes are free")]
    NoRoom { needed: u64, room: u64 },
    /// It is no boot sector of GRUB 2.
    #[error("the guest's boot.img is not GRUB 2's")]
    NotBootImage,
    /// The core image cannot be one.
    #[error("the guest's core.img is not GRUB 2's")]
    NotCoreImage,
}

/// Where a core image may lie; empty where it may not.
pub(super) fn area(layout: &Layout) -> ByteRange {
    let found = match &layout.table {
        PartitionTable::Dos { .. } => {
            let starts = layout.partitions.iter().map(|one| one.range.start());
            let end = starts.min().unwrap_or(0).min(layout.disk_size);
            ByteRange::new(SECTOR_SIZE, end.saturating_sub(SECTOR_SIZE))
        }
        PartitionTable::Gpt { .. } => {
            let mut partitions = layout.partitions.iter();
            partitions
                .find(|partition| partition.role() == Some("BIOS boot"))
                .map(|partition| partition.range)
                .filter(|range| range.end() <= layout.disk_size)
        }
        PartitionTable::None { .. } => None,
    };
    found.unwrap_or(ByteRange::EMPTY)
}

/// The boot sector for a disk, which begins with `record`, whose core image lies at `core`.
pub(super) fn boot_sector(boot: &[u8], record: &[u8], core: Lba) -> Result<Vec<u8>, Unfit> {
    if boot.len() != SECTOR || !matches!(BootCode::recognise(boot), BootCode::Grub2 { .. }) {
        return Err(Unfit::NotBootImage);
    }
    let mut made = boot.to_vec();
    made[PARAMETERS].copy_from_slice(&record[PARAMETERS]);
    made[TABLE].copy_from_slice(&record[TABLE]);
    made[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core.get().to_le_bytes());
    made[BOOT_DRIVE] = 0xff;
    made[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&NOPS);
    Ok(made)
}

/// The core image in whole sectors, for a place on the disk.
pub(super) fn core_sectors(core: &[u8], area: ByteRange) -> Result<Vec<u8>, Unfit> {
    let len = core.len().div_ceil(SECTOR) * SECTOR;
    let rest = u16::try_from(len / SECTOR).map_err(|_| Unfit::NotCoreImage)?;
    if rest < 2 {
        return Err(Unfit::NotCoreImage);
    }
    if byte_len(len) > area.len() {
        return Err(Unfit::NoRoom {
            needed: byte_len(len),
            room: area.len(),
        });
    }
    let mut made = core.to_vec();
    made.resize(len, 0);
    let second = area.start() / SECTOR_SIZE + 1;
    made[FIRST_LIST..FIRST_LIST + 8].copy_from_slice(&second.to_le_bytes());
    made[FIRST_LIST + 8..FIRST_LIST + 10].copy_from_slice(&(rest - 1).to_le_bytes());
    made[FIRST_LIST + 10..FIRST_LIST + 12].copy_from_slice(&FIRST_SEGMENT.to_le_bytes());
    Ok(made)
}

/// Writes both. The boot sector comes last: until then, the disk starts what it started before.
pub(super) fn write(
    disk: &File,
    area: ByteRange,
    boot: &[u8],
    core: &[u8],
) -> Result<Result<Lba, Unfit>, RepairError> {
    let at = Lba::new(area.start() / SECTOR_SIZE);
    let error = |source: io::Error| RepairError::Disk {
        what: "boot loader",
        source,
    };
    let record = sector(&mut &*disk, Lba::ZERO).map_err(error)?;
    let made =
        core_sectors(core, area).and_then(|core| Ok((boot_sector(boot, &record, at)?, core)));
    let (record, core) = match made {
        Ok(made) => made,
        Err(unfit) => return Ok(Err(unfit)),
    };
    disk.write_all_at(&core, area.start()).map_err(error)?;
    disk.write_all_at(&record, 0).map_err(error)?;
    Ok(Ok(at))
}
