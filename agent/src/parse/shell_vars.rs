//! Assignments in a file that a shell sources, such as `/etc/default/grub`.
//!
//! Quotes, escapes and continued lines are read as POSIX shell does; expansions (`$X`, `$(…)`) are
//! kept as they are written. Only assignments that begin a line are seen, not those inside `if`
//! on one line or behind another command.

use std::ops::Range;

use super::edit::{self, Line};
use super::spanned::Spanned;

/// `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Whether it is `NAME+=value`.
    pub append: bool,
    /// The value, quotes removed.
    pub value: Spanned,
    /// The value as it is written, quotes included.
    pub raw: Range<usize>,
    /// Whether every quote in it is closed.
    pub closed: bool,
    /// The line it begins on, from 1.
    pub line: usize,
    /// The whole of its lines, line breaks included.
    pub lines: Range<usize>,
}

/// The assignments of a text, in order.
pub fn assignments(text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut done = 0;
    for line in edit::lines(text) {
        if line.range.start < done {
            continue;
        }
        let Some((name, append, value_start)) = head(&line) else {
            continue;
        };
        let (value, end, closed) = value(text, value_start);
        let last = text[end..]
            .find('\n')
            .map_or(text.len(), |newline| end + newline + 1);
        done = last;
        found.push(Assignment {
            name: name.to_owned(),
            append,
            value,
            raw: value_start..end,
            closed,
            line: line.number,
            lines: line.range.start..last,
        });
    }
    found
}

/// The name, whether it is appended to, and where in the text the value starts.
fn head<'a>(line: &Line<'a>) -> Option<(&'a str, bool, usize)> {
    let mut rest = line.text.trim_start();
    if let Some(exported) = rest.strip_prefix("export") {
        let name = exported.trim_start();
        if name.len() < exported.len() {
            rest = name;
        }
    }
    let (name, value) = rest.split_once('=')?;
    let (name, append) = match name.strip_suffix('+') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let value_start = line.range.start + line.text.len() - value.len();
    valid.then_some((name, append, value_start))
}

/// The value that starts here, where it ends, and whether its quotes are closed.
fn value(text: &str, start: usize) -> (Spanned, usize, bool) {
    let mut value = Spanned::default();
    let mut quote = None;
    let mut chars = text[start..]
        .char_indices()
        .map(|(at, c)| (start + at, c))
        .peekable();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        match (quote, c) {
            (None, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|') => return (value, at, true),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                let Some(&(next_at, next)) = chars.peek() else {
                    value.push(c, at..end);
                    return (value, end, false);
                };
                let next_end = next_at + next.len_utf8();
                if next == '\n' {
                    chars.next();
                } else if quote.is_none() || matches!(next, '"' | '\\' | '$' | '`') {
                    value.push(next, at..next_end);
                    chars.next();
                } else {
                    value.push(c, at..end);
                }
            }
            _ => value.push(c, at..end),
        }
    }
    (value, text.len(), quote.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_shell_reads_them() {
        for (text, expected) in [
            ("A=b", Some(("A", false, "b"))),
            ("A=\"b  c\" # d", Some(("A", false, "b  c"))),
            ("  export A='b \"c\"'", Some(("A", false, "b \"c\""))),
            ("A+=\" b\"", Some(("A", true, " b"))),
            ("A=\"b\"' c'd\\ e", Some(("A", false, "b cd e"))),
            (
                "A=\"b=\\\"c d\\\" \\e\"",
                Some(("A", false, "b=\"c d\" \\e")),
            ),
            ("A=\"b \\\n c\"", Some(("A", false, "b  c"))),
            ("A=\"b\n c\"", Some(("A", false, "b\n c"))),
            ("A=`lsb_release -i`", Some(("A", false, "`lsb_release"))),
            ("A=\"$A b\";", Some(("A", false, "$A b"))),
            ("A=\"never closed", Some(("A", false, "never closed"))),
            ("A=b\\", Some(("A", false, "b\\"))),
            ("A=", Some(("A", false, ""))),
            ("#A=b", None),
            ("A b=c", None),
            ("1A=b", None),
            ("if x; then A=b; fi", None),
        ] {
            let found = assignments(text);
            let found = found
                .first()
                .map(|found| (found.name.as_str(), found.append, found.value.as_str()));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn an_assignment_knows_its_lines() {
        let text = "# x\nA=\"b\nB=c\" # d\nC=e\n";
        let found: Vec<_> = assignments(text)
            .into_iter()
            .map(|found| (found.name, found.line, found.lines))
            .collect();
        assert_eq!(
            found,
            [("A".to_owned(), 2, 4..18), ("C".to_owned(), 4, 18..22)]
        );
    }
}
