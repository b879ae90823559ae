//! GRUB 2's script language: `grub.cfg`, `custom.cfg`, `40_custom`.
//!
//! A text is cut into commands and their words as GRUB's lexer does it (GRUB manual, "Writing
//! full configuration files directly"). Variables are not expanded and nothing is run.

use std::ops::Range;

use super::spanned::Spanned;

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, quotes removed.
    pub value: Spanned,
    /// Its bytes in the text, quotes included.
    pub raw: Range<usize>,
}

/// A command, of at least one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name and arguments.
    pub words: Vec<Word>,
}

impl Command {
    /// The name.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.value.as_str())
    }
}

/// Words after which a command begins.
const KEYWORDS: [&str; 8] = ["if", "then", "else", "elif", "while", "until", "do", "!"];

/// The commands of a script, in order, those in blocks and functions among them.
pub fn commands(text: &str) -> Vec<Command> {
    let mut scanner = Scanner::default();
    let mut chars = text.char_indices().peekable();
    let mut quote = None;
    let mut comment = false;
    let mut braces = false;
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        if comment {
            comment = c != '\n';
            continue;
        }
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => {
                quote = None;
                scanner.extend(end);
            }
            (Some('"') | None, '\\') => match chars.next() {
                Some((_, '\n')) => {}
                Some((next_at, next)) => {
                    let next_end = next_at + next.len_utf8();
                    if quote.is_none() || matches!(next, '"' | '\\' | '$') {
                        scanner.push(next, at..next_end);
                    } else {
                        scanner.push(c, at..end);
                        scanner.push(next, next_at..next_end);
                    }
                }
                None => scanner.push(c, at..end),
            },
            (Some(_), _) => scanner.push(c, at..end),
            (None, '\'' | '"') => {
                quote = Some(c);
                scanner.open(at, end);
            }
            (None, '$') => {
                braces = matches!(chars.peek(), Some((_, '{')));
                scanner.push(c, at..end);
            }
            (None, ' ' | '\t' | '\r') => scanner.end_word(),
            (None, '\n' | ';' | '|' | '&') => {
                braces = false;
                scanner.end_command();
            }
            (None, '{' | '}') if !braces => scanner.end_command(),
            (None, '#') if !scanner.in_word() => {
                scanner.end_command();
                comment = true;
            }
            (None, _) => {
                braces &= c != '}';
                scanner.push(c, at..end);
            }
        }
    }
    scanner.end_command();
    scanner.commands
}

#[derive(Debug, Default)]
struct Scanner {
    commands: Vec<Command>,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Scanner {
    fn in_word(&self) -> bool {
        self.word.is_some()
    }

    /// Begins a word, unless one has begun, and takes bytes into it that mean nothing.
    fn open(&mut self, start: usize, end: usize) -> &mut Word {
        let word = self.word.get_or_insert_with(|| Word {
            value: Spanned::default(),
            raw: start..start,
        });
        word.raw.end = end;
        word
    }

    fn extend(&mut self, end: usize) {
        if let Some(word) = &mut self.word {
            word.raw.end = end;
        }
    }

    fn push(&mut self, c: char, source: Range<usize>) {
        self.open(source.start, source.end).value.push(c, source);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else {
            return;
        };
        if !self.words.is_empty() || !KEYWORDS.contains(&word.value.as_str()) {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            let words = std::mem::take(&mut self.words);
            self.commands.push(Command { words });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<Vec<String>> {
        commands(text)
            .into_iter()
            .map(|command| {
                let words = command.words.iter();
                words.map(|word| word.value.as_str().to_owned()).collect()
            })
            .collect()
    }

    #[test]
    fn a_script_is_cut_into_commands() {
        for (text, expected) in [
            ("set a=b", vec![vec!["set", "a=b"]]),
            (
                "# linux x\n\tlinux\t/v  a b # c",
                vec![vec!["linux", "/v", "a", "b"]],
            ),
            (
                "menuentry 'D, with \"L\"' --class d {\n linux /v a\n}\n",
                vec![
                    vec!["menuentry", "D, with \"L\"", "--class", "d"],
                    vec!["linux", "/v", "a"],
                ],
            ),
            (
                "if [ x$a = xb ]; then linux /v ${c}d; fi",
                vec![
                    vec!["[", "x$a", "=", "xb", "]"],
                    vec!["linux", "/v", "${c}d"],
                    vec!["fi"],
                ],
            ),
            (
                "a \"b \\\"c\\\" \\d\" e\\ f",
                vec![vec!["a", "b \"c\" \\d", "e f"]],
            ),
            ("a b\\\n c", vec![vec!["a", "b", "c"]]),
            ("a 'never closed\n", vec![vec!["a", "never closed\n"]]),
            (
                "function f {\n a}\n",
                vec![vec!["function", "f"], vec!["a"]],
            ),
            ("a b#c", vec![vec!["a", "b#c"]]),
            ("a '' b", vec![vec!["a", "", "b"]]),
        ] {
            assert_eq!(said(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_word_knows_its_bytes() {
        let text = "linux /v \"a b\"c\n";
        let found = commands(text);
        assert_eq!(&text[found[0].words[2].raw.clone()], "\"a b\"c");
        assert_eq!(found[0].words[2].value.as_str(), "a bc");
    }
}
