//! What several targets need.

const SECTOR: usize = 512;

/// A disk whose GPT, if it has one, is whole by its checksums.
pub fn sealed(disk: &[u8]) -> Vec<u8> {
    let mut disk = disk.to_vec();
    let last = (disk.len() / SECTOR).saturating_sub(1) * SECTOR;
    seal(&mut disk, SECTOR);
    seal(&mut disk, last);
    disk
}

/// Makes the checksums of a GPT's header right, and so that of its table.
fn seal(disk: &mut [u8], at: usize) {
    let Some(header) = disk.get(at..at + SECTOR) else {
        return;
    };
    let number = |offset: usize| {
        let bytes = header[offset..offset + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_le_bytes(bytes)).expect("32 bits")
    };
    let (size, table, entries) = (number(12), number(72), number(80));
    let range = table.saturating_mul(SECTOR);
    let table = range..range.saturating_add(entries.saturating_mul(number(84)));
    if !header.starts_with(b"EFI PART") || !(92..=SECTOR).contains(&size) {
        return;
    }
    if let Some(table) = disk.get(table) {
        let sum = crc32(table);
        disk[at + 88..at + 92].copy_from_slice(&sum.to_le_bytes());
    }
    disk[at + 16..at + 20].fill(0);
    let sum = crc32(&disk[at..at + size]);
    disk[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
}

/// The CRC-32 of IEEE 802.3, as GPT has it.
pub fn crc32(bytes: &[u8]) -> u32 {
    !crc32_from(u32::MAX, bytes)
}

/// The same polynomial, neither begun nor ended with an inversion, as LVM has it.
pub fn crc32_from(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
