//! Putting variables into words.

use super::lexer::{Piece, Token, Word, tokens};
use super::machine::{Machine, WORD_COST};

impl Machine<'_> {
    /// Puts variables in and cuts what was outside quotes into words.
    pub(super) fn expand(&mut self, words: &[Word]) -> Vec<String> {
        let mut made = Vec::new();
        for word in words {
            if !self.pay(WORD_COST) {
                break;
            }
            let mut fields = vec![String::new()];
            let mut any = word.quoted;
            for piece in &word.pieces {
                let (text, cut) = match piece {
                    Piece::Text(text) => (text.clone(), false),
                    Piece::Variable { name, quoted } => (self.value(name), !quoted),
                };
                if !self.pay(text.len()) {
                    break;
                }
                if cut {
                    for (at, part) in text.split([' ', '\t', '\n']).enumerate() {
                        if at > 0 {
                            fields.push(String::new());
                        }
                        if let Some(last) = fields.last_mut() {
                            last.push_str(part);
                        }
                    }
                } else {
                    any = true;
                    if let Some(last) = fields.last_mut() {
                        last.push_str(&text);
                    }
                }
            }
            let single = fields.len() == 1 && any;
            made.extend(
                fields
                    .into_iter()
                    .filter(|field| single || !field.is_empty()),
            );
        }
        made
    }

    fn value(&self, name: &str) -> String {
        match name {
            "@" | "*" => self.args.join(" "),
            "#" => self.args.len().to_string(),
            _ => match name.parse::<usize>() {
                Ok(number) => number
                    .checked_sub(1)
                    .and_then(|number| self.args.get(number).cloned())
                    .unwrap_or_default(),
                Err(_) => self.get(name).to_owned(),
            },
        }
    }

    /// The words of a line that may take variables in.
    pub(super) fn expand_text(&mut self, text: &str) -> Vec<String> {
        let words: Vec<Word> = tokens(text)
            .into_iter()
            .filter_map(|(token, _)| match token {
                Token::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        self.expand(&words)
    }
}
