//! The fastest parse: two candidates for each place, the longer one is taken at once.

use super::input::{GLANCE, Input, equal};
use super::narrow::{low16};
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

const BITS: u32 = 12;

type Buckets = [u32; 1 << BITS];

/// Finds copies by the last two places with the same four bytes.
pub struct Fast {
    /// Two places, the later one in the low half. A place that was never set is 0, which is as
    /// good a candidate as any.
    buckets: Box<Buckets>,
}

#[inline(always)]
fn slot(four: u32) -> usize {
    (four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

#[inline(always)]
fn insert(buckets: &mut Buckets, four: u32, at: usize) -> u32 {
    let bucket = &mut buckets[slot(four)];
    let places = *bucket;
    *bucket = places << 16 | u32::from(low16(at));
    places
}

impl Fast {
    pub fn new() -> Self {
        Self { buckets: Box::new([0; 1 << BITS]) }
    }

    pub fn parse(&mut self, input: &Input, stream: &mut Stream) {
        let mut stream = stream.writer();
        let buckets = &mut *self.buckets;
        buckets.fill(0);
        let length = input.len();
        if length == 0 { return stream.finish(0); }
        let end = length.saturating_sub(8);
        stream.literal(input.byte(0));
        let mut at = 1;
        let mut misses = 0_usize;
        while at < end {
            let here = input.glance(at);
            let places = insert(buckets, input.four(at), at);
            let mut best = 0;
            for way in 0..2 {
                let near = ((places >> (16 * way)) as usize).wrapping_sub(at) & (WINDOW - 1);
                let key = equal(here, input.glance_back(at, near)) << 12 | near as u32;
                best = best.max(key);
            }
            if best < 4 << 12 {
                stream.literal(input.byte(at));
                at += 1;
                misses += 1;
                if misses > 64 {
                    let skip = (misses / 64).min(16).min(end - at);
                    for _ in 0..skip {
                        stream.literal(input.byte(at));
                        at += 1;
                    }
                }
            } else {
                misses = 0;
                let distance = WINDOW - (best as usize & (WINDOW - 1));
                let mut best = (best >> 12) as usize;
                let most = MAX_MATCH.min(length - at);
                if best == GLANCE {
                    best = input.common(at, at - distance, GLANCE, most);
                }
                best = best.min(most);
                stream.copy(best, distance);
                for place in at + 1..at+4 {
                    insert(buckets, input.four(place), place);
                }
                at += best;
                if best > 4 { 
                let mut p = at - best + 4;
                while p < at.min(end) { insert(buckets, input.four(p), p); p += STEP; }
                }
            }
            stream.reached(at);
        }
        while at < length {
            stream.literal(input.byte(at));
            at += 1;
        }
        stream.finish(length);
    }
}
const STEP: usize = 2;
