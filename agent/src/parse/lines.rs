//! Edits of whole lines. Every byte of every other line stays as it is.

use std::collections::BTreeMap;
use std::ops::Range;

/// The physical lines of a text, each with its terminator; joined they are the text.
pub fn physical(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// A physical line without its line feed. A carriage return stays: most readers see it as blank.
pub fn content(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// Lines to remove and to replace, numbered from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineEdits {
    changes: BTreeMap<usize, Option<String>>,
}

impl LineEdits {
    /// Removes lines.
    pub fn remove(&mut self, lines: Range<usize>) {
        for line in lines {
            self.changes.insert(line, None);
        }
    }

    /// Puts one text, terminator included, in the place of lines. What is removed stays removed.
    pub fn replace(&mut self, lines: Range<usize>, text: String) {
        if self.removes(lines.start) {
            return;
        }
        let first = lines.start;
        self.remove(lines);
        self.changes.insert(first, Some(text));
    }

    /// Whether a line goes.
    pub fn removes(&self, line: usize) -> bool {
        self.changes.get(&line) == Some(&None)
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The text with the edits made.
    pub fn apply(&self, text: &str) -> String {
        let mut edited = String::with_capacity(text.len());
        for (number, line) in text.split_inclusive('\n').enumerate() {
            match self.changes.get(&number) {
                None => edited.push_str(line),
                Some(Some(replacement)) => edited.push_str(replacement),
                Some(None) => {}
            }
        }
        edited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_lines_change() {
        let text = "a\r\nb\n\nc \\\nd";
        let mut edits = LineEdits::default();
        assert_eq!(edits.apply(text), text);
        edits.remove(1..2);
        edits.replace(3..5, "e\n".to_owned());
        edits.replace(1..2, "never\n".to_owned());
        assert_eq!(edits.apply(text), "a\r\n\ne\n");
    }
}
