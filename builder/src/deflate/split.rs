//! Where one block ends and the next begins: where codes of their own save more than they cost.

use super::narrow::float;
use super::stream::{DISTANCE_SLOTS, Histogram, MAX_SEGMENTS, SLOTS, Stream};

/// Segments that make up a block.
pub struct Span {
    /// The number of the segment after the last.
    pub end: usize,
    /// How often each symbol occurs.
    pub histogram: Histogram,
    cost: f32,
}

/// Bits of a header besides those for its symbols.
const HEADER: f32 = 200.0;

/// Bits of a header for each symbol that occurs.
const SYMBOL: f32 = 3.5;

/// Joins segments that follow one another as long as that saves bits.
pub fn spans(stream: &Stream, spans: &mut Vec<Span>) {
    spans.clear();
    for (end, segment) in (1..).zip(stream.segments()) {
        spans.push(Span {
            end,
            histogram: segment.histogram,
            cost: estimate(&segment.histogram),
        });
    }
    // Where the spans are that are left, and what each takes if the next one joins it.
    let mut left: Vec<usize> = (0..spans.len()).collect();
    let mut joined = [0_f32; MAX_SEGMENTS];
    for at in 1..spans.len() {
        joined[at - 1] = estimate(&sum(&spans[at - 1].histogram, &spans[at].histogram));
    }
    loop {
        let best = left
            .windows(2)
            .map(|pair| spans[pair[0]].cost + spans[pair[1]].cost - joined[pair[0]])
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((number, _)) = best.filter(|(_, gain)| *gain > 0.0) else {
            break;
        };
        let (at, next) = (left[number], left.remove(number + 1));
        spans[at].end = std::mem::take(&mut spans[next].end);
        spans[at].histogram = sum(&spans[at].histogram, &spans[next].histogram);
        spans[at].cost = joined[at];
        for pair in left[number.saturating_sub(1)..].windows(2).take(2) {
            joined[pair[0]] = estimate(&sum(&spans[pair[0]].histogram, &spans[pair[1]].histogram));
        }
    }
    spans.retain(|span| span.end > 0);
}

fn sum(a: &Histogram, b: &Histogram) -> Histogram {
    let mut sum = [0; 512];
    for ((sum, a), b) in sum[..SLOTS].iter_mut().zip(&a[..SLOTS]).zip(&b[..SLOTS]) {
        *sum = a + b;
    }
    sum
}

/// About how many bits a block with these counts takes, without what follows its symbols.
pub fn estimate(histogram: &Histogram) -> f32 {
    entropy(&histogram[..DISTANCE_SLOTS]) + entropy(&histogram[DISTANCE_SLOTS..SLOTS]) + HEADER
}

/// The bits of the symbols, with their part of the header.
fn entropy(counts: &[u32]) -> f32 {
    let mut total = [0_u32; 4];
    let mut used = [0_u32; 4];
    let mut bits = [0_f32; 4];
    for four in counts.chunks_exact(4) {
        for lane in 0..4 {
            let count = four[lane];
            total[lane] += count;
            used[lane] += u32::from(count > 0);
            bits[lane] += times_log(count);
        }
    }
    let used: u32 = used.iter().sum();
    times_log(total.iter().sum()) - bits.iter().sum::<f32>() + SYMBOL * float(used)
}

/// `count` times its binary logarithm, within a hundredth of a bit each; 0 for 0.
#[inline(always)]
fn times_log(count: u32) -> f32 {
    let number = float(count);
    let bits = number.to_bits();
    let exponent = float(bits >> 23) - 127.0;
    let mantissa = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000);
    // A parabola through 1, 1.5 and 2, as good as three terms get.
    let log = (mantissa * -0.336 + 2.008) * mantissa - 1.672;
    number * (exponent + log)
}
