//! Where the entries of a collection begin and end in the text.

use std::ops::Range;

use super::tree::{Entry, NodeId, Value, Yaml};

/// A text and its tree.
#[derive(Debug, Clone, Copy)]
pub struct Extents<'a> {
    /// The text.
    pub text: &'a str,
    /// What it says.
    pub yaml: &'a Yaml,
}

impl Extents<'_> {
    fn line_start(&self, offset: usize) -> usize {
        self.text[..offset].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, offset: usize) -> usize {
        // By bytes: the offset may be within a character.
        let mut rest = self.text.as_bytes()[offset..].iter();
        rest.position(|byte| *byte == b'\n')
            .map_or(self.text.len(), |at| offset + at + 1)
    }

    /// Where an entry of a block begins, its mark among it, and whether nothing is before it on the
    /// line.
    fn block_start(&self, (parent, number): Entry) -> Option<(usize, bool)> {
        let (first, _) = self.yaml.entry((parent, number));
        let start = self.yaml.node(first).header.start;
        let before = &self.text[self.line_start(start)..start];
        let mark = match &self.yaml.node(parent).value {
            Value::Sequence(_) => '-',
            _ if before.trim() == "?" => '?',
            _ => {
                return Some((
                    start,
                    before.trim_start_matches('\u{feff}').trim().is_empty(),
                ));
            }
        };
        let before = before.trim_end().strip_suffix(mark)?;
        Some((
            self.line_start(start) + before.len(),
            before.trim().is_empty(),
        ))
    }

    /// Where what a node says surely ends; 0 where that cannot be told.
    fn last_byte(&self, id: NodeId) -> usize {
        let node = self.yaml.node(id);
        match &node.value {
            Value::Scalar { text, plain, block } if *block || (*plain && text.is_empty()) => 0,
            Value::Mapping(pairs) if !node.flow => pairs.last().map_or(0, |(key, value)| {
                self.yaml.node(*key).end.max(self.last_byte(*value))
            }),
            Value::Sequence(items) if !node.flow => {
                items.last().map_or(0, |item| self.last_byte(*item))
            }
            _ => node.end,
        }
    }

    /// The end of the lines of a block's entry that begins at an offset.
    fn block_end(&self, (parent, number): Entry, start: usize) -> usize {
        let indent = start - self.line_start(start);
        let (key, value) = self.yaml.entry((parent, number));
        let mut known = self.last_byte(value).max(start);
        if key != value {
            known = known.max(self.yaml.node(key).end);
        }
        let mut end = self.line_end(known.max(1) - usize::from(known > start));
        let mut next = end;
        while next < self.text.len() {
            let after = self.line_end(next);
            let line = &self.text[next..after];
            if !line.trim().is_empty() {
                if line.len() - line.trim_start_matches(' ').len() <= indent {
                    break;
                }
                end = after;
            }
            next = after;
        }
        end
    }

    /// The lines of entries of a block; `None` where they cannot be told apart from other text.
    pub fn block_run(&self, parent: NodeId, run: &Range<usize>) -> Option<Range<usize>> {
        let (start, alone) = self.block_start((parent, run.start))?;
        if !alone {
            if run.end >= self.yaml.len(parent) {
                return None;
            }
            let (next, _) = self.block_start((parent, run.end))?;
            return Some(start..next);
        }
        let (last, _) = self.block_start((parent, run.end - 1))?;
        let mut end = self.block_end((parent, run.end - 1), last);
        let mut begin = self.with_comment(start);
        // Blank lines above and below would become one gap.
        if self.is_blank_above(begin) {
            while end < self.text.len() && self.text[end..self.line_end(end)].trim().is_empty() {
                end = self.line_end(end);
            }
        }
        if end == self.text.len() {
            while begin > 0 && self.is_blank_above(begin) {
                begin = self.line_start(begin - 1);
            }
        }
        Some(begin..end)
    }

    fn is_blank_above(&self, begin: usize) -> bool {
        begin == 0
            || self.text[self.line_start(begin - 1)..begin]
                .trim()
                .is_empty()
    }

    /// The start of the comment directly above an entry, or of the line of the entry.
    fn with_comment(&self, start: usize) -> usize {
        let mut begin = self.line_start(start);
        let indent = &self.text[begin..start];
        while begin > 0 {
            let above = self.line_start(begin - 1);
            let comment = self.text[above..begin]
                .strip_prefix(indent)
                .is_some_and(|line| line.starts_with('#'));
            if !comment || self.yaml.covers(above) {
                break;
            }
            begin = above;
        }
        begin
    }

    /// Where an entry in brackets begins: behind the comma before it.
    fn flow_start(&self, (parent, number): Entry) -> usize {
        let mut at = match number.checked_sub(1) {
            Some(before) => self.flow_end((parent, before)),
            None => self.yaml.node(parent).header.end,
        };
        while let Some(c) = self.text[at..].chars().next() {
            match c {
                ',' => at += 1,
                '#' => at = self.line_end(at),
                c if c.is_whitespace() => at += c.len_utf8(),
                _ => break,
            }
        }
        at
    }

    fn flow_end(&self, entry: Entry) -> usize {
        let (key, value) = self.yaml.entry(entry);
        match self.last_byte(value) {
            0 => self.colon_end(key),
            end => end,
        }
    }

    /// Where a key ends, its colon among it.
    fn colon_end(&self, key: NodeId) -> usize {
        let end = self.yaml.node(key).end;
        let rest = &self.text[end..];
        let blank = rest.len() - rest.trim_start().len();
        if rest[blank..].starts_with(':') {
            end + blank + 1
        } else {
            end
        }
    }

    /// Where a node ends: behind the colon of a last key without a value.
    pub fn end(&self, id: NodeId) -> usize {
        let node = self.yaml.node(id);
        match &node.value {
            Value::Mapping(pairs) if !node.flow => pairs.last().map_or(node.end, |(key, value)| {
                self.end(*value).max(self.colon_end(*key))
            }),
            Value::Sequence(items) if !node.flow => {
                items.last().map_or(node.end, |item| self.end(*item))
            }
            _ => node.end,
        }
    }

    /// The text of entries in brackets, with a comma.
    pub fn flow_run(&self, parent: NodeId, run: &Range<usize>) -> Range<usize> {
        let start = self.flow_start((parent, run.start));
        if run.end < self.yaml.len(parent) {
            return start..self.flow_start((parent, run.end));
        }
        let end = self.flow_end((parent, run.end - 1));
        let before = match run.start.checked_sub(1) {
            Some(before) => self.flow_end((parent, before)),
            None => start,
        };
        if !self.text[before..start].contains('#') {
            return before..end;
        }
        let rest = &self.text[end..];
        let blank = rest.len() - rest.trim_start().len();
        start
            ..end
                + if rest[blank..].starts_with(',') {
                    blank + 1
                } else {
                    0
                }
    }
}
