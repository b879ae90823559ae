//! The partition table: the active flag, and a DOS table in place of a GPT.
//!
//! No partition moves. A converted table has room for four, so partitions go that nothing needs
//! under a BIOS: the one that GRUB's core image lay in, and an EFI system partition if it is one too
//! many. Their bytes stay where they are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use byoi_agent::plan::Change;

use super::dos_record::{self, Entry};
use super::{RepairError, change};
use crate::bytes::sector;
use crate::layout::{
    BootCode, ContentKind, FormerName, HeaderState, Layout, Partition, PartitionTable, Slot,
};
use crate::loader::volume_boot_code;
use crate::units::{ByteRange, Lba, SECTOR_SIZE};

/// How many partitions a DOS table holds that are not logical.
const SLOTS: usize = 4;
/// A DOS table counts sectors with 32 bits.
const LIMIT: u64 = (1 << 32) * SECTOR_SIZE;
/// The header and the table of a GPT of the usual size, in sectors.
const GPT_SECTORS: u64 = 33;
const BIOS_BOOT: &str = "BIOS boot";
const WHAT: &str = "partition table";

/// Marks one partition active and no other, where it can be told which: `disk/active-partition`.
///
/// # Errors
///
/// [`RepairError::Disk`].
pub fn activate(file: &File, layout: &Layout) -> Result<Option<Change>, RepairError> {
    let Some((slot, number)) = to_activate(file, layout)? else {
        return Ok(None);
    };
    edit_record(file, |record| dos_record::activate(record, slot))?;
    Ok(Some(change(
        WHAT,
        format!("partition {number} is the active one"),
    )))
}

/// The entry, from 0, and the number of the partition that should be the only active one and is not.
fn to_activate(file: &File, layout: &Layout) -> Result<Option<(usize, u32)>, RepairError> {
    let PartitionTable::Dos { boot_code, .. } = &layout.table else {
        return Ok(None);
    };
    let entered = || {
        let partitions = layout.partitions.iter();
        partitions.filter(|partition| partition.slot != Slot::Logical)
    };
    if entered().filter(|partition| partition.active).count() == 1 {
        return Ok(None);
    }
    let mut candidates: Vec<&Partition> = entered()
        .filter(|partition| partition.slot == Slot::Primary)
        .collect();
    if boot_code.needs_active_partition() {
        // Only one with a boot sector of its own can be started.
        let mut bootable = Vec::new();
        for partition in candidates {
            let at = Lba::new(partition.range.start() / SECTOR_SIZE);
            let head = sector(&mut &*file, at).map_err(disk_error)?;
            if volume_boot_code(&head) != BootCode::None {
                bootable.push(partition);
            }
        }
        if bootable.len() != 1 {
            return Ok(None);
        }
        candidates = bootable;
    }
    // Where the boot code does not look at the flag, some firmware does.
    let marked = candidates.iter().find(|partition| partition.active);
    let system = candidates
        .iter()
        .find(|partition| partition.content.kind.linux_fs().is_some());
    let chosen = marked.or(system).or(candidates.first());
    Ok(chosen.and_then(|partition| {
        let slot = usize::try_from(partition.number).ok()?.checked_sub(1)?;
        (slot < SLOTS).then_some((slot, partition.number))
    }))
}

/// A table that was converted.
#[derive(Debug)]
pub struct Converted {
    /// What was done.
    pub change: Change,
    /// The new numbers, each with what the partition was called before.
    pub former: Vec<(u32, FormerName)>,
}

/// Writes a DOS table in place of a GPT; `None` where there is none.
///
/// # Errors
///
/// [`RepairError`]: the disk is not as a DOS table can describe it, or cannot be written.
pub fn convert(file: &File, layout: &Layout) -> Result<Option<Converted>, RepairError> {
    let PartitionTable::Gpt {
        disk_guid,
        primary,
        backup,
        ..
    } = &layout.table
    else {
        return Ok(None);
    };
    if *primary != HeaderState::Valid && *backup != HeaderState::Valid {
        return Err(refused("both copies of it are damaged".to_owned()));
    }
    let (kept, dropped) = choose(layout)?;
    let active = active(&kept).map(|partition| partition.number);
    let mut entries = Vec::new();
    let mut former = Vec::new();
    for (slot, partition) in slots(&kept).into_iter().zip(&kept) {
        entries.push(Entry {
            slot,
            active: active == Some(partition.number),
            type_byte: type_byte(partition),
            range: partition.range,
        });
        let name = FormerName {
            number: partition.number,
            part_uuid: partition.part_uuid.clone(),
            part_label: partition.part_label.clone(),
        };
        former.push((u32::try_from(slot + 1).unwrap_or(u32::MAX), name));
    }
    let sectors = layout.disk_size / SECTOR_SIZE;
    let used = kept.iter().map(|partition| partition.range);
    let first = used.clone().map(ByteRange::start).min().unwrap_or(0) / SECTOR_SIZE;
    let end = used.map(ByteRange::end).max().unwrap_or(0);
    let end = end.div_ceil(SECTOR_SIZE);
    wipe(file, 1, (1 + GPT_SECTORS).min(first))?;
    wipe(file, end.max(sectors.saturating_sub(GPT_SECTORS)), sectors)?;
    let signature = signature(disk_guid.as_deref());
    edit_record(file, |record| {
        dos_record::write_table(record, signature, &entries);
    })?;
    Ok(Some(Converted {
        change: change(WHAT, describe(&former, &dropped)),
        former,
    }))
}

