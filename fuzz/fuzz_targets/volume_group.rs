//! The text of an LVM volume group, on a physical volume whose checksums are right.
#![no_main]

use std::io::Cursor;

use byoi_builder::layout::{Layout, findings};
use byoi_fuzz::crc32_from;
use libfuzzer_sys::fuzz_target;

const SECTOR: usize = 512;
/// Where the metadata area begins, and how long it is.
const AREA: usize = 4096;
const AREA_LEN: usize = 64 * 1024;
/// The whole volume: the area, and few extents.
const LEN: usize = 256 * 1024;
/// What LVM's checksums begin with.
const START: u32 = 0xf597_a6cf;

fuzz_target!(|text: &[u8]| {
    if text.is_empty() || text.len() > AREA_LEN - SECTOR {
        return;
    }
    let mut disk = Cursor::new(volume(text));
    let layout = Layout::read(&mut disk).expect("memory can be read");
    for accept_gpt in [false, true] {
        findings::findings(&layout, accept_gpt);
    }
    findings::partial_volumes(&layout);
});

/// A physical volume, the UUID of which is 32 times `a`.
fn volume(text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    let label = &mut bytes[SECTOR..2 * SECTOR];
    label[..8].copy_from_slice(b"LABELONE");
    label[8] = 1;
    label[20] = 32;
    label[24..32].copy_from_slice(b"LVM2 001");
    label[32..64].fill(b'a');
    put(label, 64, LEN);
    put(label, 72, AREA + AREA_LEN);
    put(label, 104, AREA);
    put(label, 112, AREA_LEN);
    let sum = crc32_from(START, &label[20..]);
    label[16..20].copy_from_slice(&sum.to_le_bytes());

    let area = &mut bytes[AREA..AREA + AREA_LEN];
    area[SECTOR..SECTOR + text.len()].copy_from_slice(text);
    area[4..20].copy_from_slice(b" LVM2 x[5A%r0N*>");
    area[20] = 1;
    put(area, 24, AREA);
    put(area, 32, AREA_LEN);
    put(area, 40, SECTOR);
    put(area, 48, text.len());
    area[56..60].copy_from_slice(&crc32_from(START, text).to_le_bytes());
    let sum = crc32_from(START, &area[4..SECTOR]);
    area[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn put(bytes: &mut [u8], at: usize, number: usize) {
    let number = u64::try_from(number).expect("64 bits");
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}
