//! The default parse: chains of places with the same four bytes, and a copy is put off by a byte
//! if the next place has a better one.
//!
//! The chains of the whole input are made first, a loop without a branch. At each place it is then
//! known at a glance whether a copy begins; if so, a fixed number of places is compared, again
//! without a branch: a wrong guess of the processor costs more than some places in vain.

use super::input::{Input, MAX_INPUT, WIDE, equal_wide};
use super::narrow::{low16, low32};
use super::patience::Patience;
use super::stream::Stream;
use super::symbols::{MAX_MATCH, WINDOW};

/// Binary logarithm of the number of chains: 128 KiB.
const BITS: u32 = 16;

/// Binary logarithm of the slots for three bytes: 64 KiB.
const SHORT_BITS: u32 = 15;

/// How many places are compared, and how many where there is a copy already that begins a byte
/// before. Where copies of three bytes are not looked for, there is time for some more.
const fn depths(three: bool) -> (usize, usize) {
    if three { (5, 4) } else { (7, 6) }
}

/// A copy must be so many quarters of a byte better to be preferred to one that begins before it.
const GAIN: u32 = 2;

/// Few copies begin so far from one another.
const PATIENCE: Patience = Patience {
    bits: 8,
    max_skip: 8,
};

/// Finds copies by the last places with the same four bytes, and the last one with the same three.
///
/// Whatever place a chain names, only what the window has there counts: a place that is out of
/// reach stands for the one within reach that differs by a multiple of the window.
pub struct Lazy {
    heads: Box<[u16; 1 << BITS]>,
    short: Box<[u16; 1 << SHORT_BITS]>,
    /// For each place the last one with the same four bytes.
    links: Box<[u16; MAX_INPUT]>,
    /// For each place the last one with the same three.
    short_links: Box<[u16; MAX_INPUT]>,
}

/// A copy.
#[derive(Clone, Copy)]
struct Found {
    length: usize,
    distance: usize,
}

impl Lazy {
    pub fn new() -> Self {
        Self {
            heads: Box::new([0; 1 << BITS]),
            short: Box::new([0; 1 << SHORT_BITS]),
            links: Box::new([0; MAX_INPUT]),
            short_links: Box::new([0; MAX_INPUT]),
        }
    }

    /// Parses all of the input; copies of three bytes are looked for if `THREE`.
    #[inline(never)]
    pub fn parse<const THREE: bool>(&mut self, input: &Input, stream: &mut Stream) {
        let (depth, lazy_depth) = depths(THREE);
        let length = input.len();
        let end = length.saturating_sub(WIDE);
        self.link::<THREE>(input, end);
        let mut stream = stream.writer();
        // Place 0 has nothing before it.
        let mut at = length.min(1);
        stream.literals(&input.bytes()[..at]);
        while at < end {
            let look = |at| {
                let (first, any) = self.first::<THREE>(input, at);
                any.then_some(first)
            };
            let first;
            (at, first) = PATIENCE.literals(input, at, end, &mut stream, look);
            let Some(first) = first else { break };
            let mut found = self.longest(input, at, first, depth);
            while found.length < WIDE && at + 1 < end {
                let (first, _) = self.first::<THREE>(input, at + 1);
                let other = self.longest(input, at + 1, first, lazy_depth);
                if !better(other, found) {
                    break;
                }
                stream.literal(input.byte(at));
                at += 1;
                found = other;
            }
            stream.copy(found.length, found.distance);
            at += found.length;
            stream.reached(at);
        }
        stream.literals(&input.bytes()[at..]);
        stream.finish(length);
    }

    /// Makes the links of all places before `end`.
    #[inline(never)]
    fn link<const THREE: bool>(&mut self, input: &Input, end: usize) {
        self.heads.fill(0);
        if THREE {
            self.short.fill(0);
        }
        let links = &mut self.links[..end];
        let short_links = &mut self.short_links[..end];
        for at in 1..end {
            let mixed = input.four(at).wrapping_mul(0x9e37_79b1);
            let head = &mut self.heads[(mixed >> (32 - BITS)) as usize];
            links[at] = std::mem::replace(head, low16(at));
            if THREE {
                // What the fourth byte has no part in.
                let short = mixed >> (24 - SHORT_BITS) & ((1 << SHORT_BITS) - 1);
                short_links[at] = std::mem::replace(&mut self.short[short as usize], low16(at));
            }
        }
    }

    /// The last place with the same four bytes, else with the same three, and whether it has them.
    #[inline(always)]
    fn first<const THREE: bool>(&self, input: &Input, at: usize) -> (usize, bool) {
        let four = input.four(at);
        let place = usize::from(self.links[at % MAX_INPUT]);
        let same_four = input.four_back(at, nearness(place, at)) == four;
        if !THREE {
            return (place, same_four);
        }
        let short = usize::from(self.short_links[at % MAX_INPUT]);
        let same_three = (input.four_back(at, nearness(short, at)) ^ four) << 8 == 0;
        (
            if same_four { place } else { short },
            same_four | same_three,
        )
    }

    #[inline(always)]
    fn next(&self, place: usize) -> usize {
        usize::from(self.links[place % MAX_INPUT])
    }

    /// The longest copy of the places in a chain, of several the nearest.
    #[inline(always)]
    fn longest(&self, input: &Input, at: usize, first: usize, depth: usize) -> Found {
        let here = input.wide(at);
        let mut place = first;
        let mut best = 0;
        for _ in 0..depth {
            let nearness = nearness(place, at);
            let same = equal_wide(here, input.wide_back(at, nearness));
            best = best.max(same << 12 | low32(nearness));
            place = self.next(place);
        }
        let length = (best >> 12) as usize;
        if length == WIDE {
            return self.longest_long(input, at, first, depth);
        }
        Found {
            length,
            distance: WINDOW - best as usize % WINDOW,
        }
    }

    /// As [`Self::longest`], where there is a copy of [`WIDE`] bytes or more: compares twice as
    /// many at once, and counts on only at the nearest of the longest.
    #[inline(never)]
    fn longest_long(&self, input: &Input, at: usize, first: usize, depth: usize) -> Found {
        let most = MAX_MATCH.min(input.len() - at);
        let (here, on) = (input.wide(at), input.wide(at + WIDE));
        let mut place = first;
        let mut best = 0;
        for _ in 0..depth {
            let nearness = nearness(place, at);
            let same = equal_wide(here, input.wide_back(at, nearness));
            let more = equal_wide(on, input.wide_back(at + WIDE, nearness));
            let same = same + more * u32::from(same == low32(WIDE));
            best = best.max(same << 12 | low32(nearness));
            place = self.next(place);
        }
        let distance = WINDOW - best as usize % WINDOW;
        let mut length = (best >> 12) as usize;
        if length == 2 * WIDE {
            length = input.common(at, at - distance, length, most);
        }
        Found {
            length: length.min(most),
            distance,
        }
    }
}

/// How far a place lies from the far end of the window of another one.
#[inline(always)]
fn nearness(place: usize, at: usize) -> usize {
    place.wrapping_sub(at) % WINDOW
}

/// Whether a copy is worth a literal and putting `first` off; a byte counts as four bits.
#[inline(always)]
fn better(second: Found, first: Found) -> bool {
    second.length >= first.length
        && 4 * second.length + first.distance.ilog2() as usize
            > 4 * first.length + second.distance.ilog2() as usize + GAIN as usize
}