fn describe(former: &[(u32, FormerName)], dropped: &[u32]) -> String {
    let moved = former
        .iter()
        .filter(|(number, name)| *number != name.number)
        .map(|(number, name)| format!("; partition {} is now {number}", name.number));
    let gone = dropped
        .iter()
        .map(|number| format!("; partition {number} is gone"));
    let details: String = moved.chain(gone).collect();
    format!("GPT to MBR{details}")
}

fn refused(reason: String) -> RepairError {
    RepairError::NotConvertible { reason }
}

fn disk_error(source: io::Error) -> RepairError {
    RepairError::Disk { what: WHAT, source }
}

/// The partitions of the new table, in the order of their numbers, and the numbers of the others.
fn choose(layout: &Layout) -> Result<(Vec<Partition>, Vec<u32>), RepairError> {
    let (mut dropped, mut kept): (Vec<Partition>, Vec<Partition>) = layout
        .partitions
        .iter()
        .cloned()
        .partition(|partition| partition.role() == Some(BIOS_BOOT));
    while kept.len() > SLOTS
        && let Some(index) = kept.iter().position(Partition::is_efi_system)
    {
        dropped.push(kept.remove(index));
    }
    if kept.len() > SLOTS {
        return Err(refused(format!(
            "{} partitions are in use, and an MBR has room for {SLOTS}; \
                 remove or merge some, or use --accept-gpt",
            kept.len()
        )));
    }
    for (index, partition) in kept.iter().enumerate() {
        let number = partition.number;
        let range = partition.range;
        if range.end() > LIMIT {
            return Err(refused(format!(
                "partition {number} lies beyond the 2 TiB that an MBR describes"
            )));
        }
        if range.is_empty()
            || range.start() < SECTOR_SIZE
            || range.end() > layout.disk_size
            || kept[..index]
                .iter()
                .any(|other| other.range.overlaps(range))
        {
            return Err(refused(format!(
                "partition {number} is not where a partition can be"
            )));
        }
    }
    let numbers = dropped.iter().map(|partition| partition.number);
    Ok((kept, numbers.collect()))
}

/// Where each is entered, from 0: under its own number, if the table has that.
fn slots(kept: &[Partition]) -> Vec<usize> {
    let own = |partition: &Partition| {
        let slot = usize::try_from(partition.number).ok()?.checked_sub(1)?;
        (slot < SLOTS).then_some(slot)
    };
    let taken: Vec<usize> = kept.iter().filter_map(own).collect();
    let mut free = (0..SLOTS).filter(|slot| !taken.contains(slot));
    kept.iter()
        .filter_map(|partition| own(partition).or_else(|| free.next()))
        .collect()
}

/// The one that was marked for a BIOS, or the first with a file system of Linux.
fn active(kept: &[Partition]) -> Option<&Partition> {
    let marked = kept.iter().find(|partition| partition.active);
    marked.or_else(|| {
        let mut systems = kept.iter();
        systems.find(|partition| partition.content.kind.linux_fs().is_some())
    })
}

/// The same signature for the same disk.
fn signature(disk_guid: Option<&str>) -> u32 {
    let digits = disk_guid.and_then(|guid| guid.get(..8));
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .filter(|signature| *signature != 0)
        .unwrap_or(0x6279_6f69)
}

fn type_byte(partition: &Partition) -> u8 {
    match (partition.role(), partition.content.kind) {
        (Some("EFI system"), _) => 0xef,
        (_, ContentKind::Swap | ContentKind::Hibernated) => 0x82,
        (_, ContentKind::Lvm2) => 0x8e,
        (_, ContentKind::MdRaid) => 0xfd,
        (_, ContentKind::Vfat) => 0x0c,
        (_, ContentKind::Ntfs) => 0x07,
        _ => 0x83,
    }
}

fn edit_record(file: &File, edit: impl FnOnce(&mut [u8])) -> Result<(), RepairError> {
    let mut record = sector(&mut &*file, Lba::ZERO).map_err(disk_error)?;
    edit(&mut record);
    file.write_all_at(&record, 0).map_err(disk_error)
}

/// Zeros sectors, so that nothing takes them for a GPT.
fn wipe(file: &File, from: u64, to: u64) -> Result<(), RepairError> {
    for lba in from..to {
        file.write_all_at(&[0; 512], lba * SECTOR_SIZE)
            .map_err(disk_error)?;
    }
    Ok(())
}
