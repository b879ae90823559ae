//! Writing the table of a master boot record.

use crate::units::{ByteRange, SECTOR_SIZE};

/// Where the disk signature is.
const SIGNATURE: usize = 440;
/// Where the four entries are.
const ENTRIES: [usize; 4] = [446, 462, 478, 494];
/// Bit 7 of an entry's first byte.
const ACTIVE: u8 = 0x80;
/// The geometry that a BIOS makes up for a disk of today.
const HEADS: u64 = 255;
const SECTORS: u64 = 63;
const CYLINDERS: u64 = 1024;

/// An entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 0.
    pub slot: usize,
    pub active: bool,
    pub type_byte: u8,
    /// At most 2³² sectors each way.
    pub range: ByteRange,
}

/// Gives the first sector a table of these entries and no others.
pub(super) fn write_table(record: &mut [u8], disk_signature: u32, entries: &[Entry]) {
    record[SIGNATURE..SIGNATURE + 6].fill(0);
    record[SIGNATURE..SIGNATURE + 4].copy_from_slice(&disk_signature.to_le_bytes());
    record[ENTRIES[0]..510].fill(0);
    for entry in entries {
        let at = ENTRIES[entry.slot];
        let first = entry.range.start() / SECTOR_SIZE;
        let count = entry.range.len() / SECTOR_SIZE;
        let bytes = &mut record[at..at + 16];
        bytes[0] = if entry.active { ACTIVE } else { 0 };
        bytes[1..4].copy_from_slice(&chs(first));
        bytes[4] = entry.type_byte;
        bytes[5..8].copy_from_slice(&chs(first + count - 1));
        bytes[8..12].copy_from_slice(&low32(first));
        bytes[12..16].copy_from_slice(&low32(count));
    }
    record[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Marks the entry of a slot active, and no other.
pub(super) fn activate(record: &mut [u8], slot: usize) {
    for (index, at) in ENTRIES.into_iter().enumerate() {
        record[at] = if index == slot { ACTIVE } else { 0 };
    }
}

fn low32(number: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = number.to_le_bytes();
    [a, b, c, d]
}

/// Cylinder, head and sector, as far as they go.
fn chs(lba: u64) -> [u8; 3] {
    let cylinder = lba / (HEADS * SECTORS);
    if cylinder >= CYLINDERS {
        return [0xfe, 0xff, 0xff];
    }
    let head = (lba / SECTORS) % HEADS;
    let sector = lba % SECTORS + 1;
    let byte = |number: u64| number.to_le_bytes()[0];
    [
        byte(head),
        byte(sector) | (byte(cylinder >> 8) << 6),
        byte(cylinder),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_cylinders_end_somewhere() {
        for (lba, expected) in [
            (0, [0, 1, 0]),
            (2048, [32, 33, 0]),
            (16_065 * 300 + 62, [0, 63 | 64, 44]),
            (16_065 * 1024, [0xfe, 0xff, 0xff]),
        ] {
            assert_eq!(chs(lba), expected, "{lba}");
        }
    }
}
