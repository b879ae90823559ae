//! XML as far as wicked's configuration needs it: elements, their own text, and where they are.
//!
//! A document may have several roots, as wicked's descriptions of interfaces do. Entities stay as
//! they are written, and declarations, comments and CDATA are passed over. What is not well-formed
//! is not read at all.

use std::ops::Range;

/// How deep elements may lie in each other.
const MAX_DEPTH: usize = 64;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name, with the prefix of its name space.
    pub name: String,
    /// All of it, as bytes of the document.
    pub range: Range<usize>,
    /// Its first tag, which has the attributes.
    pub tag: Range<usize>,
    /// The pieces of text between its children.
    pub own: Vec<Range<usize>>,
    /// The elements inside it.
    pub children: Vec<Element>,
}

impl Element {
    /// Its own text in one piece.
    pub fn text(&self, document: &str) -> String {
        let pieces = self
            .own
            .iter()
            .filter_map(|piece| document.get(piece.clone()));
        pieces.collect::<String>().trim().to_owned()
    }

    /// The first element of that name directly inside it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Itself and every element inside it, in the order of the document.
    pub fn all(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        let mut pending = vec![self];
        while let Some(element) = pending.pop() {
            found.push(element);
            pending.extend(element.children.iter().rev());
        }
        found
    }
}

/// The roots of a document; `None` where it is not well-formed.
pub fn parse(document: &str) -> Option<Vec<Element>> {
    let mut roots = Vec::new();
    let mut open: Vec<Element> = Vec::new();
    let mut at = 0;
    while let Some(found) = document[at..].find('<') {
        let start = at + found;
        if let Some(element) = open.last_mut() {
            element.own.push(at..start);
        }
        let markup = &document[start..];
        if let Some((begin, end)) = passed_over(markup) {
            let inside = markup[begin.len()..].find(end)?;
            at = start + begin.len() + inside + end.len();
            continue;
        }
        let end = start + tag_end(markup)?;
        let tag = &document[start..end];
        at = end;
        let closed = if let Some(closing) = tag.strip_prefix("</") {
            let mut element = open.pop().filter(|element| element.name == name(closing))?;
            element.range.end = end;
            element
        } else {
            let element = Element {
                name: name(&tag[1..]).to_owned(),
                range: start..end,
                tag: start..end,
                own: Vec::new(),
                children: Vec::new(),
            };
            if !tag.ends_with("/>") {
                if open.len() == MAX_DEPTH {
                    return None;
                }
                open.push(element);
                continue;
            }
            element
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => roots.push(closed),
        }
    }
    open.is_empty().then_some(roots)
}

/// A range and, if nothing else stands on its lines, the whole of them.
pub fn whole_lines(document: &str, range: Range<usize>) -> Range<usize> {
    let before = document[..range.start].trim_end_matches([' ', '\t']);
    let after = document[range.end..].trim_start_matches([' ', '\t']);
    let after = after.strip_prefix('\r').unwrap_or(after);
    let begins = before.is_empty() || before.ends_with('\n');
    if begins && (after.is_empty() || after.starts_with('\n')) {
        let end = document.len() - after.len();
        before.len()..document.len().min(end + 1)
    } else {
        range
    }
}

/// How markup that is no element begins and ends, if that is what begins here.
fn passed_over(markup: &str) -> Option<(&'static str, &'static str)> {
    [
        ("<!--", "-->"),
        ("<![CDATA[", "]]>"),
        ("<?", "?>"),
        ("<!", ">"),
    ]
    .into_iter()
    .find(|(begin, _)| markup.starts_with(begin))
}

/// Where a tag ends; a `>` in quotes does not end it.
fn tag_end(markup: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in markup.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn name(tag: &str) -> &str {
    let end = tag.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>'));
    &tag[..end.unwrap_or(tag.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_found_with_their_text() {
        let document = "<?xml version=\"1.0\"?>\n<!-- <a/> -->\n<interface origin='<x>'>\n  <name>eth0</name>\n  \
            <ipv4:static><address><local> 10.0.0.5/24 </local></address></ipv4:static>\n  <link/>\n</interface>\n<interface/>";
        let roots = parse(document).unwrap();
        assert_eq!(roots.len(), 2);
        let names: Vec<&str> = roots[0].all().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "interface",
                "name",
                "ipv4:static",
                "address",
                "local",
                "link"
            ]
        );
        assert_eq!(roots[0].child("name").unwrap().text(document), "eth0");
        assert_eq!(roots[0].all()[4].text(document), "10.0.0.5/24");
        assert_eq!(&document[roots[0].tag.clone()], "<interface origin='<x>'>");
        assert_eq!(&document[roots[1].range.clone()], "<interface/>");
    }

    #[test]
    fn what_is_not_well_formed_is_not_read() {
        for document in [
            "<a>",
            "</a>",
            "<a></b>",
            "<a",
            "<!-- ",
            "<a b='>",
            &"<a>".repeat(999),
        ] {
            assert_eq!(parse(document), None, "{document}");
        }
        assert_eq!(parse("no elements"), Some(Vec::new()));
    }

    #[test]
    fn whole_lines_go_where_nothing_else_stands_on_them() {
        for (document, expected) in [
            ("a\n  <x/> \nb\n", "a\nb\n"),
            ("a\r\n<x/>\r\nb", "a\r\nb"),
            ("a <x/>\nb\n", "a \nb\n"),
            ("<x/>", ""),
        ] {
            let element = parse(document).unwrap().remove(0);
            let range = whole_lines(document, element.range);
            let left = [&document[..range.start], &document[range.end..]].concat();
            assert_eq!(left, expected);
        }
    }

    proptest! {
        #[test]
        fn every_range_lies_in_the_document(document in "(<a>|</a>|<b x='1'/>|<!-- c -->|ü| |\n|<|>){0,24}") {
            for element in parse(&document).iter().flatten().flat_map(Element::all) {
                prop_assert!(document[element.range.clone()].starts_with('<'));
                prop_assert!(document[element.range.clone()].ends_with('>'));
                prop_assert!(document.get(whole_lines(&document, element.range.clone())).is_some());
            }
        }
    }
}
