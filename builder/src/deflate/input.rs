//! The bytes to compress, where several can be looked at together.

/// The most bytes of one input.
pub const MAX_INPUT: usize = 1 << 16;

/// How far a look may go beyond the input.
const SLACK: usize = 8;

/// Up to [`MAX_INPUT`] bytes.
///
/// A look at several bytes may begin at any place below [`MAX_INPUT`]; what it sees beyond the end
/// means nothing.
pub struct Input {
    bytes: Box<[u8; MAX_INPUT + SLACK]>,
    length: usize,
}

impl Input {
    pub fn new() -> Self {
        Self {
            bytes: Box::new([0; MAX_INPUT + SLACK]),
            length: 0,
        }
    }

    /// Takes a copy of `data`; what is beyond [`MAX_INPUT`] does not count.
    pub fn set(&mut self, data: &[u8]) {
        self.length = data.len().min(MAX_INPUT);
        self.bytes[..self.length].copy_from_slice(&data[..self.length]);
        self.bytes[self.length..self.length + SLACK].fill(0);
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The byte at a place. The mask changes no place of the input; it spares the check.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes[at & (MAX_INPUT - 1)]
    }

    #[inline(always)]
    pub fn four(&self, at: usize) -> u32 {
        let at = at & (MAX_INPUT - 1);
        let mut four = [0; 4];
        four.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(four)
    }

    #[inline(always)]
    pub fn eight(&self, at: usize) -> u64 {
        let at = at & (MAX_INPUT - 1);
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(eight)
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
