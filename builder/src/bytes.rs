//! Reading numbers, text and sectors from a disk that may end anywhere.

use std::fmt::Write as _;
use std::io::{self, Read, Seek, SeekFrom};

use crate::units::{ByteRange, Lba};

/// A part of a disk. What lies outside of it, or behind the end of the disk, reads as nothing.
#[derive(Debug)]
pub(crate) struct Window<'a, R> {
    disk: &'a mut R,
    range: ByteRange,
}

impl<'a, R: Read + Seek> Window<'a, R> {
    pub(crate) fn new(disk: &'a mut R, range: ByteRange) -> Self {
        Self { disk, range }
    }

    /// The size in bytes, as the partition table has it.
    pub(crate) fn len(&self) -> u64 {
        self.range.len()
    }

    /// Up to `len` bytes from `offset` on: fewer where the part or the disk ends before.
    pub(crate) fn read(&mut self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let left = self.range.len().saturating_sub(offset).min(len);
        let Some(position) = self.range.start().checked_add(offset) else {
            return Ok(Vec::new());
        };
        // Offsets beyond 2^63 cannot be sought to, nor can they hold anything.
        if left == 0 || i64::try_from(position).is_err() {
            return Ok(Vec::new());
        }
        self.disk.seek(SeekFrom::Start(position))?;
        let mut bytes = Vec::new();
        self.disk.by_ref().take(left).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A whole sector, filled up with zeros where the disk ends within or before it.
pub(crate) fn sector<R: Read + Seek>(disk: &mut R, lba: Lba) -> io::Result<Vec<u8>> {
    let mut bytes = match ByteRange::of_sectors(lba, 1) {
        Some(range) => Window::new(disk, range).read(0, range.len())?,
        None => Vec::new(),
    };
    bytes.resize(512, 0);
    Ok(bytes)
}

/// `N` bytes at `offset`, zeros where there are none.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}

pub(crate) fn le16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array(bytes, offset))
}

pub(crate) fn le32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array(bytes, offset))
}

pub(crate) fn le64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array(bytes, offset))
}

pub(crate) fn be16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes(array(bytes, offset))
}

pub(crate) fn be32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(array(bytes, offset))
}

/// Whether `magic` stands at `offset`.
pub(crate) fn has(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes
        .get(offset..)
        .is_some_and(|rest| rest.starts_with(magic))
}

/// Whether `needle` stands anywhere.
pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The text in a field of `len` bytes: up to the first NUL, without the spaces that fill it up.
pub(crate) fn text(bytes: &[u8], offset: usize, len: usize) -> Option<String> {
    let field = bytes.get(offset..)?;
    let field = &field[..len.min(field.len())];
    let end = field.iter().position(|&byte| byte == 0);
    let text = String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// UTF-16 in the order of little-endian machines, up to the first NUL.
pub(crate) fn utf16(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    (!units.is_empty()).then(|| String::from_utf16_lossy(&units))
}

/// A UUID in the order of its bytes, `None` where it is all zero.
pub(crate) fn uuid(bytes: &[u8], offset: usize) -> Option<String> {
    let raw: [u8; 16] = array(bytes, offset);
    if raw == [0; 16] {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in raw.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    Some(text)
}

/// A GUID, whose first three fields are little-endian; `None` where it is all zero.
pub(crate) fn guid(bytes: &[u8], offset: usize) -> Option<String> {
    let mut raw: [u8; 16] = array(bytes, offset);
    raw[..4].reverse();
    raw[4..6].reverse();
    raw[6..8].reverse();
    uuid(&raw, 0)
}
