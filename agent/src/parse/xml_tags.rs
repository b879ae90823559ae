//! The tags of an XML file with their attributes, comments left out: enough to see what the flat
//! files of firewalld(5) and libvirt say. No entities are read, and nothing is checked.

use super::edit::LineIndex;

/// An opening or empty tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its attributes, in order.
    pub attributes: Vec<(&'a str, &'a str)>,
    /// How many elements it is inside of.
    pub depth: usize,
    /// The line it begins on, from 1.
    pub line: usize,
    /// The tag as it stands.
    pub text: &'a str,
}

impl<'a> Tag<'a> {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

/// The tags of a text, in order.
pub fn tags(text: &str) -> Vec<Tag<'_>> {
    let index = LineIndex::new(text);
    let mut tags = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    while let Some(start) = text[from..].find('<').map(|at| from + at) {
        let rest = &text[start..];
        if rest.starts_with("<!--") {
            from = rest.find("-->").map_or(text.len(), |end| start + end + 3);
            continue;
        }
        let Some(end) = closing(rest).map(|end| start + end) else {
            break;
        };
        from = end + 1;
        let inner = &text[start + 1..end];
        if inner.starts_with(['?', '!']) {
            continue;
        }
        if inner.starts_with('/') {
            depth = depth.saturating_sub(1);
            continue;
        }
        let empty = inner.ends_with('/');
        let inner = inner.trim_end_matches('/');
        let name_end = inner
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(inner.len());
        tags.push(Tag {
            name: &inner[..name_end],
            attributes: attributes(&inner[name_end..]),
            depth,
            line: index.line(start),
            text: &text[start..=end],
        });
        if !empty {
            depth += 1;
        }
    }
    tags
}

/// Where a tag ends: at the first `>` outside quotes.
fn closing(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })
}

fn attributes(text: &str) -> Vec<(&str, &str)> {
    let mut attributes = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            break;
        };
        let Some((value, tail)) = after[1..].split_once(quote) else {
            break;
        };
        attributes.push((name.trim(), value));
        rest = tail;
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_and_attributes_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<!-- <port port=\"1\"/> -->\n<zone target='DROP'>\n\
                    <short>a > b</short>\n<port protocol=\"tcp\" port = \"22\"/>\n</zone>";
        let found: Vec<_> = tags(text)
            .into_iter()
            .map(|tag| (tag.line, tag.depth, tag.name, tag.attribute("port")))
            .collect();
        assert_eq!(
            found,
            [
                (3, 0, "zone", None),
                (4, 1, "short", None),
                (5, 1, "port", Some("22"))
            ]
        );
        assert_eq!(tags(text)[0].attribute("target"), Some("DROP"));
    }

    proptest! {
        #[test]
        fn hostile_text_is_read(text in "[<>/!a='\" ü\n-]{0,60}") {
            let lines = text.matches('\n').count() + 1;
            for tag in tags(&text) {
                prop_assert!(tag.line >= 1 && tag.line <= lines);
            }
        }
    }
}
