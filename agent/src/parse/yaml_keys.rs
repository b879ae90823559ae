//! YAML mappings, key by key, with the lines of each: enough to read a few known keys of
//! cloud-init's configuration and to take one out without touching the rest.
//!
//! Block style and flow style (`{a: [b, c]}`) are read, quotes and comments too; anchors and tags
//! are not. A document that is a flow mapping of several keys has no keys to take out, and none
//! are found.

use std::ops::Range;

use super::lines::content;

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, quotes removed.
    pub key: String,
    /// Its lines in the text, from 0, without the blank lines and comments behind them.
    pub lines: Range<usize>,
    /// What stands on the line of the key.
    inline: String,
    /// The lines below it.
    block: String,
}

impl Entry {
    /// The value, if it is one word or a quoted text.
    pub fn scalar(&self) -> &str {
        unquoted(&self.inline)
    }

    /// The values of a sequence; empty where it is none.
    pub fn items(&self) -> Vec<String> {
        let flow = self.flow();
        if let Some(inner) = enclosed(&flow, '[', ']') {
            let items = split(inner, ',').into_iter().map(unquoted);
            return items
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect();
        }
        let items = self
            .block
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- "));
        items
            .map(|item| unquoted(without_comment(item)).to_owned())
            .collect()
    }

    /// The keys of a mapping; empty where it is none.
    pub fn entries(&self) -> Vec<Entry> {
        let flow = self.flow();
        if flow.starts_with('{') {
            return flow_entries(&flow);
        }
        entries(&dedented(&self.block))
    }

    /// The value of a key of a mapping, if it is one word or a quoted text; else empty.
    pub fn get(&self, key: &str) -> String {
        let entries = self.entries();
        let found = entries.iter().find(|entry| entry.key == key);
        found
            .map(|entry| entry.scalar().to_owned())
            .unwrap_or_default()
    }

    /// The value on one line.
    fn flow(&self) -> String {
        let below = self.block.lines().map(without_comment);
        let pieces = std::iter::once(self.inline.as_str()).chain(below);
        pieces
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    }
}

/// The keys of a text that is a mapping, in order.
pub fn entries(text: &str) -> Vec<Entry> {
    let lines: Vec<&str> = text
        .split_inclusive('\n')
        .map(|line| content(line).trim_end().trim_start_matches('\u{feff}'))
        .collect();
    if let Some(entry) = only_flow_entry(&lines) {
        return vec![entry];
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some((key, inline)) = key_of(lines[at]) else {
            at += 1;
            continue;
        };
        let end = end_of(&lines, at, inline);
        found.push(Entry {
            key: unquoted(key).to_owned(),
            lines: at..end,
            inline: inline.to_owned(),
            block: lines[at + 1..end].join("\n"),
        });
        at = end;
    }
    found
}

/// Whether a text has no keys or values, only comments and marks.
pub fn is_empty(text: &str) -> bool {
    text.lines()
        .map(|line| without_comment(line).trim())
        .all(|line| matches!(line, "" | "---" | "..." | "{}"))
}

/// The key at the beginning of a line and what follows it.
fn key_of(line: &str) -> Option<(&str, &str)> {
    if line.starts_with([' ', '\t', '#', '-', '{', '[', '%']) {
        return None;
    }
    let line = without_comment(line);
    let colon = find(line, ':')?;
    let rest = &line[colon + 1..];
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| (line[..colon].trim(), rest.trim()))
}

/// The line behind the last one of a key's value.
fn end_of(lines: &[&str], key: usize, inline: &str) -> usize {
    let is_flow = inline.starts_with(['{', '[']);
    let mut depth = if is_flow { depth_of(inline) } else { 0 };
    let mut end = key + 1;
    for (number, line) in lines.iter().enumerate().skip(key + 1) {
        let bare = without_comment(line).trim();
        if bare.is_empty() {
            continue;
        }
        let is_item = *line == "-" || line.starts_with("- ");
        if !(depth > 0 || line.starts_with([' ', '\t']) || is_item) {
            break;
        }
        if is_flow {
            depth += depth_of(bare);
        }
        end = number + 1;
    }
    end
}

/// How many more brackets a line opens than it closes.
fn depth_of(line: &str) -> i32 {
    let mut depth = 0;
    scan(line, |_, c| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        false
    });
    depth
}

/// The only key of a document that is a flow mapping.
fn only_flow_entry(lines: &[&str]) -> Option<Entry> {
    let kept: Vec<&str> = lines
        .iter()
        .map(|line| without_comment(line).trim())
        .filter(|line| !matches!(*line, "" | "---" | "..."))
        .collect();
    let mut found = flow_entries(&kept.join(" "));
    let mut entry = found.pop().filter(|_| found.is_empty())?;
    entry.lines = 0..lines.len();
    Some(entry)
}

