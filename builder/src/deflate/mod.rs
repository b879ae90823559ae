//! Raw DEFLATE (RFC 1951) for one cluster of a disk: at most 64 KiB, copies from at most 4 KiB
//! back, as QEMU writes them and as a reader with that window can take them piece by piece.
//!
//! ```text
//! bytes → input → fast | lazy | optimal → stream → split → block (huffman, header) → bits
//! ```
//!
//! A census of some of the bytes tells which parse they are worth. A parse turns the whole input into a [`stream`] of literals and copies with counts for each
//! stretch. With these it is known where blocks are worth their headers, and what the result takes,
//! before a bit is written: data that does not compress costs no writing. All tables are small
//! enough for the caches nearest to the processor.

#![allow(
    clippy::inline_always,
    reason = "measured: a call or a value in memory costs more than what these do"
)]

mod bits;
mod block;
mod census;
mod fast;
mod header;
mod huffman;
mod input;
mod lazy;
mod narrow;
mod optimal;
mod patience;
mod split;
mod stream;
mod symbols;
#[cfg(test)]
mod tests;

use std::fmt;

use bits::BitWriter;
use block::{Block, Table};
use census::Census;
use fast::Fast;
use input::Input;
use lazy::Lazy;
use optimal::Optimal;
use patience::Patience;
use split::Span;
use stream::Stream;

pub use input::MAX_INPUT;

/// How hard the search for copies tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Ten times as fast as zlib's level 6, at most 6 % larger.
    Fast,
    /// Five times as fast as zlib's level 6 and as small.
    #[default]
    Default,
    /// The smallest.
    Best,
}

/// Compresses one input after another; each result depends on its input alone.
pub struct Deflater {
    parser: Parser,
    input: Input,
    stream: Stream,
    spans: Vec<Span>,
    blocks: Vec<Block>,
    table: Box<Table>,
    out: BitWriter,
}

enum Parser {
    Fast(Fast),
    /// The second one is for noise, where there is little to be found.
    Lazy(Lazy, Fast),
    Optimal(Lazy, Optimal),
}

impl Deflater {
    /// Makes the tables, about 800 KiB.
    pub fn new(level: Level) -> Self {
        Self {
            parser: match level {
                Level::Fast => Parser::Fast(Fast::new(Patience {
                    bits: 6,
                    max_skip: 16,
                })),
                Level::Default => Parser::Lazy(
                    Lazy::new(),
                    Fast::new(Patience {
                        bits: 9,
                        max_skip: 4,
                    }),
                ),
                Level::Best => Parser::Optimal(Lazy::new(), Optimal::new()),
            },
            input: Input::new(),
            stream: Stream::new(match level {
                Level::Fast => 16 << 10,
                Level::Default => 4 << 10,
                Level::Best => 2 << 10,
            }),
            spans: Vec::new(),
            blocks: Vec::new(),
            table: block::new_table(),
            out: BitWriter::new(),
        }
    }

    /// The stream for `data`, at most [`MAX_INPUT`] bytes, unless it is larger or takes more than
    /// `limit` bytes. If less than `data` is to be taken, noise is given up where it does not begin
    /// to shrink, but for [`Level::Best`].
    pub fn deflate(&mut self, data: &[u8], limit: usize) -> Option<&[u8]> {
        if data.len() > MAX_INPUT {
            return None;
        }
        self.input.set(data);
        self.encode(limit)
    }

    /// Where the next [`MAX_INPUT`] bytes can be put for [`Self::deflate_input`], and where they
    /// are left.
    pub fn input(&mut self) -> &mut [u8] {
        self.input.whole()
    }

    /// As [`Self::deflate`], for what [`Self::input`] gives.
    pub fn deflate_input(&mut self, limit: usize) -> Option<&[u8]> {
        self.input.whole();
        self.encode(limit)
    }

    fn encode(&mut self, limit: usize) -> Option<&[u8]> {
        let census = Census::of(self.input.bytes());
        if limit < self.input.len() && census.is_noise_throughout() && !self.shrinks() {
            return None;
        }
        let (input, stream) = (&self.input, &mut self.stream);
        match &mut self.parser {
            Parser::Fast(fast) => fast.parse(input, input.len(), stream),
            Parser::Lazy(_, fast) if census.is_noise() => fast.parse(input, input.len(), stream),
            Parser::Lazy(lazy, _) if census.has_few_values() => lazy.parse::<false>(input, stream),
            Parser::Lazy(lazy, _) => lazy.parse::<true>(input, stream),
            Parser::Optimal(lazy, optimal) => {
                lazy.parse::<true>(input, stream);
                optimal.parse(input, stream);
            }
        }
        split::spans(&self.stream, &mut self.spans);
        if self.plan() > limit {
            return None;
        }
        self.write();
        Some(self.out.written())
    }

    /// Whether the first quarter of the input shrinks at all, as far as the fast parse can tell.
    fn shrinks(&mut self) -> bool {
        let (Parser::Fast(fast) | Parser::Lazy(_, fast)) = &mut self.parser else {
            return true;
        };
        let quarter = self.input.len() / 4;
        fast.parse(&self.input, quarter, &mut self.stream);
        split::spans(&self.stream, &mut self.spans);
        self.plan() < quarter
    }

    /// Decides on the form of each block; the most bytes that all take.
    fn plan(&mut self) -> usize {
        self.blocks.clear();
        let mut from = 0;
        for span in &self.spans {
            let to = self.stream.segments()[span.end - 1].input_end;
            self.blocks.push(Block::new(&span.histogram, to - from));
            from = to;
        }
        let bits: u32 = self.blocks.iter().map(Block::bits).sum();
        bits.div_ceil(8) as usize
    }

    fn write(&mut self) {
        self.out.clear();
        let (mut input, mut entry) = (0, 0);
        let last = self.blocks.len() - 1;
        for (number, (span, block)) in self.spans.iter().zip(&self.blocks).enumerate() {
            let end = &self.stream.segments()[span.end - 1];
            block.write(
                self.stream.entries(entry, end.entries_end),
                &self.input.bytes()[input..end.input_end],
                number == last,
                &mut self.table,
                &mut self.out,
            );
            (input, entry) = (end.input_end, end.entries_end);
        }
        self.out.align();
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}
