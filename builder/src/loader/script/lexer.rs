//! Words and separators of a script.

use std::iter::Peekable;
use std::str::CharIndices;

/// Longer words are cut, in bytes: no command takes as much.
const MAX_WORD: usize = 64 << 10;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that means itself.
    Text(String),
    /// A variable; one outside quotes is cut into words.
    Variable {
        /// Its name.
        name: String,
        /// Whether it is in double quotes.
        quoted: bool,
    },
}

/// A word before its variables are put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Its parts.
    pub pieces: Vec<Piece>,
    /// Whether any of it is in quotes: it is a word even when empty, and no keyword.
    pub quoted: bool,
    len: usize,
}

impl Word {
    /// The word where it is a bare text.
    pub fn bare(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] if !self.quoted => Some(text),
            _ => None,
        }
    }

    fn push(&mut self, c: char) {
        self.len += c.len_utf8();
        if self.len > MAX_WORD {
            return;
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.pieces.push(Piece::Text(c.into())),
        }
    }

    fn variable(&mut self, name: String, quoted: bool) {
        self.len += name.len() + 1;
        if self.len <= MAX_WORD {
            self.pieces.push(Piece::Variable { name, quoted });
        }
    }
}

/// What a script is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word.
    Word(Word),
    /// The end of a command: a line end, `;`, `|` or `&`.
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The tokens of a script with the lines, from 1, that they begin on.
pub(super) fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut lexer = Lexer {
        chars: text.char_indices().peekable(),
        text,
        line: 1,
        word: None,
        tokens: Vec::new(),
    };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    chars: Peekable<CharIndices<'a>>,
    text: &'a str,
    line: usize,
    word: Option<(Word, usize)>,
    tokens: Vec<(Token, usize)>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' => {
                    self.line -= 1;
                    self.push(Token::End);
                    self.line += 1;
                }
                ';' | '|' | '&' => self.push(Token::End),
                '{' => self.push(Token::Open),
                '}' => self.push(Token::Close),
                '#' if self.word.is_none() => {
                    while self.chars.peek().is_some_and(|(_, c)| *c != '\n') {
                        self.next();
                    }
                }
                '\'' => {
                    self.word().quoted = true;
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        self.word().push(c);
                    }
                }
                '"' => self.double_quoted(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => {
                        self.word().quoted = true;
                        self.word().push(c);
                    }
                },
                '$' => self.variable(false),
                c => self.word().push(c),
            }
        }
        self.push(Token::End);
    }

    fn double_quoted(&mut self) {
        self.word().quoted = true;
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '$' => self.variable(true),
                '\\' => match self.next() {
                    Some(c @ ('"' | '\\' | '$')) => self.word().push(c),
                    Some('\n') | None => {}
                    Some(c) => {
                        self.word().push('\\');
                        self.word().push(c);
                    }
                },
                c => self.word().push(c),
            }
        }
    }

    /// `$name`, `${name}`, `$1`, `$?` and their kind; a dollar sign that is none of these means
    /// itself.
    fn variable(&mut self, quoted: bool) {
        let braced = self.next_if(|c| c == '{');
        let start = self.position();
        if !self.next_if(|c| matches!(c, '?' | '#' | '@' | '*')) {
            while self.next_if(|c| c.is_ascii_alphanumeric() || c == '_') {}
        }
        let name = &self.text[start..self.position()];
        if braced {
            self.next_if(|c| c == '}');
        }
        if name.is_empty() {
            self.word().push('$');
        } else {
            let name = name.to_owned();
            self.word().variable(name, quoted);
        }
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        self.chars.next_if(|(_, c)| wanted(*c)).is_some()
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn word(&mut self) -> &mut Word {
        let line = self.line;
        &mut self.word.get_or_insert_with(|| (Word::default(), line)).0
    }

    fn end_word(&mut self) {
        if let Some((word, line)) = self.word.take() {
            self.tokens.push((Token::Word(word), line));
        }
    }

    fn push(&mut self, token: Token) {
        self.end_word();
        self.tokens.push((token, self.line));
    }
}
