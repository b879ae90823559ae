//! A text made from another one, that knows where each part of it came from: what a quoted string
//! means, and which bytes of the file to change when a part of it shall mean something else.

use std::ops::Range;

/// A text and the source of each of its characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spanned {
    text: String,
    runs: Vec<Run>,
}

/// Neighbouring characters that are neighbours in the source as well.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    start: usize,
    source: Range<usize>,
    /// Whether the source says the same, byte for byte: an escape does not.
    literal: bool,
}

impl Spanned {
    /// A stretch of the source that means itself.
    pub fn literal(text: &str, source_start: usize) -> Self {
        let mut spanned = Self::default();
        for (at, c) in text.char_indices() {
            let start = source_start + at;
            spanned.push(c, start..start + c.len_utf8());
        }
        spanned
    }

    /// Adds a character that these bytes of the source stand for.
    pub fn push(&mut self, c: char, source: Range<usize>) {
        let literal = source.len() == c.len_utf8();
        match self.runs.last_mut() {
            Some(run) if run.literal && literal && run.source.end == source.start => {
                run.source.end = source.end;
            }
            _ => self.runs.push(Run {
                start: self.text.len(),
                source,
                literal,
            }),
        }
        self.text.push(c);
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bytes of the source that a range of the text came from.
    pub fn sources(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let first = self
            .runs
            .partition_point(|run| run.start <= range.start)
            .saturating_sub(1);
        let mut sources = Vec::new();
        for (at, run) in self.runs.iter().enumerate().skip(first) {
            if run.start >= range.end {
                break;
            }
            let end = self
                .runs
                .get(at + 1)
                .map_or(self.text.len(), |next| next.start);
            if end <= range.start {
                continue;
            }
            if run.literal {
                let from = range.start.saturating_sub(run.start);
                let to = range.end.min(end) - run.start;
                sources.push(run.source.start + from..run.source.start + to);
            } else {
                sources.push(run.source.clone());
            }
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_in_the_source() {
        // The source is `"a\"b"'c'`.
        let mut value = Spanned::default();
        for (c, source) in [('a', 1..2), ('"', 2..4), ('b', 4..5), ('c', 7..8)] {
            value.push(c, source);
        }
        assert_eq!(value.as_str(), "a\"bc");
        for (range, expected) in [
            (0..1, &[(1, 2)][..]),
            (0..2, &[(1, 2), (2, 4)]),
            (1..4, &[(2, 4), (4, 5), (7, 8)]),
            (2..2, &[]),
            (9..12, &[]),
        ] {
            assert_eq!(bounds(&value, range.clone()), expected, "{range:?}");
        }
        let literal = Spanned::literal("grün x", 10);
        assert_eq!(bounds(&literal, 2..5), [(12, 15)]);
    }

    fn bounds(value: &Spanned, range: Range<usize>) -> Vec<(usize, usize)> {
        let sources = value.sources(range);
        sources
            .iter()
            .map(|source| (source.start, source.end))
            .collect()
    }
}
