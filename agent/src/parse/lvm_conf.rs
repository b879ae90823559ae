//! The syntax of `lvm.conf(5)`: sections in braces, `key = value`, arrays in brackets, comments
//! from `#` to the end of the line.

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key without its section: `filter`, also where `devices/filter` is written.
    pub key: String,
    /// The value; several for an array.
    pub values: Vec<String>,
    /// The line it begins on, from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Mark(char),
}

/// The settings of a text, in order. What is no setting is passed over.
pub fn settings(text: &str) -> Vec<Setting> {
    let tokens = tokens(text);
    let mut settings = Vec::new();
    let mut at = next_key(&tokens, 0);
    while let [(Token::Word(key), line), (Token::Mark('='), _), rest @ ..] =
        tokens.get(at..).unwrap_or_default()
    {
        let mut values = Vec::new();
        let taken = match rest {
            [(Token::Mark('['), _), items @ ..] => {
                let end = items
                    .iter()
                    .position(|(token, _)| *token == Token::Mark(']'))
                    .unwrap_or(items.len());
                values.extend(items[..end].iter().filter_map(|(token, _)| word(token)));
                end + 2
            }
            [(Token::Word(value), _), ..] => {
                values.push(value.clone());
                1
            }
            _ => 0,
        };
        settings.push(Setting {
            key: key.rsplit('/').next().unwrap_or(key).to_owned(),
            values,
            line: *line,
        });
        at = next_key(&tokens, at + 2 + taken);
    }
    settings
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.clone()),
        Token::Mark(_) => None,
    }
}

/// Where the next `key =` stands.
fn next_key(tokens: &[(Token, usize)], from: usize) -> usize {
    let is_key =
        |pair: &[(Token, usize)]| matches!(pair, [(Token::Word(_), _), (Token::Mark('='), _)]);
    tokens
        .get(from..)
        .and_then(|rest| rest.windows(2).position(is_key))
        .map_or(tokens.len(), |skipped| from + skipped)
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let mut chars = line.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            let token = match c {
                '#' => break,
                c if c.is_whitespace() || c == ',' => continue,
                '"' | '\'' => {
                    let mut word = String::new();
                    while let Some((_, inner)) = chars.next_if(|(_, inner)| *inner != c) {
                        let escaped = (inner == '\\').then(|| chars.next()).flatten();
                        word.push(escaped.map_or(inner, |(_, escaped)| escaped));
                    }
                    chars.next();
                    Token::Word(word)
                }
                '=' | '[' | ']' | '{' | '}' => Token::Mark(c),
                _ => {
                    let ends = |c: char| c.is_whitespace() || "=[]{},#\"".contains(c);
                    let mut end = start + c.len_utf8();
                    while let Some((at, c)) = chars.next_if(|(_, c)| !ends(*c)) {
                        end = at + c.len_utf8();
                    }
                    Token::Word(line[start..end].to_owned())
                }
            };
            tokens.push((token, number));
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_arrays_and_comments() {
        let text = "# filter = [ \"no\" ]\nconfig {\n\tchecks = 1\n}\ndevices {\n\
                    \tfilter = [ \"a|/dev/vda.*|\", # mine\n\t\t\"r|.*|\" ]\n\
                    \tdir=\"/dev\" scan = []\n}\ndevices/global_filter=\"a|#|\"\nbroken =\n";
        let found: Vec<String> = settings(text)
            .into_iter()
            .map(|s| format!("{}:{} {}", s.line, s.key, s.values.join(" ")))
            .collect();
        assert_eq!(
            found,
            [
                "3:checks 1",
                "6:filter a|/dev/vda.*| r|.*|",
                "8:dir /dev",
                "8:scan ",
                "10:global_filter a|#|",
                "11:broken ",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|[\n=\\[\\]{}\"#,]){0,80}") {
            let lines = text.lines().count();
            for setting in settings(&text) {
                prop_assert!((1..=lines).contains(&setting.line));
            }
        }
    }
}
