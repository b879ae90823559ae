//! One block of the stream: what it costs in each of its three forms, and writing the cheapest.

use super::bits::{BitWriter, ROOM, entry, joined};
use super::header::{Header, Lengths};
use super::huffman::{self, MAX_BITS};
use super::narrow::low32;
use super::stream::{DISTANCE_ENTRIES, DISTANCE_SLOTS, ENTRIES, Histogram, LENGTH_ENTRIES, SLOTS};
use super::symbols::{
    DISTANCE_RANGES, DISTANCES, END, LENGTH_SYMBOLS, LENGTHS, LITERALS, MIN_MATCH,
};

/// The most bytes of a stored block.
const STORED_LIMIT: usize = 65_535;

/// What the bits of each entry of a stream are.
pub type Table = [u32; 1 << 13];

/// An empty table.
pub fn new_table() -> Box<Table> {
    Box::new([0; 1 << 13])
}

/// What is written, once it is known how.
pub struct Block {
    form: Form,
    bits: u32,
}

#[allow(
    clippy::large_enum_variant,
    reason = "the blocks of an input are in one list, which is used again"
)]
enum Form {
    Stored,
    Fixed,
    Dynamic { header: Header, lengths: Lengths },
}

impl Block {
    /// Chooses the cheapest form for `bytes` of input whose symbols occur as `histogram` says.
    pub fn new(histogram: &Histogram, bytes: usize) -> Self {
        let mut histogram = *histogram;
        histogram[END] = 1;
        let mut lengths = [0; SLOTS];
        huffman::lengths(&histogram[..LITERALS], MAX_BITS, &mut lengths[..LITERALS]);
        huffman::lengths(
            &histogram[DISTANCE_SLOTS..DISTANCE_SLOTS + DISTANCES],
            MAX_BITS,
            &mut lengths[DISTANCE_SLOTS..DISTANCE_SLOTS + DISTANCES],
        );
        let header = Header::new(&lengths);
        let extra = extra_bits(&histogram);
        let dynamic = header.bits() + huffman::cost(&histogram[..SLOTS], &lengths) + extra;
        let fixed = 3 + huffman::cost(&histogram[..SLOTS], &fixed_lengths()) + extra;
        // The bits that fill up the byte before are counted as if there were most of them.
        let stored = low32((bytes + 5 * bytes.div_ceil(STORED_LIMIT).max(1)) * 8 + 7);
        let (form, bits) = if stored <= dynamic && stored <= fixed {
            (Form::Stored, stored)
        } else if fixed <= dynamic {
            (Form::Fixed, fixed)
        } else {
            (Form::Dynamic { header, lengths }, dynamic)
        };
        Self { form, bits }
    }

    /// How many bits the block takes at most.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Writes the block, which stands for `bytes` of input.
    pub fn write(
        &self,
        entries: &[u16],
        bytes: &[u8],
        last: bool,
        table: &mut Table,
        out: &mut BitWriter,
    ) {
        match &self.form {
            Form::Stored => write_stored(bytes, last, out),
            Form::Fixed => {
                out.put(u32::from(last) | 1 << 1, 3);
                write_entries(entries, &fixed_lengths(), table, out);
            }
            Form::Dynamic { header, lengths } => {
                header.write(last, out);
                write_entries(entries, lengths, table, out);
            }
        }
    }
}

fn extra_bits(histogram: &Histogram) -> u32 {
    let lengths = histogram[END + 1..].iter().zip(LENGTHS);
    let distances = histogram[DISTANCE_SLOTS..].iter().zip(DISTANCE_RANGES);
    lengths
        .chain(distances)
        .map(|(count, range)| count * u32::from(range.extra))
        .sum()
}

const fn fixed_lengths() -> Lengths {
    let mut lengths = [0; SLOTS];
    let mut slot = 0;
    while slot < SLOTS {
        lengths[slot] = match slot {
            0..=143 => 8,
            144..=255 => 9,
            256..=279 => 7,
            280..=287 => 8,
            _ => 5,
        };
        slot += 1;
    }
    lengths
}

fn write_stored(bytes: &[u8], last: bool, out: &mut BitWriter) {
    let mut pieces = bytes.chunks(STORED_LIMIT).peekable();
    while let Some(piece) = pieces.next() {
        let last = last && pieces.peek().is_none();
        out.put(last.into(), 3);
        out.align();
        let length = low32(piece.len());
        out.put(length | (!length & 0xffff) << 16, 32);
        out.bytes(piece);
    }
}

fn write_entries(entries: &[u16], lengths: &Lengths, table: &mut Table, out: &mut BitWriter) {
    let end = fill(table, lengths);
    let bits = |entry: u16| table[usize::from(entry) & (table.len() - 1)];
    let (fours, rest) = entries.as_chunks();
    for &[first, second, third, fourth] in fours {
        // At most 25 bits each.
        let (pair, count) = joined(bits(first), bits(second));
        let (next_pair, next_count) = joined(bits(third), bits(fourth));
        out.add(pair, count);
        if count + next_count > ROOM {
            out.flush();
        }
        out.add(next_pair, next_count);
        out.flush();
    }
    for &entry in rest {
        out.entry(bits(entry));
        out.flush();
    }
    out.entry(end);
    out.flush();
}

/// Fills the table for these code lengths; gives what ends the block.
fn fill(table: &mut Table, lengths: &Lengths) -> u32 {
    let mut codes = [0_u16; SLOTS];
    huffman::codes(&lengths[..DISTANCE_SLOTS], &mut codes[..DISTANCE_SLOTS]);
    huffman::codes(&lengths[DISTANCE_SLOTS..], &mut codes[DISTANCE_SLOTS..]);
    let code = |slot: usize| (u32::from(codes[slot]), u32::from(lengths[slot]));
    for (literal, to) in table[..LENGTH_ENTRIES].iter_mut().enumerate() {
        let (bits, count) = code(literal);
        *to = entry(bits, count);
    }
    for (index, to) in table[LENGTH_ENTRIES..DISTANCE_ENTRIES]
        .iter_mut()
        .enumerate()
    {
        let symbol = usize::from(LENGTH_SYMBOLS[index]);
        let (bits, count) = code(END + 1 + symbol);
        let range = LENGTHS[symbol];
        let more = low32(index + MIN_MATCH) - u32::from(range.base);
        *to = entry(bits | more << count, count + u32::from(range.extra));
    }
    for (symbol, range) in DISTANCE_RANGES.iter().enumerate() {
        let (bits, count) = code(DISTANCE_SLOTS + symbol);
        if count == 0 {
            continue;
        }
        let start = DISTANCE_ENTRIES + usize::from(range.base) - 1;
        let first = entry(bits, count + u32::from(range.extra));
        let ends = &mut table[start..start + (1 << range.extra)];
        for (more, to) in (0_u32..).zip(ends) {
            *to = first + (more << count);
        }
    }
    let (bits, count) = code(END);
    entry(bits, count)
}

const _: () = assert!(ENTRIES <= 1 << 13);
