//! Changing a text in places, and leaving every other byte of it alone.

use std::ops::Range;

/// Other text for a range of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes, as byte offsets into the text.
    pub range: Range<usize>,
    /// What comes in its place.
    pub text: String,
}

impl Edit {
    /// Takes a range out.
    pub fn remove(range: Range<usize>) -> Self {
        Self {
            range,
            text: String::new(),
        }
    }

    /// Puts other text in place of a range; an empty range inserts.
    pub fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Self {
            range,
            text: text.into(),
        }
    }
}

/// The text with edits made, in any order. Of two edits that overlap the later one is left out, as
/// is one that would cut a character or lies outside.
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut made = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        let Some(kept) = text.get(done..edit.range.start) else {
            continue;
        };
        if !text.is_char_boundary(edit.range.end) {
            continue;
        }
        made.push_str(kept);
        made.push_str(&edit.text);
        done = edit.range.end.max(done);
    }
    made.push_str(text.get(done..).unwrap_or_default());
    made
}

/// A line and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// Its text without the line break, `\n` or `\r\n`.
    pub text: &'a str,
    /// Its bytes, the line break among them.
    pub range: Range<usize>,
}

/// The lines of a text.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .zip(1..)
        .map(move |(line, number)| {
            let range = start..start + line.len();
            start = range.end;
            let bare = line.strip_suffix('\n').unwrap_or(line);
            Line {
                number,
                text: bare.strip_suffix('\r').unwrap_or(bare),
                range,
            }
        })
}

/// The words of a line and where they are, as byte offsets into the line.
pub fn words(line: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = line.get(from..)?;
        let start = from + rest.find(|c: char| !c.is_ascii_whitespace())?;
        let rest = &line[start..];
        let length = rest
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        from = start + length;
        Some((start..from, &rest[..length]))
    })
}

/// Finds the line that an offset is in.
#[derive(Debug)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// Looks at a text once.
    pub fn new(text: &str) -> Self {
        Self {
            starts: lines(text).map(|line| line.range.start).collect(),
        }
    }

    /// The number of the line, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_and_the_rest_stays() {
        let text = "one two three";
        for (edits, expected) in [
            (vec![], text),
            (vec![Edit::remove(3..7)], "one three"),
            (
                vec![Edit::replace(8..13, "3"), Edit::replace(0..0, "> ")],
                "> one two 3",
            ),
            (vec![Edit::remove(0..7), Edit::remove(4..9)], " three"),
            (vec![Edit::remove(90..99)], text),
        ] {
            assert_eq!(apply(text, edits), expected);
        }
    }

    #[test]
    fn lines_know_where_they_are() {
        let text = "a\r\n\nb c";
        let found: Vec<_> = lines(text)
            .map(|line| (line.number, line.text, line.range))
            .collect();
        assert_eq!(found, [(1, "a", 0..3), (2, "", 3..4), (3, "b c", 4..7)]);
        let index = LineIndex::new(text);
        assert_eq!([0, 2, 3, 4, 6].map(|at| index.line(at)), [1, 1, 2, 3, 3]);
    }

    #[test]
    fn words_know_where_they_are() {
        let found: Vec<_> = words(" a\tbcd  ").collect();
        assert_eq!(found, [(1..2, "a"), (3..6, "bcd")]);
        assert_eq!(words("").count(), 0);
    }
}
