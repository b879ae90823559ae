//! The legacy LZ4 format of `lz4 -l`, as the kernel's `lib/decompress_unlz4.c` reads it.
//!
//! A magic number, then blocks: a 32-bit little-endian length and that many bytes, each block
//! 8 MiB when decompressed except the last. Nothing marks the end: the file ends, zero padding or
//! another segment begins. The magic number may come again before a block and means nothing then.

use std::io::{self, BufRead, Read};

use super::compression::{Format, HEAD, recognise};
use super::input::Input;

/// What a legacy frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What a block holds, decompressed, in bytes.
const BLOCK: usize = 8 << 20;
/// The longest that LZ4 makes a block that cannot be compressed, in bytes.
const BOUND: usize = BLOCK + BLOCK / 255 + 16;

/// A legacy frame, decompressed.
pub(super) struct Lz4Legacy<'a, 'r> {
    input: &'a mut Input<'r>,
    packed: Vec<u8>,
    block: Vec<u8>,
    start: usize,
    end: usize,
    last_was_short: bool,
}

impl<'a, 'r> Lz4Legacy<'a, 'r> {
    pub(super) fn new(input: &'a mut Input<'r>) -> io::Result<Self> {
        input.read_exact(&mut [0; MAGIC.len()])?;
        Ok(Self {
            input,
            packed: Vec::new(),
            block: vec![0; BLOCK],
            start: 0,
            end: 0,
            last_was_short: false,
        })
    }

    /// Decompresses the next block; false where the frame ends.
    fn advance(&mut self) -> io::Result<bool> {
        let head = self.input.peek(HEAD)?;
        if head.iter().take(4).all(|byte| *byte == 0) {
            return Ok(false);
        }
        let another = recognise(head) != Format::Unknown;
        let Some(word) = head.first_chunk::<4>().copied() else {
            // Asks for the rest of the length, so that the image counts as truncated.
            self.input.read_exact(&mut [0; 4])?;
            return Ok(false);
        };
        if word == MAGIC {
            self.input.consume(word.len());
            return Ok(true);
        }
        // The first bytes of a gzip or lzma segment also make a possible length.
        if self.last_was_short && another {
            return Ok(false);
        }
        let length = usize::try_from(u32::from_le_bytes(word)).unwrap_or(usize::MAX);
        if length > BOUND {
            return Ok(false);
        }
        self.input.consume(word.len());
        self.packed.resize(length, 0);
        self.input.read_exact(&mut self.packed)?;
        self.start = 0;
        self.end = lz4_flex::block::decompress_into(&self.packed, &mut self.block)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.last_was_short = self.end < BLOCK;
        Ok(true)
    }
}

impl Read for Lz4Legacy<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            if buf.is_empty() || !self.advance()? {
                return Ok(0);
            }
        }
        let length = buf.len().min(self.end - self.start);
        buf[..length].copy_from_slice(&self.block[self.start..self.start + length]);
        self.start += length;
        Ok(length)
    }
}
