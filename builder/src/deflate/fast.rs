//! The fastest parse: two candidates for each place, the longer one is taken at once.
//!
//! Most literals are told from a look at four bytes; what remains to be predicted is whether there
//! is a copy.

use super::input::{Input, WIDE, equal_wide};
use super::narrow::{low16, low32};
use super::patience::Patience;
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

/// Binary logarithm of the number of buckets: 16 KiB.
const BITS: u32 = 12;

/// Two places each, the later one in the low half. One that was never set is 0, which is as good
/// a candidate as any.
type Buckets = [u32; 1 << BITS];

/// Finds copies by the last two places with the same four bytes.
pub struct Fast {
    buckets: Box<Buckets>,
    patience: Patience,
}

impl Fast {
    pub fn new(patience: Patience) -> Self {
        Self {
            buckets: Box::new([0; 1 << BITS]),
            patience,
        }
    }

    /// Parses the first `length` bytes.
    pub fn parse(&mut self, input: &Input, length: usize, stream: &mut Stream) {
        let mut stream = stream.writer();
        let buckets = &mut *self.buckets;
        buckets.fill(0);
        let end = length.saturating_sub(WIDE);
        // Place 0 has nothing before it.
        let mut at = length.min(1);
        stream.literals(&input.bytes()[..at]);
        while at < end {
            let look = |at| {
                let four = input.four(at);
                let nearness =
                    insert(buckets, four, at).map(|place| place.wrapping_sub(at) % WINDOW);
                let same = nearness.map(|nearness| input.four_back(at, nearness) == four);
                (same[0] | same[1]).then_some(nearness)
            };
            let candidates;
            (at, candidates) = self.patience.literals(input, at, end, &mut stream, look);
            let Some(nearness) = candidates else { break };
            let here = input.wide(at);
            // Of two that are as long the nearer one.
            let [first, second] = nearness.map(|nearness| {
                equal_wide(here, input.wide_back(at, nearness)) << 12 | low32(nearness)
            });
            let best = first.max(second);
            let distance = WINDOW - best as usize % WINDOW;
            let mut found = (best >> 12) as usize;
            if found == WIDE {
                found = input.common(at, at - distance, WIDE, MAX_MATCH.min(length - at));
            }
            stream.copy(found, distance);
            // Always as many places within the copy: a loop over them would end unforeseen.
            for place in [at + 1, at + 2, at + found / 2, at + found - 1] {
                insert(buckets, input.four(place), place);
            }
            at += found;
            stream.reached(at);
        }
        stream.literals(&input.bytes()[at..length]);
        stream.finish(length);
    }
}

/// Remembers a place; gives those before it with the same hash, the later one first.
#[inline(always)]
fn insert(buckets: &mut Buckets, four: u32, at: usize) -> [usize; 2] {
    let bucket = &mut buckets[(four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize];
    let places = *bucket;
    *bucket = places << 16 | u32::from(low16(at));
    [places as usize, (places >> 16) as usize]
}
