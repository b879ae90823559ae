//! `dhclient.conf(5)` and `dhclient.leases(5)`: statements that end with `;` or with a block.
//!
//! Comments run from `#` to the end of the line. A statement that the file does not finish is no
//! statement: dhclient refuses the file.

use std::ops::Range;

/// The deepest nesting of blocks that is read.
const MAX_DEPTH: usize = 32;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes, from the first word to the `;` or the closing brace.
    pub range: Range<usize>,
    /// Its words before the `;` or the block; strings keep their quotes.
    pub words: Vec<String>,
    /// The statements of its block.
    pub body: Vec<Statement>,
}

impl Statement {
    /// Whether it starts with these words, as dhclient compares them: without regard to case.
    pub fn starts_with(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len()
            && self
                .words
                .iter()
                .zip(words)
                .all(|(own, word)| own.eq_ignore_ascii_case(word))
    }
}

/// The statements of a file.
pub fn parse(text: &str) -> Vec<Statement> {
    let tokens = tokens(text);
    block(text, &tokens, &mut 0, 0).0
}

/// The text without some byte ranges, which are in order and apart. A line that held nothing but
/// one of them goes with it.
pub fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (number, range) in ranges.iter().enumerate() {
        let before = &text[from..range.start];
        let after = match ranges.get(number + 1) {
            Some(next) => &text[range.end..next.start],
            None => &text[range.end..],
        };
        let indent = before.len() - before.trim_end_matches([' ', '\t']).len();
        let blank = after.len() - after.trim_start_matches([' ', '\t', '\r']).len();
        let above = &text[..range.start - indent];
        let begins = above.len() >= from && (above.is_empty() || above.ends_with('\n'));
        let rest = &after[blank..];
        let ends = rest.starts_with('\n') || range.end + blank == text.len();
        if begins && ends {
            kept.push_str(&before[..before.len() - indent]);
            from = range.end + blank + usize::from(!rest.is_empty());
        } else {
            kept.push_str(before);
            from = range.end;
        }
    }
    kept.push_str(&text[from..]);
    kept
}

/// The statements up to the brace that closes the block, and whether there is one.
fn block(
    text: &str,
    tokens: &[Range<usize>],
    at: &mut usize,
    depth: usize,
) -> (Vec<Statement>, bool) {
    let mut statements = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut start = None;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let mut body = Vec::new();
        let mut end = token.end;
        match &text[token.clone()] {
            ";" => {}
            "}" if depth > 0 => return (statements, true),
            "}" => continue,
            "{" if depth == MAX_DEPTH => return (statements, false),
            "{" => {
                let (inner, closed) = block(text, tokens, at, depth + 1);
                if !closed {
                    return (statements, false);
                }
                body = inner;
                end = tokens[*at - 1].end;
            }
            word => {
                start.get_or_insert(token.start);
                words.push(word.to_owned());
                continue;
            }
        }
        if let Some(start) = start.take() {
            statements.push(Statement {
                range: start..end,
                words: std::mem::take(&mut words),
                body,
            });
        }
    }
    (statements, false)
}

fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let start = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            return tokens;
        };
        let length = match first {
            '#' => {
                rest = rest.split_once('\n').map_or("", |(_, next)| next);
                continue;
            }
            ';' | '{' | '}' => 1,
            '"' => string_length(rest),
            _ => rest
                .find(|c: char| c.is_whitespace() || ";{}\"#".contains(c))
                .unwrap_or(rest.len()),
        };
        tokens.push(start..start + length);
        rest = &rest[length..];
    }
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let close = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    close.map_or(text.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# send dhcp-client-identifier 1:2;\nsend host-name = gethostname();\n\
        interface \"eth0\" { send dhcp-client-identifier \"a;b}\"; # x\n  request a, b; }\n\
        lease {\n  fixed-address 10.0.0.5;\n}\nunfinished { a;";

    #[test]
    fn statements_and_blocks() {
        let statements = parse(TEXT);
        let words: Vec<String> = statements.iter().map(|s| s.words.join(" ")).collect();
        assert_eq!(
            words,
            [
                "send host-name = gethostname()",
                "interface \"eth0\"",
                "lease"
            ]
        );
        let inner: Vec<&str> = statements[1]
            .body
            .iter()
            .map(|s| &TEXT[s.range.clone()])
            .collect();
        assert_eq!(
            inner,
            ["send dhcp-client-identifier \"a;b}\";", "request a, b;"]
        );
        assert!(statements[0].starts_with(&["SEND", "host-name"]));
        assert!(!statements[2].starts_with(&["lease", "x"]));
    }

    #[test]
    fn removal_takes_the_line_only_when_it_is_empty() {
        let statements = parse(TEXT);
        let gone = [
            statements[1].body[0].range.clone(),
            statements[2].range.clone(),
        ];
        assert_eq!(
            without(TEXT, &gone),
            TEXT.replace("send dhcp-client-identifier \"a;b}\";", "")
                .replace("lease {\n  fixed-address 10.0.0.5;\n}\n", "")
        );
        assert_eq!(without(TEXT, &[]), TEXT);
    }

    #[test]
    fn deep_nesting_is_bounded() {
        assert_eq!(parse(&"a { ".repeat(100_000)), []);
    }

    proptest! {
        #[test]
        fn ranges_are_statements(text in "(\\PC|[\n#;{}\" ]|lease ){0,60}") {
            let statements = parse(&text);
            let ranges: Vec<_> = statements.iter().map(|s| s.range.clone()).collect();
            for range in &ranges {
                let ends = text[range.clone()].ends_with([';', '}']);
                prop_assert!(ends);
            }
            prop_assert_eq!(parse(&without(&text, &ranges)).len(), 0);
            prop_assert_eq!(without(&text, &[]), text);
        }
    }
}
