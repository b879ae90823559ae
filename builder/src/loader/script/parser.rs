//! Commands and blocks of a script.

use std::rc::Rc;

use super::lexer::{Token, Word, tokens};

/// How deep blocks may be nested.
const MAX_DEPTH: usize = 48;

/// Commands in order.
pub(super) type Body = Rc<[Command]>;

/// A command or a block of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A command with its arguments, and the block of a `menuentry`.
    Simple {
        words: Vec<Word>,
        block: Option<Body>,
        negated: bool,
        line: usize,
    },
    /// `if` and `elif` with what they guard, and `else`.
    If {
        branches: Vec<(Body, Body)>,
        otherwise: Body,
    },
    /// `while`, or `until` where the condition is negated.
    While {
        condition: Body,
        body: Body,
        until: bool,
    },
    /// `for`.
    For {
        variable: String,
        words: Vec<Word>,
        body: Body,
    },
    /// The definition of a function.
    Function { name: String, body: Body },
}

/// A script, and the line of its first error; GRUB refuses a script that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub body: Body,
    pub fault: Option<usize>,
}

/// Reads a script.
pub(super) fn parse(text: &str) -> Script {
    let tokens = tokens(text);
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        line: 1,
        depth: 0,
        fault: None,
    };
    let mut commands = Vec::new();
    loop {
        commands.extend(parser.commands().iter().cloned());
        // What closes nothing is passed over.
        if parser.tokens.next().is_none() {
            break;
        }
        parser.fail();
    }
    Script {
        body: commands.into(),
        fault: parser.fault,
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, usize)>>,
    line: usize,
    depth: usize,
    fault: Option<usize>,
}

/// Words that end a list of commands.
const CLOSING: [&str; 6] = ["then", "elif", "else", "fi", "do", "done"];

impl Parser {
    fn fail(&mut self) {
        self.fault.get_or_insert(self.line);
    }

    fn peek_word(&mut self) -> Option<&str> {
        match self.tokens.peek() {
            Some((Token::Word(word), _)) => word.bare(),
            _ => None,
        }
    }

    fn next(&mut self) -> Option<Token> {
        let (token, line) = self.tokens.next()?;
        self.line = line;
        Some(token)
    }

    /// Takes a keyword, which has to be there.
    fn expect(&mut self, keyword: &str) {
        if self.peek_word() == Some(keyword) {
            self.next();
        } else {
            self.fail();
        }
    }

    /// Commands up to a closing word, `}` or the end, none of which is taken.
    fn commands(&mut self) -> Body {
        let mut commands = Vec::new();
        loop {
            match self.tokens.peek() {
                None | Some((Token::Close, _)) => break,
                Some((Token::End, _)) => {
                    self.next();
                    continue;
                }
                Some((Token::Open, _)) => {
                    self.fail();
                    self.next();
                    continue;
                }
                Some((Token::Word(_), _)) => {}
            }
            if self.peek_word().is_some_and(|word| CLOSING.contains(&word)) {
                break;
            }
            if self.depth >= MAX_DEPTH {
                self.fail();
                self.next();
                continue;
            }
            self.depth += 1;
            commands.push(self.command());
            self.depth -= 1;
        }
        commands.into()
    }

    fn command(&mut self) -> Command {
        match self.peek_word() {
            Some("if") => self.if_command(),
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.next();
                let condition = self.commands();
                let body = self.do_block();
                Command::While {
                    condition,
                    body,
                    until,
                }
            }
            Some("for") => self.for_command(),
            Some("function") => {
                self.next();
                let name = self.plain_word();
                self.skip_ends();
                Command::Function {
                    name,
                    body: self.block().unwrap_or_default(),
                }
            }
            _ => self.simple(),
        }
    }

    fn if_command(&mut self) -> Command {
        let mut branches = Vec::new();
        let mut otherwise = Body::default();
        self.next();
        loop {
            let condition = self.commands();
            self.expect("then");
            let body = self.commands();
            branches.push((condition, body));
            if self.peek_word() != Some("elif") {
                break;
            }
            self.next();
        }
        if self.peek_word() == Some("else") {
            self.next();
            otherwise = self.commands();
        }
        self.expect("fi");
        Command::If {
            branches,
            otherwise,
        }
    }

    fn for_command(&mut self) -> Command {
        self.next();
        let variable = self.plain_word();
        self.expect("in");
        let mut words = Vec::new();
        while let Some((Token::Word(_), _)) = self.tokens.peek() {
            if let Some(Token::Word(word)) = self.next() {
                words.push(word);
            }
        }
        self.skip_ends();
        let body = self.do_block();
        Command::For {
            variable,
            words,
            body,
        }
    }

    fn do_block(&mut self) -> Body {
        self.expect("do");
        let body = self.commands();
        self.expect("done");
        body
    }

    fn plain_word(&mut self) -> String {
        let word = self.peek_word().unwrap_or_default().to_owned();
        if word.is_empty() {
            self.fail();
        } else {
            self.next();
        }
        word
    }

    fn skip_ends(&mut self) {
        while let Some((Token::End, _)) = self.tokens.peek() {
            self.next();
        }
    }

    /// A block in braces, where one begins here.
    fn block(&mut self) -> Option<Body> {
        if !matches!(self.tokens.peek(), Some((Token::Open, _))) {
            return None;
        }
        self.next();
        let mut commands = Vec::new();
        loop {
            commands.extend(self.commands().iter().cloned());
            match self.next() {
                Some(Token::Close) => break,
                Some(_) => self.fail(),
                None => {
                    self.fail();
                    break;
                }
            }
        }
        Some(commands.into())
    }

    fn simple(&mut self) -> Command {
        let mut negated = false;
        while self.peek_word() == Some("!") {
            negated = !negated;
            self.next();
        }
        let mut words = Vec::new();
        let mut line = None;
        while let Some((Token::Word(_), at)) = self.tokens.peek() {
            line.get_or_insert(*at);
            if let Some(Token::Word(word)) = self.next() {
                words.push(word);
            }
        }
        let block = self.block();
        Command::Simple {
            words,
            block,
            negated,
            line: line.unwrap_or(self.line),
        }
    }
}
