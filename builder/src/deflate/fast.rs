//! The fastest parse: two candidates for each place, the longer one is taken at once.
//!
//! Both are compared without a branch. What remains to be predicted is whether there is a copy.

use super::input::{GLANCE, Input, equal};
use super::narrow::{low16, low32};
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

/// Binary logarithm of the number of buckets: 16 KiB.
const BITS: u32 = 12;

/// The shortest copy that is looked for, in bytes.
const SHORTEST: u32 = 4;

/// After so many literals in a row some places are passed over, more and more of them.
const PATIENCE: usize = 64;

/// The most places that are passed over at once.
const MAX_SKIP: usize = 16;

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
        let mut misses = 0;
        while at < end {
            let places = insert(buckets, input.four(at), at);
            let here = input.glance(at);
            let mut best = 0;
            for place in [places, places >> 16] {
                let nearness = (place as usize).wrapping_sub(at) % WINDOW;
                let same = equal(here, input.glance_back(at, nearness));
                // Of two that are as long the nearer one.
                best = best.max(same << 12 | low32(nearness));
            }
            let found = best >> 12;
            if found < SHORTEST {
                stream.literal(input.byte(at));
                at += 1;
                misses += 1;
                if misses > PATIENCE {
                    let skip = (misses / PATIENCE).min(MAX_SKIP).min(end - at);
                    stream.literals(&input.bytes()[at..at + skip]);
                    at += skip;
                }
            } else {
                misses = 0;
                let distance = WINDOW - best as usize % WINDOW;
                let most = MAX_MATCH.min(length - at);
                let mut found = found as usize;
                if found == GLANCE {
                    found = input.common(at, at - distance, GLANCE, most);
                }
                stream.copy(found, distance);
                // The first places of what was copied, then every other one.
                for place in at + 1..at + 4 {
                    insert(buckets, input.four(place), place);
                }
                for place in (at + 4..(at + found).min(end)).step_by(2) {
                    insert(buckets, input.four(place), place);
                }
                at += found;
            }
            stream.reached(at);
        }
        stream.literals(&input.bytes()[at..]);
        stream.finish(length);
    }
}

/// Remembers a place; gives those before it with the same hash.
#[inline(always)]
fn insert(buckets: &mut Buckets, four: u32, at: usize) -> u32 {
    let bucket = &mut buckets[(four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize];
    let places = *bucket;
    *bucket = places << 16 | u32::from(low16(at));
    places
}
