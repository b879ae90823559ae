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

/// A section: its header and what stands below it, up to the next header. A section of one name may
/// come more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name; empty for what stands before the first header.
    pub name: String,
    /// Its physical lines, from 0, that of the header first.
    pub lines: Range<usize>,
    /// Its assignments.
    pub entries: Vec<Entry>,
}

/// The assignments of a file. Lines that are none are passed over.
pub fn parse(text: &str) -> Vec<Entry> {
    sections(text)
        .into_iter()
        .flat_map(|section| section.entries)
        .collect()
}

/// The sections of a file, the one without a header first.
pub fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section {
        name: String::new(),
        lines: 0..0,
        entries: Vec::new(),
    }];
    for (line, lines) in logical(text) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            sections.push(Section {
                name: name.to_owned(),
                lines,
                entries: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        section.lines.end = lines.end;
        if let Some((key, value)) = line.split_once('=') {
            section.entries.push(Entry {
                section: section.name.clone(),
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
                lines,
            });
        }
    }
    sections
}

/// The line, from 1, for which systemd refuses a whole file: a header that is not closed.
pub fn refused_line(text: &str) -> Option<usize> {
    logical(text)
        .into_iter()
        .find(|(line, _)| line.starts_with('[') && !line.ends_with(']'))
        .map(|(_, lines)| lines.start + 1)
}

/// The logical lines, trimmed, and their physical lines; comments are empty.
fn logical(text: &str) -> Vec<(String, Range<usize>)> {
    let physical = physical(text);
    let mut logical = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let start = at;
        let mut joined = String::new();
        while at < physical.len() {
            let line = content(physical[at]);
            let line = match at {
                0 => line.trim_start_matches('\u{feff}').trim(),
                _ => line.trim(),
            };
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
        logical.push((joined.trim().to_owned(), start..at));
    }
    logical
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

    #[test]
    fn sections_repeat_and_keep_their_lines() {
        let text =
            "a=1\n[Address]\nAddress=x\n\n[Address] # c\n[Address]\nAddress=y \\\n[z]\n# end\n";
        let shown: Vec<(String, Range<usize>, usize)> = sections(text)
            .into_iter()
            .map(|s| (s.name, s.lines, s.entries.len()))
            .collect();
        assert_eq!(
            shown,
            [
                (String::new(), 0..1, 1),
                ("Address".to_owned(), 1..5, 1),
                ("Address".to_owned(), 5..9, 1),
            ]
        );
        assert_eq!(refused_line(text), Some(5));
        assert_eq!(refused_line("[a]\nb=[\n"), None);
    }

    proptest! {
        #[test]
        fn sections_cover_every_line(text in "(\\PC|[\n\\\\#;=]|\\[a\\]){0,60}") {
            let mut at = 0;
            for section in sections(&text) {
                prop_assert_eq!(section.lines.start, at);
                at = section.lines.end;
            }
            prop_assert_eq!(at, physical(&text).len());
        }

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
