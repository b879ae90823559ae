//! The header of a block with codes of its own (RFC 1951, section 3.2.7).

use super::bits::BitWriter;
use super::huffman;
use super::narrow::{low16, low32};
use super::stream::{DISTANCE_SLOTS, SLOTS};
use super::symbols::{DISTANCES, LITERALS};

/// Symbols that describe code lengths: lengths from 0, and three for repeats.
const PRE_SYMBOLS: usize = 19;

/// The longest code of these symbols, in bits.
const PRE_LIMIT: u8 = 7;

/// The order in which the lengths of their codes are sent.
const ORDER: [usize; PRE_SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// How many bits follow each symbol.
const EXTRA: [u32; PRE_SYMBOLS] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7];

/// Code lengths of a block in the slots of a [`Histogram`](super::stream::Histogram).
pub type Lengths = [u8; SLOTS];

/// A header that is ready to be written.
pub struct Header {
    literals: usize,
    distances: usize,
    /// Symbols in the low 8 bits, what follows them above.
    items: [u16; SLOTS],
    count: usize,
    pre_lengths: [u8; PRE_SYMBOLS],
    pre_count: usize,
    bits: u32,
}

impl Header {
    /// The header for these code lengths.
    pub fn new(lengths: &Lengths) -> Self {
        let used = |from: usize, to: usize, least: usize| {
            (from + least..to)
                .rev()
                .find(|&slot| lengths[slot] > 0)
                .map_or(least, |slot| slot + 1 - from)
        };
        let literals = used(0, LITERALS, 257);
        let distances = used(DISTANCE_SLOTS, DISTANCE_SLOTS + DISTANCES, 1);
        let mut header = Self {
            literals,
            distances,
            items: [0; SLOTS],
            count: 0,
            pre_lengths: [0; PRE_SYMBOLS],
            pre_count: 0,
            bits: 0,
        };
        let mut sent = [0_u8; SLOTS];
        sent[..literals].copy_from_slice(&lengths[..literals]);
        sent[literals..literals + distances]
            .copy_from_slice(&lengths[DISTANCE_SLOTS..DISTANCE_SLOTS + distances]);
        let mut counts = [0_u32; PRE_SYMBOLS];
        header.run_lengths(&sent[..literals + distances], &mut counts);
        huffman::lengths(&counts, PRE_LIMIT, &mut header.pre_lengths);
        header.pre_count = ORDER
            .iter()
            .rposition(|&symbol| header.pre_lengths[symbol] > 0)
            .map_or(4, |last| (last + 1).max(4));
        let extra: u32 = counts
            .iter()
            .zip(EXTRA)
            .map(|(count, bits)| count * bits)
            .sum();
        header.bits =
            17 + 3 * low32(header.pre_count) + huffman::cost(&counts, &header.pre_lengths) + extra;
        header
    }

    /// How many bits the header takes, with the three that begin a block.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    fn run_lengths(&mut self, lengths: &[u8], counts: &mut [u32; PRE_SYMBOLS]) {
        let mut at = 0;
        while at < lengths.len() {
            let length = lengths[at];
            let mut run = lengths[at..]
                .iter()
                .take_while(|&&next| next == length)
                .count();
            at += run;
            if length == 0 {
                while run >= 11 {
                    let now = run.min(138);
                    self.push(18, now - 11, counts);
                    run -= now;
                }
                if run >= 3 {
                    self.push(17, run - 3, counts);
                    run = 0;
                }
            } else {
                self.push(length, 0, counts);
                run -= 1;
                while run >= 3 {
                    // Seven as four and three rather than as six and one.
                    let now = if run == 7 { 4 } else { run.min(6) };
                    self.push(16, now - 3, counts);
                    run -= now;
                }
            }
            for _ in 0..run {
                self.push(length, 0, counts);
            }
        }
    }

    fn push(&mut self, symbol: u8, extra: usize, counts: &mut [u32; PRE_SYMBOLS]) {
        self.items[self.count] = u16::from(symbol) | low16(extra << 8);
        self.count += 1;
        counts[usize::from(symbol)] += 1;
    }

    /// Writes the header, whose block is the last of the stream or not.
    pub fn write(&self, last: bool, out: &mut BitWriter) {
        out.put(u32::from(last) | 2 << 1, 3);
        out.put(
            low32(self.literals - 257)
                | low32(self.distances - 1) << 5
                | low32(self.pre_count - 4) << 10,
            14,
        );
        for &symbol in &ORDER[..self.pre_count] {
            out.put(self.pre_lengths[symbol].into(), 3);
        }
        let mut codes = [0; PRE_SYMBOLS];
        huffman::codes(&self.pre_lengths, &mut codes);
        for item in &self.items[..self.count] {
            let symbol = usize::from(item & 255);
            let length = u32::from(self.pre_lengths[symbol]);
            out.put(
                u32::from(codes[symbol]) | u32::from(item >> 8) << length,
                length + EXTRA[symbol],
            );
        }
    }
}
