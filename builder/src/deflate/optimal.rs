//! The smallest parse: all copies of the window are known, and the cheapest way through them is
//! found with the costs of the last round, again and again.

use super::huffman;
use super::input::Input;
use super::narrow::{float, low16, low32, whole};
use super::split::{self, Span};
use super::stream::{DISTANCE_SLOTS, Histogram, Stream};
use super::symbols::{
    DISTANCE_RANGES, DISTANCE_SYMBOLS, END, LENGTH_SYMBOLS, LENGTHS, MAX_MATCH, MIN_MATCH, WINDOW,
};

/// Binary logarithm of the number of chains.
const BITS: u32 = 15;

/// How many places of a chain are looked at.
const DEPTH: u32 = 200;

/// A copy of so many bytes is taken, and no other is looked for within it.
const NICE: usize = 160;

/// How often the cheapest way is found.
const ROUNDS: u32 = 4;

/// What a cost of one bit is.
const BIT: f32 = 64.0;

/// What each symbol costs, with the bits that follow it.
struct Costs {
    literals: [u32; 256],
    /// By length.
    lengths: [u32; MAX_MATCH + 1],
    /// By symbol.
    distances: [u32; 32],
}

/// How a place is reached at the least cost: the length in the high half, 1 for a literal, and the
/// distance in the low one.
type Step = u32;

/// Finds the cheapest parse.
pub struct Optimal {
    heads: Box<[u16; 1 << BITS]>,
    before: Box<[u16; WINDOW]>,
    /// Lengths and distances as in a step, longer and further within each place.
    copies: Vec<Step>,
    /// Where the copies of each place begin.
    starts: Vec<u32>,
    costs: Vec<u32>,
    steps: Vec<Step>,
    path: Vec<Step>,
    spans: Vec<Span>,
}

