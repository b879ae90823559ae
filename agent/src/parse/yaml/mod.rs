//! YAML as a tree that knows where each part of it stands, so that parts can be taken out and the
//! rest stays byte for byte ([`removal`]).
//!
//! The text is read by the parser of saphyr, which follows YAML 1.2. Those who read the files are
//! built on libyaml, which is stricter in some things: what only libyaml refuses (tabs before a
//! block's line, control characters) is refused here too.

mod extent;
pub mod removal;
pub mod render;
mod tree;

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::edit::{LineIndex, lines};

pub use tree::{Entry, Node, NodeId, Value, Yaml};

/// How deep collections may lie in each other.
const MAX_DEPTH: usize = 100;

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Broken {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Broken {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl Yaml {
    /// Reads a text: every document in it.
    ///
    /// # Errors
    ///
    /// It is not YAML.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        match Self::read(text) {
            // libyaml takes a tab behind a colon.
            Err(_) if text.contains(":\t") => Self::read(&text.replace(":\t", ": ")),
            read => read,
        }
    }

    fn read(text: &str) -> Result<Self, Broken> {
        let skipped = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let body = &text[skipped..];
        refuse_controls(body)?;
        let mut builder = Builder::new(body, skipped);
        for event in Parser::new_from_str(body) {
            let (event, span) = event.map_err(|error| {
                Broken::new(error.marker().line(), format!("not YAML: {}", error.info()))
            })?;
            builder.take(event, span)?;
        }
        let yaml = builder.yaml;
        refuse_tabs(text, &yaml)?;
        Ok(yaml)
    }
}

/// What a collection that is still open holds so far.
struct Open {
    id: NodeId,
    children: Vec<NodeId>,
    mapping: bool,
}

struct Builder<'a> {
    text: &'a str,
    /// Where the text begins in the file.
    shift: usize,
    /// The byte offset of each character; empty where every character is a byte.
    offsets: Vec<usize>,
    open: Vec<Open>,
    anchors: Vec<Option<NodeId>>,
    yaml: Yaml,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, shift: usize) -> Self {
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            text,
            shift,
            offsets,
            open: Vec::new(),
            anchors: Vec::new(),
            yaml: Yaml::default(),
        }
    }

    fn offset(&self, index: usize) -> usize {
        if self.text.is_ascii() {
            index.min(self.text.len())
        } else {
            self.offsets.get(index).copied().unwrap_or(self.text.len())
        }
    }

    /// The bytes of a span, blanks at its end left out.
    fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start.index());
        let end = self.offset(span.end.index()).max(start);
        let text = self.text[start..end].trim_end();
        start..start + text.len()
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let range = self.range(span);
        match event {
            Event::Alias(anchor) => {
                let target = self.anchors.get(anchor).copied().flatten();
                self.add(Value::Alias(target), range, 0);
            }
            Event::Scalar(text, style, anchor, _) => {
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    block: matches!(style, ScalarStyle::Literal | ScalarStyle::Folded),
                };
                self.add(value, range, anchor);
            }
            Event::SequenceStart(anchor, _) => self.begin(false, range, anchor, span)?,
            Event::MappingStart(anchor, _) => self.begin(true, range, anchor, span)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(&range),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, value: Value, mut range: Range<usize>, anchor: usize) -> NodeId {
        if matches!(value, Value::Scalar { block: true, .. }) {
            range.start = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        }
        let id = self.yaml.nodes.len();
        self.yaml.nodes.push(Node {
            value,
            header: range.start + self.shift..range.end + self.shift,
            end: range.end + self.shift,
            flow: false,
        });
        if anchor > 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            self.anchors[anchor] = Some(id);
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(id),
            None => self.yaml.roots.push(id),
        }
        id
    }

    fn begin(
        &mut self,
        mapping: bool,
        range: Range<usize>,
        anchor: usize,
        span: Span,
    ) -> Result<(), Broken> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Broken::new(span.start.line(), "nested too deeply"));
        }
        let value = if mapping {
            Value::Mapping(Vec::new())
        } else {
            Value::Sequence(Vec::new())
        };
        let id = self.add(value, range, anchor);
        self.open.push(Open {
            id,
            children: Vec::new(),
            mapping,
        });
        Ok(())
    }

    fn end(&mut self, range: &Range<usize>) {
        let Some(open) = self.open.pop() else {
            return;
        };
        let closing = self
            .opens(open.id, if open.mapping { '{' } else { '[' })
            .then(|| self.closing(range.start) + self.shift + 1);
        let last = open.children.last().map(|last| self.yaml.nodes[*last].end);
        if let Some(end) = closing {
            let start = self.yaml.nodes[open.id].header.start;
            let brackets = &mut self.yaml.brackets;
            while brackets.last().is_some_and(|inner| inner.start > start) {
                brackets.pop();
            }
            brackets.push(start..end);
        }
        let node = &mut self.yaml.nodes[open.id];
        node.flow = closing.is_some();
        node.end = closing.or(last).unwrap_or(node.header.end);
        match &mut node.value {
            Value::Mapping(pairs) => {
                *pairs = open
                    .children
                    .chunks_exact(2)
                    .map(|pair| (pair[0], pair[1]))
                    .collect();
            }
            Value::Sequence(items) => *items = open.children,
            _ => {}
        }
    }

    /// Where the bracket is that closes a collection: the parser has its end at a comma before it,
    /// if there is one.
    fn closing(&self, mut at: usize) -> usize {
        while let Some(c) = self.text[at..].chars().next() {
            match c {
                '#' => at += self.text[at..].find('\n').unwrap_or(self.text.len() - at),
                ',' => at += 1,
                c if c.is_whitespace() => at += c.len_utf8(),
                _ => break,
            }
        }
        at
    }

    /// Whether a collection begins with a bracket: `[a: b]` is a mapping without one.
    fn opens(&self, id: NodeId, bracket: char) -> bool {
        let header = &self.yaml.nodes[id].header;
        let own = &self.text[header.start - self.shift..header.end - self.shift];
        own.ends_with(bracket)
    }
}

