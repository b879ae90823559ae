//! The master boot record and the chain of extended boot records.
//!
//! Partitions get the numbers that Linux gives them (`block/partitions/msdos.c`): an entry counts
//! where its size is not zero; logical partitions are numbered from 5 on in the order of the chain.

use std::collections::HashSet;
use std::io::{self, Read, Seek};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Content, Partition, Slot, TypeCode};
use crate::bytes::{has, le16, le32, sector};
use crate::units::{ByteRange, Lba};

/// Linux gives no partition a number beyond this.
const LAST_NUMBER: u32 = 255;
/// Linux gives up after this many extended boot records without a partition.
const MAX_EMPTY_RECORDS: u32 = 100;

/// A place where the chain of logical partitions is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChainFault {
    /// The sector of the extended boot record.
    pub at: Lba,
    /// What is wrong with it.
    pub kind: ChainFaultKind,
}

/// Why a chain of logical partitions goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChainFaultKind {
    /// The record lies behind the end of the disk.
    OutsideDisk,
    /// The record does not end with `55 AA`.
    NoSignature,
    /// The chain has been at this record before.
    Loop,
    /// There are more records than Linux follows.
    TooLong,
}

/// A DOS partition table with its logical partitions.
#[derive(Debug)]
pub(super) struct Dos {
    pub(super) disk_signature: u32,
    pub(super) partitions: Vec<Partition>,
    pub(super) chain_faults: Vec<ChainFault>,
}

/// One of the four entries of a record.
#[derive(Debug, Clone, Copy)]
struct Entry {
    flag: u8,
    type_byte: u8,
    first: u32,
    count: u32,
}

impl Entry {
    fn is_extended(self) -> bool {
        matches!(self.type_byte, 0x05 | 0x0f | 0x85)
    }

    /// Whether a partitioning program may have written this entry for a disk of this size.
    fn is_plausible(self, disk_size: u64) -> bool {
        let start = Lba::new(self.first.into()).to_bytes();
        matches!(self.flag, 0 | 0x80)
            && (self.count == 0 || (self.first > 0 && start.is_some_and(|start| start < disk_size)))
    }
}

fn entries(record: &[u8]) -> [Entry; 4] {
    [446, 462, 478, 494].map(|offset| Entry {
        flag: record.get(offset).copied().unwrap_or(0),
        type_byte: record.get(offset + 4).copied().unwrap_or(0),
        first: le32(record, offset + 8),
        count: le32(record, offset + 12),
    })
}

/// Whether a first sector is a boot record at all.
pub(super) fn has_signature(record: &[u8]) -> bool {
    has(record, 510, &[0x55, 0xaa])
}

/// Whether a signed first sector is the boot sector of a bare FAT, exFAT or NTFS: it has that
/// parameter block, and what stands at the place of the partition table is none. (An MBR may have
/// a parameter block too: GRUB keeps the one that it finds.)
pub(super) fn is_volume_boot_record(record: &[u8], disk_size: u64) -> bool {
    let table = entries(record);
    let is_table = table.iter().all(|entry| entry.is_plausible(disk_size))
        && table.iter().any(|entry| entry.count > 0);
    !is_table && (has(record, 3, b"NTFS    ") || has(record, 3, b"EXFAT   ") || is_fat(record))
}

/// Whether a sector has a FAT parameter block that makes sense (Microsoft, "FAT: General Overview
/// of On-Disk Format").
pub(super) fn is_fat(record: &[u8]) -> bool {
    let byte = |offset: usize| record.get(offset).copied().unwrap_or(0);
    let sector_size = le16(record, 11);
    let jump = byte(0) == 0xe9 || (byte(0) == 0xeb && byte(2) == 0x90);
    jump && (512..=4096).contains(&sector_size)
        && sector_size.is_power_of_two()
        && byte(13).is_power_of_two()
        && le16(record, 14) > 0
        && matches!(byte(16), 1 | 2)
        && (byte(21) == 0xf0 || byte(21) >= 0xf8)
        && (has(record, 54, b"FAT") || has(record, 82, b"FAT32"))
}