impl Optimal {
    pub fn new() -> Self {
        Self {
            heads: Box::new([0; 1 << BITS]),
            before: Box::new([0; WINDOW]),
            copies: Vec::new(),
            starts: Vec::new(),
            costs: Vec::new(),
            steps: Vec::new(),
            path: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Improves on the parse that is in `stream`.
    pub fn parse(&mut self, input: &Input, stream: &mut Stream) {
        self.find_copies(input);
        for _ in 0..ROUNDS {
            split::spans(stream, &mut self.spans);
            self.find_path(input, stream);
            self.follow(input, stream);
        }
    }

    /// All copies that are longer than each nearer one.
    fn find_copies(&mut self, input: &Input) {
        self.heads.fill(0);
        self.copies.clear();
        self.starts.clear();
        let length = input.len();
        let end = length.saturating_sub(MIN_MATCH);
        let mut covered = 0;
        for at in 0..length {
            self.starts.push(low32(self.copies.len()));
            if at == 0 || at >= end {
                continue;
            }
            let three = input.four(at) << 8;
            let slot = three.wrapping_mul(0x9e37_79b1) >> (32 - BITS);
            let mut place = usize::from(self.heads[slot as usize]);
            self.heads[slot as usize] = low16(at);
            self.before[at % WINDOW] = low16(place);
            if at < covered {
                continue;
            }
            let cutoff = at.saturating_sub(WINDOW + 1);
            let most = MAX_MATCH.min(length - at);
            let mut longest = MIN_MATCH - 1;
            let mut depth = DEPTH;
            while place > cutoff && depth > 0 && longest < most {
                if input.byte(place + longest) == input.byte(at + longest) {
                    let found = input.common(at, place, 0, most);
                    if found > longest {
                        longest = found;
                        self.copies.push(low32(found << 16 | (at - place)));
                    }
                }
                place = usize::from(self.before[place % WINDOW]);
                depth -= 1;
            }
            if longest >= NICE {
                covered = at + longest;
            }
        }
        self.starts.push(low32(self.copies.len()));
    }

    /// The cheapest step to each place.
    fn find_path(&mut self, input: &Input, stream: &Stream) {
        let length = input.len();
        self.costs.clear();
        self.costs.resize(length + 1, u32::MAX);
        self.costs[0] = 0;
        self.steps.clear();
        self.steps.resize(length + 1, 0);
        let mut at = 0;
        for span in &self.spans {
            let costs = Costs::new(&span.histogram);
            let end = stream.segments()[span.end - 1].input_end;
            while at < end {
                let here = self.costs[at];
                relax(
                    &mut self.costs,
                    &mut self.steps,
                    at + 1,
                    here + costs.literals[usize::from(input.byte(at))],
                    1 << 16,
                );
                let copies = self.starts[at] as usize..self.starts[at + 1] as usize;
                let mut shortest = MIN_MATCH;
                for copy in &self.copies[copies] {
                    let (longest, distance) = ((copy >> 16) as usize, (copy & 0xffff) as usize);
                    let symbol = usize::from(DISTANCE_SYMBOLS[(distance - 1) % WINDOW]);
                    let base = here + costs.distances[symbol];
                    for length in shortest..=longest {
                        let cost = base + costs.lengths[length];
                        let step = low32(length << 16 | distance);
                        relax(&mut self.costs, &mut self.steps, at + length, cost, step);
                    }
                    shortest = longest + 1;
                }
                at += 1;
            }
        }
    }

    /// Makes the stream anew from the steps.
    fn follow(&mut self, input: &Input, stream: &mut Stream) {
        self.path.clear();
        let mut at = input.len();
        while at > 0 {
            self.path.push(self.steps[at]);
            at -= (self.steps[at] >> 16) as usize;
        }
        let mut stream = stream.writer();
        for step in self.path.iter().rev() {
            let (length, distance) = ((step >> 16) as usize, (step & 0xffff) as usize);
            if length == 1 {
                stream.literal(input.byte(at));
            } else {
                stream.copy(length, distance);
            }
            at += length;
            stream.reached(at);
        }
        stream.finish(at);
    }
}

#[inline(always)]
fn relax(costs: &mut [u32], steps: &mut [Step], to: usize, cost: u32, step: Step) {
    if cost < costs[to] {
        costs[to] = cost;
        steps[to] = step;
    }
}

impl Costs {
    /// The costs in a block with these counts.
    fn new(histogram: &Histogram) -> Self {
        let literals = bits(&histogram[..END + 1 + LENGTHS.len()]);
        let distances = bits(&histogram[DISTANCE_SLOTS..DISTANCE_SLOTS + DISTANCE_RANGES.len()]);
        let mut costs = Self {
            literals: [0; 256],
            lengths: [0; MAX_MATCH + 1],
            distances: [0; 32],
        };
        let whole = |bits: f32| whole(bits * BIT);
        for (cost, bits) in costs.literals.iter_mut().zip(&literals) {
            *cost = whole(*bits);
        }
        for (cost, &symbol) in costs.lengths[MIN_MATCH..].iter_mut().zip(&LENGTH_SYMBOLS) {
            let symbol = usize::from(symbol);
            *cost = whole(literals[END + 1 + symbol] + f32::from(LENGTHS[symbol].extra));
        }
        for ((cost, bits), range) in costs
            .distances
            .iter_mut()
            .zip(&distances)
            .zip(DISTANCE_RANGES)
        {
            *cost = whole(bits + f32::from(range.extra));
        }
        costs
    }
}

/// The bits of each symbol; one that does not occur costs as much as the rarest does.
fn bits(counts: &[u32]) -> Vec<f32> {
    let total: u32 = counts.iter().sum();
    let most = float(total.max(2)).log2() + 1.0;
    counts
        .iter()
        .map(|&count| match count {
            0 => most.min(f32::from(huffman::MAX_BITS)),
            _ => (float(total) / float(count))
                .log2()
                .clamp(0.5, f32::from(huffman::MAX_BITS)),
        })
        .collect()
}
