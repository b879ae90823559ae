//! The fastest parse: two candidates for each place, the longer one is taken at once.
//!
//! Most literals are told from a look at four bytes; what remains to be predicted is whether there
//! is a copy.

use super::input::{GLANCE, Input, equal};
use super::narrow::{low16, low32};
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

/// Binary logarithm of the number of buckets: 16 KiB.
const BITS: u32 = 12;

/// After so many literals in a row some places are passed over, more and more of them.
const PATIENCE: usize = 64;

/// The most places that are passed over at once.
const MAX_SKIP: usize = 16;

/// Of the places within a copy the second and third are remembered, then every one so far on.
const STRIDE: usize = 3;

/// Two places each, the later one in the low half. One that was never set is 0, which is as good
/// a candidate as any.
type Buckets = [u32; 1 << BITS];

/// Finds copies by the last two places with the same four bytes.
pub struct Fast {
    buckets: Box<Buckets>,
}

impl Fast {
    pub fn new() -> Self {
        Self {
            buckets: Box::new([0; 1 << BITS]),
        }
    }

    pub fn parse(&mut self, input: &Input, stream: &mut Stream) {
        let mut stream = stream.writer();
        let buckets = &mut *self.buckets;
        buckets.fill(0);
        let length = input.len();
        let end = length.saturating_sub(GLANCE);
        // Place 0 has nothing before it.
        let mut at = length.min(1);
        stream.literals(&input.bytes()[..at]);
        // Where the last copy ended.
        let mut copied = at;
        while at < end {
            let four = input.four(at);
            let nearness = insert(buckets, four, at).map(|place| place.wrapping_sub(at) % WINDOW);
            let same = nearness.map(|nearness| input.four_back(at, nearness) == four);
            if !(same[0] | same[1]) {
                stream.literal(input.byte(at));
                at += 1;
                if at - copied > PATIENCE {
                    let skip = ((at - copied) / PATIENCE).min(MAX_SKIP).min(end - at);
                    stream.literals(&input.bytes()[at..at + skip]);
                    at += skip;
                    stream.reached(at);
                }
                continue;
            }
            let here = input.glance(at);
            // Of two that are as long the nearer one.
            let [first, second] = nearness.map(|nearness| {
                equal(here, input.glance_back(at, nearness)) << 12 | low32(nearness)
            });
            let best = first.max(second);
            let distance = WINDOW - best as usize % WINDOW;
            let mut found = (best >> 12) as usize;
            if found == GLANCE {
                found = input.common(at, at - distance, GLANCE, MAX_MATCH.min(length - at));
            }
            stream.copy(found, distance);
            insert(buckets, input.four(at + 1), at + 1);
            for place in (at + 2..(at + found).min(end)).step_by(STRIDE) {
                insert(buckets, input.four(place), place);
            }
            at += found;
            copied = at;
            stream.reached(at);
        }
        stream.literals(&input.bytes()[at..]);
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
