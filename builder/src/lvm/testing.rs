//! Physical volumes made byte by byte, for what LVM's own programs never write.

use super::checksum;

const SECTOR: usize = 512;
/// Where the metadata area of these volumes begins, as LVM has it.
pub(crate) const AREA: usize = 4096;
pub(crate) const AREA_LEN: usize = 64 * 1024;
/// Where their extents begin.
pub(crate) const DATA: usize = 1024 * 1024;

/// The UUID of 32 times the same character, as it stands in a text.
pub(crate) fn uuid(character: char) -> String {
    super::label::grouped(&character.to_string().repeat(32)).unwrap()
}

/// A physical volume of `len` bytes that holds `text`, at `offset` in its metadata area.
pub(crate) fn volume(character: char, len: usize, text: &str, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    label(&mut bytes, character);
    area(&mut bytes, text.as_bytes(), offset);
    bytes
}

/// Writes label and header into sector 1.
pub(crate) fn label(bytes: &mut [u8], character: char) {
    let len = u64::try_from(bytes.len()).unwrap();
    let sector = &mut bytes[SECTOR..2 * SECTOR];
    sector[..8].copy_from_slice(b"LABELONE");
    sector[8..16].copy_from_slice(&1_u64.to_le_bytes());
    sector[20..24].copy_from_slice(&32_u32.to_le_bytes());
    sector[24..32].copy_from_slice(b"LVM2 001");
    sector[32..64].fill(u8::try_from(character).unwrap());
    sector[64..72].copy_from_slice(&len.to_le_bytes());
    // One data area, one metadata area.
    for (at, number) in [(72, DATA), (104, AREA), (112, AREA_LEN)] {
        let number = u64::try_from(number).unwrap();
        sector[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    seal_label(bytes);
}

/// Makes the label's checksum right again.
pub(crate) fn seal_label(bytes: &mut [u8]) {
    let sum = checksum(&bytes[SECTOR + 20..2 * SECTOR]);
    bytes[SECTOR + 16..SECTOR + 20].copy_from_slice(&sum.to_le_bytes());
}

/// Writes header and text of the metadata area; the text goes on at the beginning of the ring.
pub(crate) fn area(bytes: &mut [u8], text: &[u8], offset: usize) {
    let area = &mut bytes[AREA..AREA + AREA_LEN];
    for (index, &byte) in text.iter().enumerate() {
        let at = offset + index;
        let at = if at < AREA_LEN {
            at
        } else {
            at - AREA_LEN + SECTOR
        };
        area[at] = byte;
    }
    area[4..20].copy_from_slice(b" LVM2 x[5A%r0N*>");
    area[20..24].copy_from_slice(&1_u32.to_le_bytes());
    for (at, number) in [(24, AREA), (32, AREA_LEN), (40, offset), (48, text.len())] {
        let number = u64::try_from(number).unwrap();
        area[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    area[56..60].copy_from_slice(&checksum(text).to_le_bytes());
    seal_area(bytes);
}

/// Makes the checksum of the area's header right again.
pub(crate) fn seal_area(bytes: &mut [u8]) {
    let sum = checksum(&bytes[AREA + 4..AREA + SECTOR]);
    bytes[AREA..AREA + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The text of a group `vg` with extents of 64 KiB on physical volumes of 16 extents each, named
/// `pv0` and so on after the characters of their UUIDs.
pub(crate) fn text(seqno: i64, volumes: &str, logical: &str) -> String {
    use std::fmt::Write as _;
    let mut physical = String::new();
    for (index, character) in volumes.chars().enumerate() {
        writeln!(
            physical,
            "pv{index} {{\nid = \"{}\"\npe_start = {}\npe_count = 16\n}}",
            uuid(character),
            DATA / SECTOR
        )
        .unwrap();
    }
    format!(
        "vg {{\nid = \"{}\"\nseqno = {seqno}\nstatus = [\"READ\"]\nextent_size = 128\n\
         physical_volumes {{\n{physical}}}\nlogical_volumes {{\n{logical}}}\n}}\n\
         contents = \"Text Format Volume Group\"\nversion = 1\n",
        uuid('g')
    )
}

/// The text of a visible logical volume; each segment is its extents and what else is said of it.
pub(crate) fn logical(name: &str, segments: &[(u64, &str)]) -> String {
    use std::fmt::Write as _;
    let mut text = format!(
        "{name} {{\nid = \"{name}\"\nstatus = [\"READ\", \"VISIBLE\"]\nsegment_count = {}\n",
        segments.len()
    );
    let mut start = 0;
    for (index, (count, rest)) in (1..).zip(segments) {
        writeln!(
            text,
            "segment{index} {{\nstart_extent = {start}\nextent_count = {count}\n{rest}\n}}"
        )
        .unwrap();
        start += count;
    }
    text + "}\n"
}

/// What is said of a linear segment.
pub(crate) fn linear(volume: &str, extent: i64) -> String {
    format!("type = \"striped\"\nstripe_count = 1\nstripes = [\"{volume}\", {extent}]")
}
