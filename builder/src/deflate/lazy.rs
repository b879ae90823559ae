//! The default parse: chains of places with the same four bytes, and a copy is put off by a byte
//! if the next place has a better one.
//!
//! The tables are larger than the window has places, so that most literals are known at a glance:
//! their chain is empty.

use super::input::Input;
use super::narrow::low16;
use super::stream::Stream;
use super::symbols::{MAX_MATCH, MIN_MATCH, WINDOW};

/// Binary logarithm of the number of chains: 64 KiB.
const BITS: u32 = 15;

/// Binary logarithm of the slots for three bytes: 32 KiB.
const SHORT_BITS: u32 = 14;

/// A copy must be so many quarters of a byte better to be preferred to one that begins before it.
const GAIN: u32 = 2;

/// After so many literals in a row some places are passed over, more and more of them.
const PATIENCE: usize = 256;

/// The most places that are passed over at once.
const MAX_SKIP: usize = 8;

/// The places at the end where no copy begins.
const TAIL: usize = 8;

/// How long the search goes on.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How many places of a chain are looked at.
    depth: u32,
    /// How many, where there is a copy already that begins a byte before.
    lazy_depth: u32,
    /// A copy of so many bytes is good enough.
    nice: usize,
}

impl Effort {
    pub const DEFAULT: Self = Self {
        depth: 8,
        lazy_depth: 3,
        nice: 32,
    };
    pub const BEST: Self = Self {
        depth: 32,
        lazy_depth: 16,
        nice: 64,
    };
}

/// Finds copies by the last places with the same four bytes, and the last one with the same three.
pub struct Lazy {
    effort: Effort,
    chains: Chains,
}

/// Place 0 ends a chain.
struct Chains {
    heads: Box<[u16; 1 << BITS]>,
    short: Box<[u16; 1 << SHORT_BITS]>,
    /// The place before each place of the window.
    before: Box<[u16; WINDOW]>,
}

/// A copy; none if the length is below [`MIN_MATCH`].
#[derive(Clone, Copy)]
struct Found {
    length: usize,
    distance: usize,
}

impl Chains {
    /// Remembers a place; gives the last one with the same four bytes and that with the same three.
    #[inline(always)]
    fn insert(&mut self, four: u32, at: usize) -> (usize, usize) {
        let head = &mut self.heads[(four.wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize];
        let place = *head;
        *head = low16(at);
        self.before[at % WINDOW] = place;
        let three = (four << 8).wrapping_mul(0x9e37_79b1) >> (32 - SHORT_BITS);
        let short = std::mem::replace(&mut self.short[three as usize], low16(at));
        (usize::from(place), usize::from(short))
    }

    /// The longest of the nearest copies for `at` that has more than `least` bytes, which is at
    /// least 2; else `least` bytes from nowhere.
    #[inline(always)]
    fn find(
        &mut self,
        input: &Input,
        at: usize,
        least: usize,
        nice: usize,
        mut depth: u32,
    ) -> Found {
        let four = input.four(at);
        let (mut place, short) = self.insert(four, at);
        let most = MAX_MATCH.min(input.len() - at);
        // What is here or before is out of reach, and so is place 0.
        let cutoff = at.saturating_sub(WINDOW + 1);
        let mut found = Found {
            length: least,
            distance: 0,
        };
        if least < 3 && short > cutoff && (input.four(short) ^ four) << 8 == 0 {
            found = Found {
                length: 3,
                distance: at - short,
            };
        }
        // The first one with the same four bytes needs no other comparison.
        if least < 4 {
            loop {
                if place <= cutoff || depth == 0 {
                    return found;
                }
                let candidate = place;
                place = usize::from(self.before[place % WINDOW]);
                depth -= 1;
                if input.four(candidate) == four {
                    found = Found {
                        length: input.common(at, candidate, 4, most),
                        distance: at - candidate,
                    };
                    break;
                }
            }
        }
        while found.length < nice && place > cutoff && depth > 0 {
            // One that is longer has the same last four bytes as well.
            let tail = found.length - 3;
            if input.four(place + tail) == input.four(at + tail) && input.four(place) == four {
                let length = input.common(at, place, 4, most);
                if length > found.length {
                    found = Found {
                        length,
                        distance: at - place,
                    };
                }
            }
            place = usize::from(self.before[place % WINDOW]);
            depth -= 1;
        }
        found
    }
}

impl Lazy {
    pub fn new(effort: Effort) -> Self {
        Self {
            effort,
            chains: Chains {
                heads: Box::new([0; 1 << BITS]),
                short: Box::new([0; 1 << SHORT_BITS]),
                before: Box::new([0; WINDOW]),
            },
        }
    }

    pub fn parse(&mut self, input: &Input, stream: &mut Stream) {
        let mut stream = stream.writer();
        let chains = &mut self.chains;
        let effort = self.effort;
        chains.heads.fill(0);
        chains.short.fill(0);
        let length = input.len();
        let end = length.saturating_sub(TAIL);
        let mut at = length.min(1);
        stream.literals(&input.bytes()[..at]);
        let mut misses = 0;
        while at < end {
            let mut found = chains.find(input, at, MIN_MATCH - 1, effort.nice, effort.depth);
            if found.length < MIN_MATCH {
                stream.literal(input.byte(at));
                at += 1;
                misses += 1;
                if misses > PATIENCE {
                    let skip = (misses / PATIENCE).min(MAX_SKIP).min(end - at);
                    stream.literals(&input.bytes()[at..at + skip]);
                    at += skip;
                }
                stream.reached(at);
                continue;
            }
            misses = 0;
            // The first place that the chains do not have.
            let mut next = at + 1;
            while found.length < effort.nice && next < end {
                let least = found.length - 1;
                let other = chains.find(input, next, least, effort.nice, effort.lazy_depth);
                next += 1;
                if !better(other, found) {
                    break;
                }
                stream.literal(input.byte(at));
                at += 1;
                found = other;
            }
            stream.copy(found.length, found.distance);
            at += found.length;
            while next < at.min(end) {
                chains.insert(input.four(next), next);
                next += 1;
            }
            stream.reached(at);
        }
        stream.literals(&input.bytes()[at..]);
        stream.finish(length);
    }
}

/// Whether a copy is worth a literal and putting `first` off; a byte counts as four bits.
#[inline(always)]
fn better(second: Found, first: Found) -> bool {
    second.distance > 0
        && 4 * second.length + first.distance.ilog2() as usize
            > 4 * first.length + second.distance.ilog2() as usize + GAIN as usize
}
