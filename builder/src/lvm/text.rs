//! The text format of LVM2's metadata: sections in braces, `name = value`, comments from `#` on
//! (lvm2 `libdm/libdm-config.c`).
//!
//! Depth and number of entries are limited, so that no text costs more than its length.

use super::MetadataError;

/// The metadata have four levels.
const MAX_DEPTH: u32 = 8;
/// More values than any volume group has within [`super::MAX_TEXT`].
const MAX_ENTRIES: u32 = 2_000_000;

/// What stands between two braces, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    entries: Vec<(String, Entry)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Value(Value),
    Section(Section),
}

/// What stands behind `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A number; LVM has no other than whole ones here.
    Number(i64),
    /// A text in quotes.
    Text(String),
    /// What stands in brackets.
    List(Vec<Value>),
}

impl Section {
    /// The value of this name.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find_map(|(own, entry)| match entry {
            Entry::Value(value) if own == name => Some(value),
            _ => None,
        })
    }

    /// The text of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of this name, which is not negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Whether the list of this name has this text.
    pub(super) fn lists(&self, name: &str, word: &str) -> bool {
        matches!(self.value(name), Some(Value::List(list))
            if list.iter().any(|value| matches!(value, Value::Text(text) if text == word)))
    }

    /// The section of this name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections()
            .find_map(|(own, section)| (own == name).then_some(section))
    }

    /// All sections, in order.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            Entry::Section(section) => Some((name.as_str(), section)),
            Entry::Value(_) => None,
        })
    }
}

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Section, MetadataError> {
    let mut parser = Parser {
        rest: text,
        line: 1,
        left: MAX_ENTRIES,
    };
    let section = parser.section(0)?;
    Ok(section)
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    /// How many more entries there may be.
    left: u32,
}

impl Parser<'_> {
    fn error(&self) -> MetadataError {
        MetadataError::Syntax { line: self.line }
    }

    /// Reads up to the end of the section, the end of the text at depth 0.
    fn section(&mut self, depth: u32) -> Result<Section, MetadataError> {
        if depth > MAX_DEPTH {
            return Err(MetadataError::TooDeep);
        }
        let mut section = Section::default();
        loop {
            match self.peek() {
                None if depth == 0 => return Ok(section),
                Some('}') if depth > 0 => {
                    self.take();
                    return Ok(section);
                }
                None | Some('}') => return Err(self.error()),
                Some(_) => {}
            }
            self.count()?;
            let name = self.name()?;
            let entry = match self.peek() {
                Some('{') => {
                    self.take();
                    Entry::Section(self.section(depth + 1)?)
                }
                Some('=') => {
                    self.take();
                    Entry::Value(self.value()?)
                }
                _ => return Err(self.error()),
            };
            section.entries.push((name, entry));
        }
    }

    fn value(&mut self) -> Result<Value, MetadataError> {
        if self.peek() != Some('[') {
            return self.scalar();
        }
        self.take();
        let mut list = Vec::new();
        loop {
            match self.peek() {
                Some(']') => {
                    self.take();
                    return Ok(Value::List(list));
                }
                Some(',') if !list.is_empty() => self.take(),
                _ => list.push(self.scalar()?),
            }
        }
    }

    fn scalar(&mut self) -> Result<Value, MetadataError> {
        self.count()?;
        if matches!(self.peek(), Some('"')) {
            return self.quoted().map(Value::Text);
        }
        let word = self.word(|c| c.is_ascii_digit() || matches!(c, '-' | '+'));
        word.parse().map(Value::Number).map_err(|_| self.error())
    }

    fn quoted(&mut self) -> Result<String, MetadataError> {
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' if !escaped => escaped = true,
                _ => {
                    escaped = false;
                    text.push(c);
                }
            }
        }
        Err(self.error())
    }

    fn name(&mut self) -> Result<String, MetadataError> {
        let name = self.word(|c| !c.is_whitespace() && !"{}[]=#\",".contains(c));
        if name.is_empty() {
            return Err(self.error());
        }
        Ok(name.to_owned())
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The next character that is no white space and in no comment.
    fn peek(&mut self) -> Option<char> {
        loop {
            match self.rest.chars().next()? {
                '\n' => {
                    self.line = self.line.saturating_add(1);
                    self.take();
                }
                '#' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                c if c.is_whitespace() => self.take(),
                c => return Some(c),
            }
        }
    }

    fn take(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    fn count(&mut self) -> Result<(), MetadataError> {
        self.left = self.left.checked_sub(1).ok_or(MetadataError::TooMany)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read() {
        let section = parse(
            "# Generated\ncontents = \"Text \\\"Format\\\"\" # why\n\
             vg {\n\tseqno=3\n\tlow = -1\n\tflags = []\n\tstatus = [\"READ\", \"WRITE\"]\n\
             \tpv0 { id = \"x\" stripes = [\n\"pv0\", 0,\n\"pv1\", 7\n] }\n}\n",
        )
        .unwrap();
        assert_eq!(section.text("contents"), Some("Text \"Format\""));
        let vg = section.section("vg").unwrap();
        assert_eq!(vg.number("seqno"), Some(3));
        assert_eq!(vg.number("low"), None);
        assert!(vg.lists("status", "WRITE") && !vg.lists("flags", "WRITE"));
        let stripes = vg.section("pv0").unwrap().value("stripes").unwrap();
        assert!(matches!(stripes, Value::List(list) if list.len() == 4));
    }

    #[test]
    fn what_is_no_text_format_is_an_error() {
        let deep = "a {\n".repeat(100_000);
        let many = "a=[".to_owned() + &"1,".repeat(2_100_000) + "]";
        for (text, expected) in [
            ("a", MetadataError::Syntax { line: 1 }),
            ("a = 1\n}", MetadataError::Syntax { line: 2 }),
            ("a {\n", MetadataError::Syntax { line: 2 }),
            ("a = ", MetadataError::Syntax { line: 1 }),
            ("a = [1, [2]]", MetadataError::Syntax { line: 1 }),
            ("a = [,]", MetadataError::Syntax { line: 1 }),
            ("a = \"b\nc\"", MetadataError::Syntax { line: 1 }),
            ("a = \"b\\\"", MetadataError::Syntax { line: 1 }),
            (
                "a = 99999999999999999999",
                MetadataError::Syntax { line: 1 },
            ),
            ("a = 1 = 2", MetadataError::Syntax { line: 1 }),
            (&deep, MetadataError::TooDeep),
            (&many, MetadataError::TooMany),
        ] {
            let shown = &text[..text.len().min(20)];
            assert_eq!(parse(text), Err(expected), "{shown}");
        }
    }
}
