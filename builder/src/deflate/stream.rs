//! What a parse makes of the input: literals and copies in order, with their counts.

use super::input::MAX_INPUT;
use super::narrow::low16;
use super::symbols::{DISTANCE_SYMBOLS, END, LENGTH_SYMBOLS, MIN_MATCH, WINDOW};

/// The first entry that is a length; the literals come before.
pub const LENGTH_ENTRIES: usize = 256;

/// The first entry that is a distance.
pub const DISTANCE_ENTRIES: usize = 512;

/// How many different entries there are.
pub const ENTRIES: usize = DISTANCE_ENTRIES + WINDOW;

/// Where the counts of distance symbols begin in a [`Histogram`].
pub const DISTANCE_SLOTS: usize = 288;

/// The slots of a [`Histogram`] that are used.
pub const SLOTS: usize = DISTANCE_SLOTS + 32;

/// How often each symbol occurs: literals, the end of the block and lengths from 0, distances from
/// [`DISTANCE_SLOTS`]. Larger than what is used, so that a mask replaces each check.
pub type Histogram = [u32; 512];

/// The least bytes of a segment, but for the last one.
const MIN_SEGMENT: usize = 1 << 11;

/// The most segments of an input.
pub const MAX_SEGMENTS: usize = MAX_INPUT / MIN_SEGMENT;

/// A stretch of the input with counts of its own.
pub struct Segment {
    /// Where it ends among the entries.
    pub entries_end: usize,
    /// Where it ends in the input.
    pub input_end: usize,
    /// How often each symbol occurs in it, without the end of the block.
    pub histogram: Histogram,
}

/// Literals, lengths and distances, one entry each; every length is followed by its distance.
///
/// A literal is its byte, a length its bytes less 3 from [`LENGTH_ENTRIES`], a distance its bytes
/// less 1 from [`DISTANCE_ENTRIES`]: what follows a parse needs no branch to tell them apart.
pub struct Stream {
    entries: Box<[u16; MAX_INPUT]>,
    segments: Vec<Segment>,
    histogram: Box<Histogram>,
    segment: usize,
}

impl Stream {
    /// A stream whose segments end with the first symbol that reaches `segment` bytes of input.
    pub fn new(segment: usize) -> Self {
        Self {
            entries: Box::new([0; MAX_INPUT]),
            segments: Vec::with_capacity(MAX_SEGMENTS),
            histogram: Box::new([0; 512]),
            segment: segment.max(MIN_SEGMENT),
        }
    }

    /// Begins anew.
    #[inline(always)]
    pub fn writer(&mut self) -> StreamWriter<'_> {
        self.segments.clear();
        self.histogram.fill(0);
        StreamWriter {
            entries: &mut self.entries,
            segments: &mut self.segments,
            histogram: &mut self.histogram,
            count: 0,
            segment: self.segment,
            next_end: self.segment,
        }
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn entries(&self, from: usize, to: usize) -> &[u16] {
        &self.entries[from..to]
    }
}

/// Fills a [`Stream`].
pub struct StreamWriter<'a> {
    entries: &'a mut [u16; MAX_INPUT],
    segments: &'a mut Vec<Segment>,
    histogram: &'a mut Histogram,
    count: usize,
    segment: usize,
    next_end: usize,
}

impl StreamWriter<'_> {
    #[inline(always)]
    fn push(&mut self, entry: usize) {
        self.entries[self.count & (MAX_INPUT - 1)] = low16(entry);
        self.count += 1;
    }

    #[inline(always)]
    pub fn literal(&mut self, byte: u8) {
        self.push(usize::from(byte));
        self.histogram[usize::from(byte)] += 1;
    }

    #[inline(always)]
    pub fn literals(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.literal(byte);
        }
    }

    /// A copy of `length` bytes, 3 to 258, from `distance` bytes back, 1 to 4096.
    #[inline(always)]
    pub fn copy(&mut self, length: usize, distance: usize) {
        let length = length.wrapping_sub(MIN_MATCH) & 255;
        let distance = distance.wrapping_sub(1) & (WINDOW - 1);
        self.push(LENGTH_ENTRIES + length);
        self.push(DISTANCE_ENTRIES + distance);
        self.histogram[(END + 1 + usize::from(LENGTH_SYMBOLS[length])) & 511] += 1;
        self.histogram[DISTANCE_SLOTS + usize::from(DISTANCE_SYMBOLS[distance] & 31)] += 1;
    }

    /// The input is in the stream up to `at`: ends the segment if it is long enough.
    #[inline(always)]
    pub fn reached(&mut self, at: usize) {
        if at >= self.next_end && self.segments.len() + 1 < MAX_SEGMENTS {
            close(self.segments, self.histogram, self.count, at);
            self.next_end = at + self.segment;
        }
    }

    /// Ends the last segment at the end of the input.
    pub fn finish(self, at: usize) {
        close(self.segments, self.histogram, self.count, at);
    }
}

#[cold]
#[inline(never)]
fn close(
    segments: &mut Vec<Segment>,
    histogram: &mut Histogram,
    entries_end: usize,
    input_end: usize,
) {
    segments.push(Segment {
        entries_end,
        input_end,
        histogram: *histogram,
    });
    histogram[..SLOTS].fill(0);
}
