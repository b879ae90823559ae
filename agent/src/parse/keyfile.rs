//! `GLib`'s key files as `NetworkManager` uses them: `nm-settings-keyfile(5)`,
//! `NetworkManager.conf(5)`.
//!
//! Only `#` begins a comment, and nothing continues a line. A line that is neither a comment nor a
//! group nor an assignment makes `GLib` refuse the whole file; here it is passed over, and
//! [`KeyFile::fault`] names it. A key that comes twice counts as it comes last.

use std::ops::Range;

use super::lines::content;

/// A key file. Its text stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    text: String,
    groups: Vec<Group>,
    entries: Vec<Located>,
    fault: Option<usize>,
}

/// A group's header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Range<usize>,
    line: usize,
}

/// An assignment, as byte ranges of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Located {
    group: usize,
    key: Range<usize>,
    value: Range<usize>,
    line: usize,
}

/// An assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The group that it stands in; empty before the first one.
    pub group: &'a str,
    /// The key.
    pub key: &'a str,
    /// The value, blanks around it left out, escapes as they stand.
    pub value: &'a str,
    /// Its line, from 0.
    pub line: usize,
}

impl KeyFile {
    /// Reads a text.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self {
            text: text.to_owned(),
            groups: vec![Group {
                name: 0..0,
                line: 0,
            }],
            entries: Vec::new(),
            fault: None,
        };
        let mut start = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if parsed.read_line(number, start, line).is_none() {
                parsed.fault.get_or_insert(number);
            }
            start += line.len();
        }
        parsed
    }

    /// Reads a line; `None` where `GLib` refuses it.
    fn read_line(&mut self, number: usize, start: usize, line: &str) -> Option<()> {
        let bare = content(line);
        let marked = number == 0 && bare.starts_with('\u{feff}');
        let text = bare.trim_start_matches('\u{feff}').trim_start();
        let start = start + bare.len() - text.len();
        let text = text.trim_end();
        if text.is_empty() || text.starts_with('#') {
            return (!marked).then_some(());
        }
        if let Some((name, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            let name = start + 1..start + 1 + name.len();
            self.groups.push(Group { name, line: number });
            return (rest.trim().is_empty() && !marked).then_some(());
        }
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty())?;
        let end = start + text.len();
        self.entries.push(Located {
            group: self.groups.len() - 1,
            key: start..start + key.trim_end().len(),
            value: end - value.trim_start().len()..end,
            line: number,
        });
        (self.groups.len() > 1).then_some(())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The assignments, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().map(|entry| Entry {
            group: &self.text[self.groups[entry.group].name.clone()],
            key: &self.text[entry.key.clone()],
            value: &self.text[entry.value.clone()],
            line: entry.line,
        })
    }

    /// The assignment to a key that counts; a group may have several names.
    pub fn get(&self, groups: &[&str], key: &str) -> Option<Entry<'_>> {
        self.entries()
            .filter(|entry| entry.key == key && groups.contains(&entry.group))
            .last()
    }

    /// Whether there is a group of one of these names.
    pub fn has_group(&self, names: &[&str]) -> bool {
        let mut groups = self.groups.iter().skip(1);
        groups.any(|group| names.contains(&&self.text[group.name.clone()]))
    }

    /// The headers and assignments of a group, from 0: not the comments in it.
    pub fn group_lines(&self, name: &str) -> Vec<usize> {
        let headers = self.groups.iter().skip(1);
        let headers = headers.filter(|group| &self.text[group.name.clone()] == name);
        let entries = self.entries().filter(|entry| entry.group == name);
        headers
            .map(|group| group.line)
            .chain(entries.map(|entry| entry.line))
            .collect()
    }

    /// The comments with their lines, from 0.
    pub fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().map(str::trim).enumerate();
        lines.filter(|(_, line)| line.starts_with('#'))
    }

    /// The first line, from 0, for which `GLib` refuses the file.
    pub fn fault(&self) -> Option<usize> {
        self.fault
    }
}

