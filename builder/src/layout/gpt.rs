//! The GUID partition table (UEFI 2.10, section 5.3).
//!
//! Both copies are checked on their own, checksums included; the partitions come from the primary
//! copy, or from the backup where only that is whole.

use std::io::{self, Read, Seek};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Content, Partition, Slot, TypeCode};
use crate::bytes::{Window, crc32, guid, has, le32, le64, sector, utf16};
use crate::units::{ByteRange, Lba, SECTOR_SIZE, byte_len};

const SIGNATURE: &[u8] = b"EFI PART";
/// More entries than any program makes (128 is usual), so that a table stays small.
const MAX_ENTRIES: u32 = 1024;
/// The largest entry that is read, in bytes (128 is usual).
const MAX_ENTRY_SIZE: u32 = 4096;

/// The state of one of the two copies of a GPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderState {
    /// Header and table are whole.
    Valid,
    /// There is no header.
    Missing,
    /// It was written for sectors of 4096 bytes.
    OtherSectorSize,
    /// A size or place in the header cannot be.
    Implausible,
    /// The header does not match its checksum.
    HeaderChecksum,
    /// The table does not match its checksum.
    TableChecksum,
    /// The backup is whole, but not at the end of the disk, which has grown since.
    Displaced,
}

/// Both copies of a GPT and the partitions.
#[derive(Debug)]
pub(super) struct Gpt {
    pub(super) disk_guid: Option<String>,
    pub(super) primary: HeaderState,
    pub(super) backup: HeaderState,
    pub(super) partitions: Vec<Partition>,
}

/// A whole copy.
#[derive(Debug)]
struct Copy {
    header: Vec<u8>,
    table: Vec<u8>,
    entry_size: usize,
}

/// Whether sector 1 looks like a GPT header.
pub(super) fn has_header<R: Read + Seek>(disk: &mut R) -> io::Result<bool> {
    Ok(has(&sector(disk, Lba::new(1))?, 0, SIGNATURE))
}

/// Reads both copies.
pub(super) fn read<R: Read + Seek>(disk: &mut R, disk_size: u64) -> io::Result<Gpt> {
    let mut primary = read_copy(disk, Lba::new(1))?;
    if primary
        .as_ref()
        .is_err_and(|state| *state == HeaderState::Missing)
        && has(&sector(disk, Lba::new(8))?, 0, SIGNATURE)
    {
        primary = Err(HeaderState::OtherSectorSize);
    }
    let last = Lba::new((disk_size / SECTOR_SIZE).saturating_sub(1));
    let backup = read_copy(disk, last)?;
    let state = |copy: &Result<Copy, HeaderState>| match copy {
        Ok(_) => HeaderState::Valid,
        Err(state) => *state,
    };
    let mut gpt = Gpt {
        disk_guid: None,
        primary: state(&primary),
        backup: state(&backup),
        partitions: Vec::new(),
    };
    if let (Ok(copy), Err(HeaderState::Missing)) = (&primary, &backup) {
        let alternate = Lba::new(le64(&copy.header, 32));
        if alternate < last && alternate > Lba::new(1) && read_copy(disk, alternate)?.is_ok() {
            gpt.backup = HeaderState::Displaced;
        }
    }
    if let Ok(copy) = primary.or(backup) {
        gpt.disk_guid = guid(&copy.header, 56);
        gpt.partitions = (1..)
            .zip(copy.table.chunks_exact(copy.entry_size))
            .filter_map(|(number, entry)| partition(number, entry))
            .collect();
    }
    Ok(gpt)
}

/// What both copies, which are whole, leave to partitions; `None` where they are not, or a table
/// lies in there.
pub(super) fn usable<R: Read + Seek>(
    disk: &mut R,
    disk_size: u64,
) -> io::Result<Option<ByteRange>> {
    let last = Lba::new((disk_size / SECTOR_SIZE).saturating_sub(1));
    let (Ok(primary), Ok(backup)) = (read_copy(disk, Lba::new(1))?, read_copy(disk, last)?) else {
        return Ok(None);
    };
    let headers = [&primary.header, &backup.header];
    let first = headers.map(|header| le64(header, 40)).into_iter().max();
    let last = headers.map(|header| le64(header, 48)).into_iter().min();
    let usable = first.zip(last).and_then(|(first, last)| {
        let count = last.checked_sub(first)?.checked_add(1)?;
        ByteRange::of_sectors(Lba::new(first), count)
    });
    Ok(usable.filter(|usable| {
        [&primary, &backup].iter().all(|copy| {
            Lba::new(le64(&copy.header, 72))
                .to_bytes()
                .and_then(|start| ByteRange::new(start, byte_len(copy.table.len())))
                .is_some_and(|table| !table.overlaps(*usable))
        })
    }))
}

fn read_copy<R: Read + Seek>(disk: &mut R, at: Lba) -> io::Result<Result<Copy, HeaderState>> {
    let header = sector(disk, at)?;
    if !has(&header, 0, SIGNATURE) {
        return Ok(Err(HeaderState::Missing));
    }
    let header_size = usize::try_from(le32(&header, 12)).unwrap_or(usize::MAX);
    let (count, entry_size) = (le32(&header, 80), le32(&header, 84));
    let plausible = (92..=header.len()).contains(&header_size)
        && count <= MAX_ENTRIES
        && (128..=MAX_ENTRY_SIZE).contains(&entry_size)
        && entry_size.is_power_of_two()
        && le64(&header, 24) == at.get();
    let table_len = u64::from(count) * u64::from(entry_size);
    let table_range = Lba::new(le64(&header, 72))
        .to_bytes()
        .and_then(|start| ByteRange::new(start, table_len));
    let (true, Some(range), Ok(entry_size)) = (plausible, table_range, usize::try_from(entry_size))
    else {
        return Ok(Err(HeaderState::Implausible));
    };
    let mut unsigned = header[..header_size].to_vec();
    unsigned[16..20].fill(0);
    if checksum(&unsigned) != le32(&header, 16) {
        return Ok(Err(HeaderState::HeaderChecksum));
    }
    let table = Window::new(disk, range).read(0, table_len)?;
    if checksum(&table) != le32(&header, 88) {
        return Ok(Err(HeaderState::TableChecksum));
    }
    Ok(Ok(Copy {
        header,
        table,
        entry_size,
    }))
}

fn partition(number: u32, entry: &[u8]) -> Option<Partition> {
    let type_guid = guid(entry, 0)?;
    let first = le64(entry, 32);
    let last = le64(entry, 40);
    let count = last.checked_sub(first)?.checked_add(1)?;
    Some(Partition {
        number,
        slot: Slot::Gpt,
        type_code: TypeCode::Gpt(type_guid),
        active: le64(entry, 48) & 4 != 0,
        range: ByteRange::of_sectors(Lba::new(first), count)?,
        part_uuid: guid(entry, 16).unwrap_or_default(),
        part_label: utf16(&entry[56..128]),
        former: None,
        content: Content::default(),
    })
}

/// The CRC-32 of the UEFI specification.
fn checksum(bytes: &[u8]) -> u32 {
    !crc32(u32::MAX, bytes)
}
