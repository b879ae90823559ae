//! Text of unknown encoding, changed without losing a byte.
//!
//! Configuration files are nearly always UTF-8, and some old ones hold Latin-1 comments. Bytes
//! that are not UTF-8 are read as Latin-1, which has a character for every byte, and written back
//! as the same bytes.

/// The text of a guest file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    text: String,
    latin1: bool,
}

impl Text {
    /// Reads bytes as UTF-8, or as Latin-1 where they are not.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self {
                text: text.to_owned(),
                latin1: false,
            },
            Err(_) => Self {
                text: bytes.iter().copied().map(char::from).collect(),
                latin1: true,
            },
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Other text in the encoding of this one. Characters that Latin-1 lacks, which no rule
    /// writes, become `?`.
    pub fn encode(&self, text: &str) -> Vec<u8> {
        if self.latin1 {
            text.chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect()
        } else {
            text.as_bytes().to_vec()
        }
    }
}

/// Text of a guest on one line of a terminal: what would steer the terminal, or begin another line,
/// is escaped.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        let is_bidi = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if is_bidi || (character.is_control() && character != '\t') {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(printable("grün\tund"), "grün\tund");
        assert_eq!(
            printable("\u{1b}[31m\nx\u{202e}"),
            "\\u{1b}[31m\\nx\\u{202e}"
        );
    }

    #[test]
    fn every_byte_comes_back() {
        for bytes in [&b"plain"[..], "grün".as_bytes(), b"gr\xfcn \x80\xff\x00"] {
            let text = Text::from_bytes(bytes);
            assert_eq!(text.encode(text.as_str()), bytes);
        }
    }
}