fn flow_entries(flow: &str) -> Vec<Entry> {
    let Some(inner) = enclosed(flow, '{', '}') else {
        return Vec::new();
    };
    let pairs = split(inner, ',').into_iter().filter_map(|pair| {
        let colon = find(pair, ':')?;
        Some((pair[..colon].trim(), pair[colon + 1..].trim()))
    });
    pairs
        .map(|(key, value)| Entry {
            key: unquoted(key).to_owned(),
            lines: 0..0,
            inline: value.to_owned(),
            block: String::new(),
        })
        .collect()
}

fn enclosed(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// The parts between separators that are in no quotes or brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    scan(text, |at, c| {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + c.len_utf8();
            }
            _ => {}
        }
        false
    });
    parts.push(text[from..].trim());
    parts
}

/// Where a character first stands outside quotes.
fn find(text: &str, wanted: char) -> Option<usize> {
    scan(text, |_, c| c == wanted)
}

/// Shows every character outside quotes until one is taken, and says where that was.
fn scan(text: &str, mut take: impl FnMut(usize, char) -> bool) -> Option<usize> {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) => {
                if c == open && !(c == '"' && before == '\\') {
                    quote = None;
                }
            }
            // A quote within a word, as in `it's`, is a letter.
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => quote = Some(c),
            None => {
                if take(at, c) {
                    return Some(at);
                }
            }
        }
        before = c;
    }
    None
}

/// The line without the comment at its end.
pub fn without_comment(line: &str) -> &str {
    let comment = scan(line, |at, c| {
        let before = line[..at].chars().next_back();
        c == '#' && before.is_none_or(char::is_whitespace)
    });
    comment.map_or(line, |at| line[..at].trim_end())
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}

/// The lines of a block without the indentation that the first has.
fn dedented(block: &str) -> String {
    let first = block
        .lines()
        .find(|line| !without_comment(line).trim().is_empty());
    let indent = first.map_or(0, |line| line.len() - line.trim_start().len());
    let lines = block.lines().map(|line| {
        let own = line.len() - line.trim_start().len();
        &line[own.min(indent)..]
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(text: &str) -> Entry {
        entries(text).remove(0)
    }

    #[test]
    fn keys_know_their_lines() {
        let text = "# c\nusers:\n- default\n\n# about it\nnetwork:\n  version: 2\n  # inside\n\n  ethernets:\n    a: [{\n\n---\n'x': |\n  y: z\nlast : 1 # c\nhttp://x\n";
        let found: Vec<_> = entries(text)
            .into_iter()
            .map(|entry| (entry.key, entry.lines))
            .collect();
        assert_eq!(
            found,
            [
                ("users".to_owned(), 1..3),
                ("network".to_owned(), 5..11),
                ("x".to_owned(), 13..15),
                ("last".to_owned(), 15..16),
            ]
        );
    }

    #[test]
    fn values_in_block_and_flow_style() {
        for text in [
            "network: {config: disabled}",
            "network: { 'config' : \"disabled\" } # off\r\n",
            "network:\n  config: disabled # off\n",
            "network:\n    # off\n    config: 'disabled'\n",
            "network: {\n  config: disabled\n}\n",
            "{network: {config: disabled}}\n",
            "{\"network\": {\"config\": \"disabled\"}}",
        ] {
            assert_eq!(entry(text).key, "network", "{text}");
            assert_eq!(entry(text).get("config"), "disabled", "{text}");
        }
        for text in [
            "datasource_list: [ NoCloud, 'Oracle', \"None\" ]",
            "datasource_list:\n- NoCloud\n- 'Oracle' # c\n- None\n",
            "datasource_list:\n  - NoCloud\n  - Oracle\n  - None\n",
            "datasource_list: [NoCloud,\n  Oracle, None,\n]\n",
        ] {
            assert_eq!(entry(text).items(), ["NoCloud", "Oracle", "None"], "{text}");
        }
    }

    #[test]
    fn nested_mappings_are_read() {
        let text = "datasource:\n  NoCloud:\n    seedfrom: http://192.0.2.1/\n  None: {}\n";
        let sources = entry(text).entries();
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].get("seedfrom"), "http://192.0.2.1/");
        assert_eq!(entry("a: it's # c\n").scalar(), "it's");
    }

    #[test]
    fn what_is_no_mapping_has_no_keys() {
        for text in [
            "",
            "- a\n- b\n",
            "{a: 1, b: 2}\n",
            "just text\n",
            "# a: b\n",
        ] {
            assert_eq!(entries(text), [], "{text}");
        }
        assert!(is_empty("# c\n---\n\n"));
        assert!(!is_empty("a: b\n"));
    }

    proptest! {
        #[test]
        fn lines_of_keys_follow_each_other(text in "([a-c]: ?|[a-c]:\n|  [d-f]: [\\[{'\"x]\n|- g\n|[}\\]] ?\n|# c\n|ü|\n){0,16}") {
            let count = text.split_inclusive('\n').count();
            let mut done = 0;
            for entry in entries(&text) {
                prop_assert!(entry.lines.start >= done && entry.lines.end > entry.lines.start);
                prop_assert!(entry.lines.end <= count);
                done = entry.lines.end;
                entry.items();
                entry.entries();
            }
        }
    }
}
