//! Bits into bytes, the first bit lowest.

use super::input::MAX_INPUT;

/// Room for an input that does not compress, and for the last words written.
pub const MAX_OUTPUT: usize = MAX_INPUT + 64;

/// How many bits there is room for after a flush.
pub const ROOM: u32 = 56;

/// Writes up to [`MAX_OUTPUT`] bytes; what would be beyond overwrites the end.
pub struct BitWriter {
    bytes: Box<[u8; MAX_OUTPUT + 8]>,
    length: usize,
    buffer: u64,
    /// How many bits of the buffer are used: below 8 after each flush.
    used: u32,
}

impl BitWriter {
    pub fn new() -> Self {
        Self {
            bytes: Box::new([0; MAX_OUTPUT + 8]),
            length: 0,
            buffer: 0,
            used: 0,
        }
    }

    pub fn clear(&mut self) {
        self.length = 0;
        self.buffer = 0;
        self.used = 0;
    }

    /// Adds `count` bits, the others of `bits` being 0. Between two flushes at most [`ROOM`] fit.
    #[inline(always)]
    pub fn add(&mut self, bits: u64, count: u32) {
        self.buffer |= bits << (self.used & 63);
        self.used += count;
    }

    /// Makes [`ROOM`] for more bits.
    #[inline(always)]
    pub fn flush(&mut self) {
        let at = self.length.min(MAX_OUTPUT);
        self.bytes[at..at + 8].copy_from_slice(&self.buffer.to_le_bytes());
        self.length += (self.used / 8) as usize;
        self.buffer >>= self.used / 8 * 8;
        self.used &= 7;
    }

    pub fn put(&mut self, bits: u32, count: u32) {
        self.add(u64::from(bits), count);
        self.flush();
    }

    /// Fills the last byte up.
    pub fn align(&mut self) {
        self.used = self.used.next_multiple_of(8);
        self.flush();
    }

    /// Adds whole bytes where a byte begins.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = (self.length + bytes.len()).min(MAX_OUTPUT);
        let start = self.length.min(end);
        self.bytes[start..end].copy_from_slice(&bytes[..end - start]);
        self.length += bytes.len();
    }

    /// What was written, whose last byte must be complete.
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.length.min(MAX_OUTPUT)]
    }

    /// The bits of an entry of a table: the count above bit 24.
    #[inline(always)]
    pub fn entry(&mut self, entry: u32) {
        let (bits, count) = parts(entry);
        self.add(bits, count);
    }
}

/// An entry of a table for [`BitWriter::entry`].
#[inline(always)]
pub const fn entry(bits: u32, count: u32) -> u32 {
    bits | count << 24
}

/// Two entries as bits and their count, the first one lowest.
#[inline(always)]
pub fn joined(first: u32, second: u32) -> (u64, u32) {
    let ((bits, count), (more_bits, more)) = (parts(first), parts(second));
    (bits | more_bits << count, count + more)
}

/// The bits of an entry, and their count.
#[inline(always)]
fn parts(entry: u32) -> (u64, u32) {
    (u64::from(entry & 0x00ff_ffff), entry >> 24)
}