/// Whether an entry says that the disk has a GPT.
pub(super) fn is_protective(record: &[u8]) -> bool {
    entries(record)
        .iter()
        .any(|entry| entry.type_byte == 0xee && entry.count > 0)
}

/// Whether a record with a protective entry has others as well.
pub(super) fn is_hybrid(record: &[u8]) -> bool {
    entries(record)
        .iter()
        .any(|entry| entry.type_byte != 0xee && entry.count > 0)
}

/// Reads the table in `record` and the chains that it begins.
pub(super) fn read<R: Read + Seek>(disk: &mut R, record: &[u8], disk_size: u64) -> io::Result<Dos> {
    let mut dos = Dos {
        disk_signature: le32(record, 440),
        partitions: Vec::new(),
        chain_faults: Vec::new(),
    };
    for (number, entry) in (1..).zip(entries(record)) {
        let slot = if entry.is_extended() {
            Slot::Extended
        } else {
            Slot::Primary
        };
        dos.add(number, slot, Lba::ZERO, entry);
    }
    for entry in entries(record) {
        if entry.is_extended() && entry.count > 0 {
            dos.follow(disk, entry, disk_size)?;
        }
    }
    Ok(dos)
}

impl Dos {
    /// Enters a partition whose first sector counts from `base`, unless it is empty.
    fn add(&mut self, number: u32, slot: Slot, base: Lba, entry: Entry) -> bool {
        let range = base
            .checked_add(Lba::new(entry.first.into()))
            .and_then(|first| ByteRange::of_sectors(first, entry.count.into()));
        let Some(range) = range.filter(|range| !range.is_empty()) else {
            return false;
        };
        self.partitions.push(Partition {
            number,
            slot,
            type_code: TypeCode::Dos(entry.type_byte),
            active: entry.flag & 0x80 != 0,
            range,
            part_uuid: format!("{:08x}-{number:02x}", self.disk_signature),
            part_label: None,
            former: None,
            content: Content::default(),
        });
        true
    }

    /// Follows the chain in an extended partition. Links count from its beginning, partitions from
    /// their record.
    fn follow<R: Read + Seek>(
        &mut self,
        disk: &mut R,
        extended: Entry,
        disk_size: u64,
    ) -> io::Result<()> {
        let first = Lba::new(extended.first.into());
        let end = u64::from(extended.first) + u64::from(extended.count);
        let mut at = first;
        let mut size = extended.count;
        let mut seen = HashSet::new();
        let mut empty_records = 0;
        let fault = loop {
            if !seen.insert(at) {
                break ChainFaultKind::Loop;
            }
            if at.to_bytes().is_none_or(|start| start >= disk_size) {
                break ChainFaultKind::OutsideDisk;
            }
            let record = sector(disk, at)?;
            if !has_signature(&record) {
                break ChainFaultKind::NoSignature;
            }
            empty_records += 1;
            let table = entries(&record);
            for (index, entry) in table.into_iter().enumerate() {
                let number = self.next_number();
                if entry.count == 0 || entry.is_extended() || number > LAST_NUMBER {
                    continue;
                }
                // The last two entries should be empty and sometimes hold anything.
                let start = at.get() + u64::from(entry.first);
                let inside = entry
                    .first
                    .checked_add(entry.count)
                    .is_some_and(|end| end <= size)
                    && start + u64::from(entry.count) <= end;
                if index >= 2 && !inside {
                    continue;
                }
                if self.add(number, Slot::Logical, at, entry) {
                    empty_records = 0;
                }
            }
            if empty_records > MAX_EMPTY_RECORDS || self.next_number() > LAST_NUMBER {
                break ChainFaultKind::TooLong;
            }
            let link = table
                .into_iter()
                .find(|entry| entry.is_extended() && entry.count > 0);
            let Some(link) = link else { return Ok(()) };
            // Two 32-bit sector numbers: the sum fits.
            at = Lba::new(first.get() + u64::from(link.first));
            size = link.count;
        };
        self.chain_faults.push(ChainFault { at, kind: fault });
        Ok(())
    }

    fn next_number(&self) -> u32 {
        self.partitions
            .iter()
            .map(|partition| partition.number + 1)
            .max()
            .unwrap_or(0)
            .max(5)
    }
}
