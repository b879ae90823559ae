//! What a look at some of the bytes tells of all of them.

use super::narrow::low32;

/// Of so many bytes [`SAMPLE`] are looked at.
const SAMPLE_EVERY: usize = 1 << 10;

/// Bytes of one sample.
const SAMPLE: usize = 16;

/// Fewer samples do not tell noise from chance.
const ENOUGH: u32 = 512;

/// Text and tables of numbers mostly have fewer values than this.
const FEW_VALUES: usize = 74;

/// How often each value occurs.
type Counts = [u32; 256];

/// Counts of samples from all of an input.
pub struct Census {
    total: u32,
    counts: Counts,
    each_quarter_is_even: bool,
}

impl Census {
    pub fn of(bytes: &[u8]) -> Self {
        let mut census = Self {
            total: 0,
            counts: [0; 256],
            each_quarter_is_even: true,
        };
        for quarter in bytes.chunks_exact((bytes.len() / 4).max(1)) {
            let mut counts = [0; 256];
            for piece in quarter.chunks_exact(SAMPLE_EVERY) {
                for &byte in &piece[..SAMPLE] {
                    counts[usize::from(byte)] += 1;
                }
            }
            let total = low32(quarter.len() / SAMPLE_EVERY * SAMPLE);
            // Fewer samples differ more by chance.
            census.each_quarter_is_even &= are_even(&counts, total, 30);
            census.total += total;
            for (sum, count) in census.counts.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        census
    }

    /// Whether the bytes are about as even as noise: what saves bits then is copies alone, and
    /// there are hardly any.
    pub fn is_noise(&self) -> bool {
        self.total >= ENOUGH && are_even(&self.counts, self.total, 20)
    }

    /// Whether the same holds for each quarter of the bytes.
    pub fn is_noise_throughout(&self) -> bool {
        self.each_quarter_is_even && self.is_noise()
    }

    /// Whether so few values are in use that literals are short: a copy of three bytes hardly saves
    /// anything.
    pub fn has_few_values(&self) -> bool {
        let values = self.counts.iter().filter(|&&count| count > 1).count();
        self.total >= ENOUGH && values < FEW_VALUES
    }
}

/// Whether the squares of the counts add up to what even bytes come to, and so many percent.
fn are_even(counts: &Counts, total: u32, percent: u32) -> bool {
    let squares: u32 = counts.iter().map(|count| count * count).sum();
    squares <= total + total * total / 256 * (100 + percent) / 100
}

#[cfg(test)]
mod tests {
    use super::super::MAX_INPUT;
    use super::*;
    use crate::qcow2::testing::{noise, text};

    #[test]
    fn noise_is_told_from_what_is_not_even() {
        for seed in 0..100 {
            assert!(Census::of(&noise(seed, MAX_INPUT)).is_noise(), "{seed}");
            assert!(Census::of(&noise(seed, MAX_INPUT / 2)).is_noise(), "{seed}");
        }
        assert!(!Census::of(&text(1, MAX_INPUT)).is_noise());
        assert!(!Census::of(&[0; MAX_INPUT]).is_noise());
        let mut mixed = noise(1, MAX_INPUT);
        mixed[MAX_INPUT / 2..].copy_from_slice(&text(1, MAX_INPUT / 2));
        assert!(!Census::of(&mixed).is_noise());
    }

    #[test]
    fn some_text_within_noise_is_seen() {
        let seeds = 0..100;
        let told = seeds
            .filter(|&seed| Census::of(&noise(seed, MAX_INPUT)).is_noise_throughout())
            .count();
        assert!(told > 90, "{told}");
        for quarter in 0..4 {
            let mut mixed = noise(1, MAX_INPUT);
            let start = quarter * MAX_INPUT / 4;
            mixed[start..start + 6000].copy_from_slice(&text(1, 6000));
            assert!(!Census::of(&mixed).is_noise_throughout(), "{quarter}");
        }
    }

    #[test]
    fn few_values_are_told_from_many() {
        assert!(Census::of(&text(1, MAX_INPUT)).has_few_values());
        assert!(Census::of(&[0; MAX_INPUT]).has_few_values());
        assert!(!Census::of(&noise(1, MAX_INPUT)).has_few_values());
    }

    #[test]
    fn a_few_bytes_tell_nothing() {
        for length in [0, 1, 3, 1000, 30_000] {
            assert!(!Census::of(&noise(1, length)).is_noise(), "{length}");
            assert!(!Census::of(&noise(1, length)).is_noise_throughout());
            assert!(!Census::of(&text(1, length)).has_few_values());
        }
    }
}
