//! The default parse: several candidates for each place, and a better copy one byte on is preferred.

use super::input::{Input};
use super::narrow::{low16};
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

const BITS: u32 = 15;
const SHORT_BITS: u32 = 14;
const DEPTH: u32 = 8;
const DEPTH2: u32 = 3;
const NICE: usize = 32;
const D3: usize = 4096;
const GAIN: i32 = 2;

pub struct Lazy {
    heads: Box<[u16; 1 << BITS]>,
    short: Box<[u16; 1 << SHORT_BITS]>,
    next: Box<[u16; WINDOW]>,
}

struct Finder<'a> {
    input: &'a Input,
    heads: &'a mut [u16; 1 << BITS],
    short: &'a mut [u16; 1 << SHORT_BITS],
    next: &'a mut [u16; WINDOW],
}

impl Finder<'_> {
    #[inline(always)]
    fn insert(&mut self, four: u32, at: usize) -> (usize, usize) {
        let slot = (four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize;
        let place = self.heads[slot];
        self.heads[slot] = low16(at);
        self.next[at % WINDOW] = place;
        let slot = ((four << 8).wrapping_mul(0x9e37_79b1) >> (32 - SHORT_BITS)) as usize;
        let short = self.short[slot];
        self.short[slot] = low16(at);
        (usize::from(place), usize::from(short))
    }

    #[inline(always)]
    fn find(&mut self, at: usize, least: usize, most: usize, mut depth: u32) -> (usize, usize) {
        let here = self.input.four(at);
        let (mut place, short) = self.insert(here, at);
        let cutoff = at.saturating_sub(WINDOW + 1);
        let mut best = least;
        let mut from = 0;
        if best < 4 {
            if best < 3 && short > cutoff && (self.input.four(short) ^ here) << 8 == 0 && at - short <= D3 {
                best = 3;
                from = short;
            }
            loop {
                if place <= cutoff { return (best, from); }
                if self.input.four(place) == here { break; }
                place = usize::from(self.next[place % WINDOW]);
                depth -= 1;
                if depth == 0 { return (best, from); }
            }
            best = self.input.common(at, place, 4, most);
            from = place;
            if best >= NICE { return (best, from); }
            depth -= 1;
            if depth == 0 { return (best, from); }
            place = usize::from(self.next[place % WINDOW]);
        }
        let mut tail = self.input.four(at + best - 3);
        loop {
            if place <= cutoff { break; }
            if self.input.four(place + best - 3) == tail && self.input.four(place) == here {
                let length = self.input.common(at, place, 4, most);
                if length > best {
                    best = length; from = place;
                    if best >= NICE { break; }
                    tail = self.input.four(at + best - 3);
                }
            }
            depth -= 1;
            if depth == 0 { break; }
            place = usize::from(self.next[place % WINDOW]);
        }
        (best, from)
    }
}

impl Lazy {
    pub fn new() -> Self {
        Self { heads: Box::new([0; 1 << BITS]), short: Box::new([0; 1 << SHORT_BITS]), next: Box::new([0; WINDOW]) }
    }

    pub fn parse(&mut self, input: &Input, stream: &mut Stream) {
        let mut stream = stream.writer();
        self.heads.fill(0);
        self.short.fill(0);
        let length = input.len();
        if length == 0 { return stream.finish(0); }
        let mut finder = Finder { input, heads: &mut self.heads, short: &mut self.short, next: &mut self.next };
        let end = length.saturating_sub(8);
        let mut at = 1;
        let mut misses = 0_usize;
        stream.literal(input.byte(0));
        while at < end {
            let (mut best, mut from) = finder.find(at, 2, MAX_MATCH.min(length - at), DEPTH);
            if best < 3 || best == 3 && at - from > FAR3 {
                stream.literal(input.byte(at));
                at += 1;
                misses += 1;
                if misses > 256 {
                    let skip = (misses / 256).min(8).min(end - at);
                    for _ in 0..skip {
                        stream.literal(input.byte(at));
                        at += 1;
                    }
                }
                stream.reached(at);
                continue;
            }
            misses = 0;
            // The place after the last one that is known to the finder.
            let mut known = at + 1;
            while best < NICE && known < end {
                let next = finder.find(known, best - 1, MAX_MATCH.min(length - known), DEPTH2);
                known += 1;
                if next.0 < best || next.1 == 0 || gain(best, at - from, next.0, at + 1 - next.1) <= GAIN {
                    break;
                }
                stream.literal(input.byte(at));
                at += 1;
                (best, from) = next;
            }
            stream.copy(best, at - from);
            let stop = (at + best).min(end);
            while known < stop {
                finder.insert(input.four(known), known);
                known += 1;
            }
            at += best;
            stream.reached(at);
        }
        while at < length {
            stream.literal(input.byte(at));
            at += 1;
        }
        stream.finish(length);
    }
}
const FAR3: usize = 4096;

fn gain(length: usize, distance: usize, next: usize, other: usize) -> i32 {
    4 * (next as i32 - length as i32) + (distance as u32).ilog2() as i32 - (other as u32).ilog2() as i32
}
