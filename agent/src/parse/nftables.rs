//! nft(8)'s ruleset language, cut into statements: which chain each one is in, and its words.
//!
//! What the words mean is left to the reader. Variables are not expanded, includes are statements
//! like others.

/// A statement: a rule, or what a chain is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The family and name of its table: `inet filter`; empty outside of all.
    pub table: String,
    /// The name of its chain; empty outside of all.
    pub chain: String,
    /// Its words, quotes removed; `{`, `}` and `,` of a set are words of their own.
    pub words: Vec<String>,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// What begins a block in braces.
const BLOCKS: [&str; 12] = [
    "chain",
    "counter",
    "ct",
    "flowtable",
    "limit",
    "map",
    "quota",
    "secmark",
    "set",
    "synproxy",
    "table",
    "tunnel",
];
/// The families of tables.
const FAMILIES: [&str; 6] = ["arp", "bridge", "inet", "ip", "ip6", "netdev"];

/// A token and its line.
enum Token {
    Word(String),
    Open,
    Close,
    Comma,
    End,
}

/// The statements of a text, in order.
pub fn statements(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    // The words that opened each block that is still open.
    let mut blocks: Vec<Vec<String>> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut begun = 1;
    // How many braces of sets are open.
    let mut sets = 0_usize;
    for (token, line) in Tokens::new(text) {
        if words.is_empty() {
            begun = line;
        }
        match token {
            Token::Word(word) => words.push(word),
            Token::Comma => words.push(",".to_owned()),
            Token::Open if sets == 0 && opens_block(&words) => {
                blocks.push(std::mem::take(&mut words));
            }
            Token::Open => {
                sets += 1;
                words.push("{".to_owned());
            }
            Token::Close if sets > 0 => {
                sets -= 1;
                words.push("}".to_owned());
            }
            Token::Close => {
                finish(&mut statements, &blocks, &mut words, begun);
                blocks.pop();
            }
            Token::End if sets > 0 => {}
            Token::End => finish(&mut statements, &blocks, &mut words, begun),
        }
    }
    finish(&mut statements, &blocks, &mut words, begun);
    statements
}

fn opens_block(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str);
    let first = match words.next() {
        Some("add" | "create") => words.next(),
        first => first,
    };
    // `ct state { … }` and `limit rate …` are rules; `ct helper NAME {` is a block.
    match first {
        Some("ct") => matches!(words.next(), Some("helper" | "timeout" | "expectation")),
        Some(first) => BLOCKS.contains(&first),
        None => false,
    }
}

fn finish(
    statements: &mut Vec<Statement>,
    blocks: &[Vec<String>],
    words: &mut Vec<String>,
    line: usize,
) {
    if words.is_empty() {
        return;
    }
    let words = std::mem::take(words);
    if let Some(flat) = flat(&words, line) {
        statements.push(flat);
        return;
    }
    let named = |keyword: &str| {
        blocks.iter().find_map(|header| {
            let at = header.iter().position(|word| word == keyword)?;
            Some(header[at + 1..].join(" "))
        })
    };
    statements.push(Statement {
        table: named("table")
            .map(|table| with_family(&table))
            .unwrap_or_default(),
        chain: named("chain")
            .and_then(|chain| chain.split(' ').next_back().map(str::to_owned))
            .unwrap_or_default(),
        words,
        line,
    });
}

/// `add rule [FAMILY] TABLE CHAIN …`.
fn flat(words: &[String], line: usize) -> Option<Statement> {
    let verb = words.first()?;
    if !matches!(verb.as_str(), "add" | "insert") || words.get(1)? != "rule" {
        return None;
    }
    let family = FAMILIES.contains(&words.get(2)?.as_str());
    let at = if family { 3 } else { 2 };
    let table = if family {
        words.get(2..4)?.join(" ")
    } else {
        with_family(words.get(2)?)
    };
    let rule = words.get(at + 2..).filter(|rule| !rule.is_empty())?;
    Some(Statement {
        table,
        chain: words.get(at + 1)?.clone(),
        words: rule.to_vec(),
        line,
    })
}

/// A table without a family is of `ip`.
fn with_family(table: &str) -> String {
    if table.contains(' ') {
        table.to_owned()
    } else {
        format!("ip {table}")
    }
}

struct Tokens<'a> {
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            characters: text.chars().peekable(),
            line: 1,
        }
    }

    fn quoted(&mut self) -> String {
        let mut word = String::new();
        for c in self.characters.by_ref() {
            match c {
                '"' => break,
                '\n' => {
                    self.line += 1;
                    break;
                }
                c => word.push(c),
            }
        }
        word
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self
            .characters
            .next_if(|c| !c.is_whitespace() && !matches!(c, '{' | '}' | ',' | ';' | '#' | '"'))
        {
            word.push(c);
        }
        word
    }
}

impl Iterator for Tokens<'_> {
    type Item = (Token, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.line;
            let token = match self.characters.next()? {
                '\n' => {
                    self.line += 1;
                    Token::End
                }
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                ',' => Token::Comma,
                '"' => Token::Word(self.quoted()),
                '#' => {
                    while self.characters.next_if(|c| *c != '\n').is_some() {}
                    continue;
                }
                '\\' if self.characters.peek() == Some(&'\n') => {
                    self.characters.next();
                    self.line += 1;
                    continue;
                }
                c if c.is_whitespace() => continue,
                c => Token::Word(self.word(c)),
            };
            return Some((token, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_know_their_chain() {
        let text = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\
                    \tset ports { type inet_service; elements = { 22, 80 } }\n\
                    \tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\
                    \t\ttcp dport { 22,\n 80 } accept # ssh\n\t\tct state { new } \\\n drop\n\t}\n}\n\
                    add rule inet filter input tcp dport 25 accept\n";
        let shown: Vec<String> = statements(text)
            .into_iter()
            .map(|s| format!("{}|{}|{}:{}", s.table, s.chain, s.line, s.words.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                "||2:flush ruleset",
                "inet filter||4:type inet_service",
                "inet filter||4:elements = { 22 , 80 }",
                "inet filter|input|6:type filter hook input priority 0",
                "inet filter|input|6:policy drop",
                "inet filter|input|7:tcp dport { 22 , 80 } accept",
                "inet filter|input|9:ct state { new } drop",
                "inet filter|input|13:tcp dport 25 accept",
            ]
        );
    }

    #[test]
    fn a_rule_without_words_is_no_rule_of_a_chain() {
        let found = statements("add rule{table");
        assert!(found.iter().all(|statement| !statement.words.is_empty()));
        let found = statements("add rule inet filter input\n");
        assert_eq!(found[0].chain, "");
    }

    proptest! {
        #[test]
        fn hostile_text_is_read(text in "(table|chain|add rule|[a{};,#\"\\\\\n ]){0,60}") {
            for statement in statements(&text) {
                prop_assert!(!statement.words.is_empty());
            }
        }
    }
}
