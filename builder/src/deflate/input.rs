//! The bytes to compress, where several can be looked at together.

use wide::u8x16;

use super::symbols::WINDOW;

/// The most bytes of one input.
pub const MAX_INPUT: usize = 1 << 16;

/// How far a look may go beyond the input.
const SLACK: usize = 16;

/// How many bytes are compared at once.
pub const WIDE: usize = 16;

/// Up to [`MAX_INPUT`] bytes.
///
/// A look at several bytes may begin at any place below [`MAX_INPUT`]; what it sees beyond the end
/// means nothing. The masks change no place of the input; they spare the checks.
pub struct Input {
    /// A window of nothing, the input, and slack.
    bytes: Box<[u8; WINDOW + MAX_INPUT + SLACK]>,
    length: usize,
}

impl Input {
    pub fn new() -> Self {
        Self {
            bytes: Box::new([0; WINDOW + MAX_INPUT + SLACK]),
            length: 0,
        }
    }

    /// Takes a copy of `data`; what is beyond [`MAX_INPUT`] does not count.
    pub fn set(&mut self, data: &[u8]) {
        self.length = data.len().min(MAX_INPUT);
        let bytes = &mut self.bytes[WINDOW..];
        bytes[..self.length].copy_from_slice(&data[..self.length]);
        bytes[self.length..self.length + SLACK].fill(0);
    }

    /// Where an input of [`MAX_INPUT`] bytes may be put, instead of being copied there.
    pub fn whole(&mut self) -> &mut [u8] {
        self.length = MAX_INPUT;
        &mut self.bytes[WINDOW..WINDOW + MAX_INPUT]
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[WINDOW..WINDOW + self.length]
    }

    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes[WINDOW + (at & (MAX_INPUT - 1))]
    }

    #[inline(always)]
    pub fn four(&self, at: usize) -> u32 {
        let at = WINDOW + (at & (MAX_INPUT - 1));
        let mut four = [0; 4];
        four.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(four)
    }

    /// The four bytes that begin [`WINDOW`] less `nearness` before a place.
    #[inline(always)]
    pub fn four_back(&self, at: usize, nearness: usize) -> u32 {
        let at = (at & (MAX_INPUT - 1)) + (nearness & (WINDOW - 1));
        let mut four = [0; 4];
        four.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(four)
    }

    #[inline(always)]
    fn eight(&self, at: usize) -> u64 {
        let at = WINDOW + (at & (MAX_INPUT - 1));
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(eight)
    }

    /// The bytes that begin at a place.
    #[inline(always)]
    pub fn wide(&self, at: usize) -> u8x16 {
        self.sixteen(WINDOW + (at & (MAX_INPUT - 1)))
    }

    /// The bytes that begin [`WINDOW`] less `nearness` before a place.
    #[inline(always)]
    pub fn wide_back(&self, at: usize, nearness: usize) -> u8x16 {
        self.sixteen((at & (MAX_INPUT - 1)) + (nearness & (WINDOW - 1)))
    }

    #[inline(always)]
    fn sixteen(&self, at: usize) -> u8x16 {
        let mut sixteen = [0; WIDE];
        sixteen.copy_from_slice(&self.bytes[at..at + WIDE]);
        u8x16::new(sixteen)
    }

    /// How many bytes from `at` on are the same as those from `from` on, at most `most`, where the
    /// first `known` are.
    #[inline(always)]
    pub fn common(&self, at: usize, from: usize, known: usize, most: usize) -> usize {
        let mut length = known;
        while length < most {
            let differ = self.eight(at + length) ^ self.eight(from + length);
            if differ != 0 {
                let equal = (differ.trailing_zeros() / 8) as usize;
                return (length + equal).min(most);
            }
            length += 8;
        }
        most
    }
}

/// How many bytes two looks have in common, up to [`WIDE`], without a branch.
#[inline(always)]
pub fn equal_wide(a: u8x16, b: u8x16) -> u32 {
    (!a.simd_eq(b).to_bitmask()).trailing_zeros()
}
