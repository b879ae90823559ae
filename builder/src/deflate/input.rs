//! The bytes to compress, where several can be looked at together.

use wide::u8x16;

use super::symbols::WINDOW;

/// The most bytes of one input.
pub const MAX_INPUT: usize = 1 << 16;

/// How far a look may go beyond the input.
const SLACK: usize = 16;

/// How many bytes are compared at once.
pub const GLANCE: usize = 15;

/// How many bytes are compared at once in one vector.
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
    pub fn glance(&self, at: usize) -> (u64, u64) {
        let at = WINDOW + (at & (MAX_INPUT - 1));
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        let lo = u64::from_le_bytes(eight);
        eight.copy_from_slice(&self.bytes[at + 8..at + 16]);
        (lo, u64::from_le_bytes(eight))
    }

    /// The bytes that begin [`WINDOW`] less `nearness` before a place.
    #[inline(always)]
    pub fn glance_back(&self, at: usize, nearness: usize) -> (u64, u64) {
        let at = (at & (MAX_INPUT - 1)) + (nearness & (WINDOW - 1));
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        let lo = u64::from_le_bytes(eight);
        eight.copy_from_slice(&self.bytes[at + 8..at + 16]);
        (lo, u64::from_le_bytes(eight))
    }

    /// As [`Self::glance`], for [`equal_wide`].
    #[inline(always)]
    pub fn wide(&self, at: usize) -> u8x16 {
        self.sixteen(WINDOW + (at & (MAX_INPUT - 1)))
    }

    /// As [`Self::glance_back`], for [`equal_wide`].
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

/// How many bytes two looks have in common, up to [`GLANCE`].
#[inline(always)]
pub fn equal(a: (u64, u64), b: (u64, u64)) -> u32 {
    let lo = a.0 ^ b.0;
    let hi = (a.1 ^ b.1) | 1 << 63;
    (if lo == 0 {
        64 + hi.trailing_zeros()
    } else {
        lo.trailing_zeros()
    }) / 8
}

/// How many bytes two looks have in common, up to [`WIDE`], without a branch.
#[inline(always)]
pub fn equal_wide(a: u8x16, b: u8x16) -> u32 {
    (!a.simd_eq(b).to_bitmask()).trailing_zeros()
}
