//! A disk: partition tables, superblocks, boot code, GRUB 2's core image, ESP, kernel. What a GPT is
//! summed up by is made right, for otherwise hardly any would be read.
#![no_main]

use std::io::Cursor;

use byoi_builder::layout::{Layout, findings};
use byoi_builder::loader::{Loader, bzimage};
use byoi_fuzz::crc32;
use libfuzzer_sys::fuzz_target;

const SECTOR: usize = 512;

fuzz_target!(|disk: &[u8]| {
    let len = disk.len().try_into().expect("it is in memory");
    bzimage::examine(disk, len).expect("memory can be read");
    let mut disk = disk.to_vec();
    let last = (disk.len() / SECTOR).saturating_sub(1) * SECTOR;
    seal(&mut disk, SECTOR);
    seal(&mut disk, last);
    let mut disk = Cursor::new(disk);
    let layout = Layout::read(&mut disk).expect("memory can be read");
    for accept_gpt in [false, true] {
        findings::findings(&layout, accept_gpt);
    }
    findings::partial_volumes(&layout);
    Loader::read(&mut disk, &layout).expect("memory can be read");
});

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
