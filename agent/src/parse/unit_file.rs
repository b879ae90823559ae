//! The syntax of systemd's files, `systemd.syntax(7)`: `.link`, `.network`, `.netdev`, units.
//!
//! Lines that begin with `#` or `;` are comments, between continued lines too.

use std::ops::Range;

use super::lines::{content, physical};

/// An assignment, in the order of the file. A key may come more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section that it stands in; empty before the first one.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value, continuations joined by a space; an empty one resets a list.
    pub value: String,
    /// Its physical lines, from 0.
    pub lines: Range<usize>,
}

/// The assignments of a file. Lines that are none are passed over.
pub fn parse(text: &str) -> Vec<Entry> {
    let physical = physical(text);
    let mut entries = Vec::new();
    let mut section = String::new();
    let mut at = 0;
    while at < physical.len() {
        let start = at;
        let mut joined = String::new();
        while at < physical.len() {
            let line = content(physical[at]).trim();
            at += 1;
            if line.starts_with(['#', ';']) {
                if joined.is_empty() {
                    break;
                }
                continue;
            }
            let Some(continued) = line.strip_suffix('\\') else {
                joined.push_str(line);
                break;
            };
            joined.push_str(continued.trim_end());
            joined.push(' ');
        }
        let line = joined.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            entries.push(Entry {
                section: section.clone(),
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
                lines: start..at,
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_comments_and_continuations() {
        let text = "\u{feff}x=0\n[Match]\n# c\n MACAddress = 52:54:00:12:34:56 \\\n; inner\n  52:54:00:12:34:57\n\
             Name=\n[Link]\r\nName=lan0\r\nnonsense\n[Link]\nMTUBytes=9000";
        let shown: Vec<String> = parse(text)
            .into_iter()
            .map(|e| format!("{}.{}={} {:?}", e.section, e.key, e.value, e.lines))
            .collect();
        assert_eq!(
            shown[1..],
            [
                "Match.MACAddress=52:54:00:12:34:56 52:54:00:12:34:57 3..6",
                "Match.Name= 6..7",
                "Link.Name=lan0 8..9",
                "Link.MTUBytes=9000 11..12",
            ]
        );
    }

    proptest! {
        #[test]
        fn entries_are_apart_and_in_order(text in "(\\PC|[\n\\\\#;=]|\\[a\\]){0,60}") {
            let mut last = 0;
            for entry in parse(&text) {
                prop_assert!(entry.lines.start >= last && !entry.lines.is_empty());
                last = entry.lines.end;
            }
            prop_assert!(last <= physical(&text).len());
        }
    }
}