/// libyaml refuses a text with control characters.
fn refuse_controls(text: &str) -> Result<(), Broken> {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}')
            || (c >= '\u{a0}' && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
    };
    match text.find(|c| !allowed(c)) {
        Some(at) => Err(Broken::new(
            LineIndex::new(text).line(at),
            "not YAML: a control character",
        )),
        None => Ok(()),
    }
}

/// libyaml refuses a tab before a line of a block, even if there is nothing else on the line.
fn refuse_tabs(text: &str, yaml: &Yaml) -> Result<(), Broken> {
    for line in lines(text) {
        let blank = line.text.len() - line.text.trim_start_matches([' ', '\t']).len();
        if line.text[..blank].contains('\t') && !yaml.covers(line.range.start) {
            return Err(Broken::new(line.number, "not YAML: a tab before a line"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        for text in [
            "a:\n  b: {c: [1, \"x: y\", *n], d: }\n",
            "a: {\"b\": {c: [1, 'x: y', &z 3], d: ~}}",
            "\u{feff}# \u{fc}\r\na:\r\n    b:\r\n        c:\r\n        - 1\r\n        - 'x: y'\r\n        - 3\r\n        d:\r\n",
        ] {
            let text = text.replace("*n", "3");
            let yaml = Yaml::parse(&text).unwrap();
            let b = yaml
                .get(yaml.roots[0], "a")
                .and_then(|a| yaml.get(a, "b"))
                .unwrap();
            let items: Vec<_> = yaml
                .items(yaml.get(b, "c").unwrap())
                .iter()
                .filter_map(|item| yaml.scalar(*item))
                .collect();
            assert_eq!(items, ["1", "x: y", "3"], "{text}");
            assert!(yaml.is_null(yaml.get(b, "d").unwrap()));
            let c = yaml.get(b, "c").unwrap();
            assert!(text[yaml.node(c).header.start..yaml.node(c).end].contains("x: y"));
        }
    }

    #[test]
    fn what_libyaml_refuses_is_refused() {
        for (text, line) in [
            ("a:\n\tb: 1\n", 2),
            ("a: 1\n\t\n", 2),
            ("a: [1\n", 2),
            ("a: 1\n b: 2\n", 2),
            ("a: *b\n", 1),
            ("a: \u{1}\n", 1),
            ("a: 1\n# \u{80}\n", 2),
        ] {
            let broken = Yaml::parse(text).unwrap_err();
            assert!(broken.line.abs_diff(line) <= 1, "{text:?} {broken:?}");
        }
        for text in [
            "",
            "# nothing\n",
            "a:\t1\n",
            "a: [1,\n\t2]\n",
            "a: |\n  x\n  \ty\n",
        ] {
            assert!(Yaml::parse(text).is_ok(), "{text:?}");
        }
        assert!(Yaml::parse(&"[".repeat(100_000)).is_err());
        assert!(Yaml::parse(&"- ".repeat(100_000)).is_err());
    }
}
