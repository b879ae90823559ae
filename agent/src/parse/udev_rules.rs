//! udev rules, `udev(7)`.
//!
//! A rule is a logical line of `KEY{attribute}OPERATOR"value"` terms. Lines that begin with `#`
//! are ignored, inside a continued line too (systemd 247 and later; older ones would join them,
//! which changes nothing for a term that is looked for).

use std::ops::Range;

use super::lines::{content, physical};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its physical lines, from 0.
    pub lines: Range<usize>,
    /// Its text, continuations joined.
    pub text: String,
    /// Its terms, as far as they can be read.
    pub terms: Vec<Term>,
}

/// A match or an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The key, such as `ATTR`.
    pub key: String,
    /// What stands in braces behind it.
    pub attribute: Option<String>,
    /// `==`, `!=`, `=`, `+=`, `-=` or `:=`.
    pub operator: Operator,
    /// The value without its quotes.
    pub value: String,
}

/// What a term does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`.
    Equal,
    /// `!=`.
    Unequal,
    /// `=`, `+=`, `-=` or `:=`.
    Assign,
}

/// The rules of a file; comments and blank lines are none.
pub fn parse(text: &str) -> Vec<Rule> {
    let physical = physical(text);
    let mut rules = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let start = at;
        let mut text = String::new();
        while at < physical.len() {
            let line = content(physical[at]).trim();
            at += 1;
            if line.starts_with('#') {
                if text.is_empty() {
                    break;
                }
                continue;
            }
            let Some(continued) = line.strip_suffix('\\') else {
                text.push_str(line);
                break;
            };
            text.push_str(continued);
        }
        if !text.trim().is_empty() {
            rules.push(Rule {
                lines: start..at,
                terms: terms(&text),
                text,
            });
        }
    }
    rules
}

fn terms(mut text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let Some((term, rest)) = term(text) else {
            return terms;
        };
        terms.push(term);
        text = rest;
    }
}

fn term(text: &str) -> Option<(Term, &str)> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (key, mut rest) = text.split_at(end);
    if key.is_empty() {
        return None;
    }
    let mut attribute = None;
    if let Some(inner) = rest.strip_prefix('{') {
        let (name, after) = inner.split_once('}')?;
        attribute = Some(name.to_owned());
        rest = after;
    }
    rest = rest.trim_start();
    let (operator, after) = [
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("+=", Operator::Assign),
        ("-=", Operator::Assign),
        (":=", Operator::Assign),
        ("=", Operator::Assign),
    ]
    .into_iter()
    .find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?)))?;
    let after = after.trim_start();
    // `e"…"` reads C escapes, `i"…"` ignores case.
    let quoted = after.trim_start_matches(['e', 'i']).strip_prefix('"')?;
    let close = closing_quote(quoted)?;
    let term = Term {
        key: key.to_owned(),
        attribute,
        operator,
        value: quoted[..close].replace("\\\"", "\""),
    };
    Some((term, &quoted[close + 1..]))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

impl Rule {
    /// The terms with one of these keys.
    pub fn terms_of<'a>(&'a self, keys: &'a [&str]) -> impl Iterator<Item = &'a Term> {
        self.terms
            .iter()
            .filter(move |term| keys.contains(&term.key.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terms_of_every_shape() {
        let text = "# PCI device\n\nSUBSYSTEM==\"net\", ACTION==\"add\",\\\n# inner\n  ATTR{address}==\"52:54:00:12:34:56\" , \
             KERNEL!=\"lo\",NAME:=\"eth0\" RUN+=e\"/bin/sh -c \\\"x\\\"\"\nLABEL=\"end\"\nbroken\n\\\n";
        let rules = parse(text);
        let shown: Vec<(Range<usize>, Vec<String>)> = rules
            .iter()
            .map(|rule| {
                let terms = rule.terms.iter().map(|t| {
                    format!(
                        "{}{}{:?} {}",
                        t.key,
                        t.attribute.as_deref().unwrap_or("-"),
                        t.operator,
                        t.value
                    )
                });
                (rule.lines.clone(), terms.collect())
            })
            .collect();
        let expected = [
            (
                2..5,
                vec![
                    "SUBSYSTEM-Equal net",
                    "ACTION-Equal add",
                    "ATTRaddressEqual 52:54:00:12:34:56",
                    "KERNEL-Unequal lo",
                    "NAME-Assign eth0",
                    "RUN-Assign /bin/sh -c \"x\"",
                ],
            ),
            (5..6, vec!["LABEL-Assign end"]),
            (6..7, vec![]),
        ];
        assert_eq!(shown.len(), expected.len());
        for ((lines, terms), (expected_lines, expected_terms)) in shown.into_iter().zip(expected) {
            assert_eq!(lines, expected_lines);
            assert_eq!(terms, expected_terms);
        }
    }

    proptest! {
        #[test]
        fn rules_are_apart_and_in_order(text in "(\\PC|[\n\\\\#\", =]|NAME=\"x\"){0,60}") {
            let mut last = 0;
            for rule in parse(&text) {
                prop_assert!(rule.lines.start >= last && !rule.lines.is_empty());
                last = rule.lines.end;
            }
            prop_assert!(last <= physical(&text).len());
        }
    }
}
