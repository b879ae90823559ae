//! The way to the next copy: literals, and places that are passed over if it takes long.

use super::input::Input;
use super::stream::StreamWriter;

/// When to give up looking for copies at each place.
#[derive(Clone, Copy)]
pub struct Patience {
    /// Binary logarithm of the literals in a row after which a place is passed over; after twice
    /// as many two are, and so on.
    pub bits: u32,
    /// The most places that are passed over at once.
    pub max_skip: usize,
}

impl Patience {
    /// Makes literals of what comes before the first place where `look` finds something: that
    /// place, or `end`, and what it found. Begins at `start`, where a copy may have ended.
    #[inline(always)]
    pub fn literals<T>(
        self,
        input: &Input,
        start: usize,
        end: usize,
        stream: &mut StreamWriter<'_>,
        mut look: impl FnMut(usize) -> Option<T>,
    ) -> (usize, Option<T>) {
        let mut at = start;
        let mut stop = end.min(start + (1 << self.bits));
        while at < end {
            while at < stop {
                if let Some(found) = look(at) {
                    return (at, Some(found));
                }
                stream.literal(input.byte(at));
                at += 1;
            }
            let skip = ((at - start) >> self.bits).min(self.max_skip).min(end - at);
            stream.literals(&input.bytes()[at..at + skip]);
            at += skip;
            stream.reached(at);
            stop = end.min(at + 1);
        }
        (at, None)
    }
}