/// The items of a list.
pub fn items(list: &str) -> impl Iterator<Item = &str> + Clone {
    list.split([';', ','])
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A list without some of its items; `None` where none is left.
pub fn without_items(list: &str, unwanted: impl Fn(&str) -> bool) -> Option<String> {
    let kept: String = list
        .split_inclusive([';', ','])
        .filter(|part| !unwanted(part.trim_end_matches([';', ',']).trim()))
        .collect();
    items(&kept).next()?;
    let closed = list.trim_end().ends_with([';', ',']);
    let kept = kept.trim();
    let kept = if closed {
        kept
    } else {
        kept.trim_end_matches([';', ','])
    };
    Some(kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::lines::LineEdits;
    use proptest::prelude::*;

    #[test]
    fn groups_keys_and_faults() {
        let text = "# c\r\n\r\n[ethernet]\r\n mac-address = 52:54:00:12:34:56 \r\n#x=1\n[main]  \nplugins+=a,b\nkey[de]=v=w\n[main]\nempty=";
        let file = KeyFile::parse(text);
        let shown: Vec<String> = file
            .entries()
            .map(|e| format!("{} {}|{}|{}", e.line, e.group, e.key, e.value))
            .collect();
        assert_eq!(
            shown,
            [
                "3 ethernet|mac-address|52:54:00:12:34:56",
                "6 main|plugins+|a,b",
                "7 main|key[de]|v=w",
                "9 main|empty|",
            ]
        );
        assert_eq!(file.fault(), None);
        assert_eq!(file.group_lines("main"), [5, 8, 6, 7, 9]);
        assert_eq!(
            file.comments().collect::<Vec<_>>(),
            [(0, "# c"), (4, "#x=1")]
        );
        assert!(file.has_group(&["wifi", "ethernet"]) && !file.has_group(&[""]));
        for (text, fault) in [
            ("[a]\nx=1\n", None),
            ("", None),
            ("x=1\n[a]\n", Some(0)),
            ("[a]\nnonsense\n=1\n", Some(1)),
            ("[a]\n; no comment\n", Some(1)),
            ("[a] b\n", Some(0)),
            ("\u{feff}[a]\nx=1\n", Some(0)),
        ] {
            assert_eq!(KeyFile::parse(text).fault(), fault, "{text}");
        }
    }

    #[test]
    fn the_last_assignment_counts() {
        let file = KeyFile::parse("[ipv4]\nmethod=manual\n[ipv6]\nmethod=x\n[ipv4]\nmethod=auto\n");
        let method = |groups: &[&str]| file.get(groups, "method").map(|entry| entry.value);
        assert_eq!(method(&["ipv4"]), Some("auto"));
        assert_eq!(method(&["ip", "ipv6"]), Some("x"));
        assert_eq!(method(&["ip"]), None);
    }

    #[test]
    fn items_go_and_separators_stay() {
        for (list, expected) in [
            ("mac:1;interface-name:em4", Some("interface-name:em4")),
            ("interface-name:em4;mac:1", Some("interface-name:em4")),
            ("a, mac:1, b;", Some("a, b;")),
            ("a,mac:1,", Some("a,")),
            ("mac:1;mac:2;", None),
            ("", None),
        ] {
            let left = without_items(list, |item| item.starts_with("mac:"));
            assert_eq!(left.as_deref(), expected, "{list}");
        }
        assert_eq!(items(" a;;b, c;").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn texts_stay_and_entries_go_alone(
            text in "(\\PC|[\n\r=#;\u{feff}]|\\[[a-c]\\]\n|[a-c]=[0-9:;]{0,9}\n){0,40}",
            chosen: usize,
        ) {
            let file = KeyFile::parse(&text);
            prop_assert_eq!(file.as_str(), text.as_str());
            let lines = text.split_inclusive('\n').count();
            let entries: Vec<Entry<'_>> = file.entries().collect();
            for entry in &entries {
                prop_assert!(entry.line < lines && !entry.key.is_empty());
            }
            if !entries.is_empty() {
                let chosen = chosen % entries.len();
                let line = entries[chosen].line;
                let mut edits = LineEdits::default();
                edits.remove(line..line + 1);
                let anew = KeyFile::parse(&edits.apply(&text));
                let left: Vec<(&str, &str)> = anew.entries().map(|e| (e.key, e.value)).collect();
                let mut expected: Vec<(&str, &str)> =
                    entries.iter().map(|e| (e.key, e.value)).collect();
                expected.remove(chosen);
                prop_assert_eq!(left, expected);
            }
        }
    }
}
