//! Raw DEFLATE (RFC 1951) for one cluster of a disk: at most 64 KiB, copies from at most 4 KiB back.

pub mod bits;
pub mod block;
pub mod fast;
pub mod header;
pub mod huffman;
pub mod lazy;
pub mod input;
pub mod narrow;
pub mod split;
pub mod stream;
pub mod symbols;

use bits::BitWriter;
use block::{Block, Table};
use fast::Fast;
use input::Input;
use lazy::Lazy;
use split::Span;
use stream::Stream;

pub use input::MAX_INPUT;

/// Compresses one input after another; each result depends on its input alone.
pub struct Deflater {
    input: Input,
    fast: Fast,
    lazy: Lazy,
    pub level: u32,
    stream: Stream,
    spans: Vec<Span>,
    blocks: Vec<Block>,
    table: Box<Table>,
    out: BitWriter,
}

impl Deflater {
    pub fn new() -> Self {
        Self {
            input: Input::new(),
            fast: Fast::new(),
            lazy: Lazy::new(),
            level: 1,
            stream: Stream::new(),
            spans: Vec::new(),
            blocks: Vec::new(),
            table: Box::new([0; 1 << 13]),
            out: BitWriter::new(),
        }
    }

    /// The stream for `data`, unless it takes more than `limit` bytes.
    pub fn deflate(&mut self, data: &[u8], limit: usize) -> Option<&[u8]> {
        self.input.set(data);
        match self.level { 1 => self.fast.parse(&self.input, &mut self.stream), _ => self.lazy.parse(&self.input, &mut self.stream)}
        split::spans(&self.stream, &mut self.spans);
        self.blocks.clear();
        let mut bits = 0;
        let mut from = 0;
        for span in &self.spans {
            let to = self.stream.segments()[span.end - 1].input_end;
            let block = Block::new(&span.histogram, to - from);
            bits += block.bits();
            from = to;
            self.blocks.push(block);
        }
        if bits.div_ceil(8) as usize > limit {
            return None;
        }
        self.out.clear();
        let (mut from, mut entry) = (0, 0);
        for (number, (span, block)) in self.spans.iter().zip(&self.blocks).enumerate() {
            let segment = &self.stream.segments()[span.end - 1];
            let last = number + 1 == self.blocks.len();
            block.write(
                self.stream.entries(entry, segment.entries_end),
                &self.input.bytes()[from..segment.input_end],
                last,
                &mut self.table,
                &mut self.out,
            );
            (from, entry) = (segment.input_end, segment.entries_end);
        }
        self.out.align();
        Some(self.out.written())
    }
}
