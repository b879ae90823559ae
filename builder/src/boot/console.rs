//! What the guest says on ttyS0: arbitrary bytes, cut into bounded lines of plain text.
//!
//! Escape sequences (ECMA-48) and control characters are dropped, so a log can be shown on any
//! terminal. Old lines go when there are too many.

use std::collections::VecDeque;
use std::io::Read;
use std::iter;
use std::slice;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::seconds::Seconds;

/// A longer line is cut in two, in bytes.
const MAX_LINE: usize = 1024;
/// How much text is kept, in bytes.
const MAX_LOG: usize = 4 << 20;
/// Chunks that wait for the reader before the guest's serial port does.
const QUEUE: usize = 64;

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// When its end arrived.
    pub seconds: Seconds,
    /// The text.
    pub text: String,
}

/// The console log.
#[derive(Debug, Default)]
pub struct Console {
    pending: Vec<u8>,
    lines: VecDeque<Line>,
    kept: usize,
    dropped: u64,
}

impl Console {
    /// Takes what arrived and tells the lines that it ended.
    pub fn feed(&mut self, at: Duration, bytes: &[u8]) -> Vec<String> {
        let mut ended = Vec::new();
        for &byte in bytes {
            let ends = matches!(byte, b'\n' | b'\r');
            if !ends {
                self.pending.push(byte);
            }
            if ends || self.pending.len() >= MAX_LINE {
                let text = plain(&self.pending);
                self.pending.clear();
                if !text.is_empty() {
                    self.keep(at, text.clone());
                    ended.push(text);
                }
            }
        }
        ended
    }

    /// The line that has no end yet: a prompt.
    pub fn prompt(&self) -> String {
        plain(&self.pending)
    }

    /// All lines, and how many older ones were dropped.
    pub fn finish(mut self, at: Duration) -> (Vec<Line>, u64) {
        let prompt = self.prompt();
        if !prompt.is_empty() {
            self.keep(at, prompt);
        }
        (self.lines.into(), self.dropped)
    }

    fn keep(&mut self, at: Duration, text: String) {
        self.kept += text.len();
        self.lines.push_back(Line {
            seconds: Seconds(at),
            text,
        });
        while self.kept > MAX_LOG {
            let Some(line) = self.lines.pop_front() else {
                break;
            };
            self.kept -= line.text.len();
            self.dropped += 1;
        }
    }
}

/// Reads a pipe in a thread of its own, which notes when each chunk arrived. The channel closes
/// when the pipe does.
pub fn listen(pipe: Option<impl Read + Send + 'static>) -> Receiver<(Instant, Vec<u8>)> {
    let (sender, receiver) = sync_channel(QUEUE);
    thread::spawn(move || {
        let Some(mut source) = pipe else { return };
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            if sender
                .send((Instant::now(), buffer[..length].to_vec()))
                .is_err()
            {
                break;
            }
        }
    });
    receiver
}

/// The text without escape sequences and control characters.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut bytes = text.as_bytes().iter();
    let kept: Vec<u8> = iter::from_fn(|| next_plain(&mut bytes)).collect();
    let mut text = String::from_utf8_lossy(&kept).into_owned();
    // Some terminals obey C1 control characters.
    text.retain(|character| !character.is_control());
    text.trim().to_owned()
}

fn next_plain(bytes: &mut slice::Iter<'_, u8>) -> Option<u8> {
    loop {
        match *bytes.next()? {
            0x1b => skip_escape(bytes)?,
            b'\t' => return Some(b' '),
            0..0x20 | 0x7f => {}
            byte => return Some(byte),
        }
    }
}

/// Skips what follows ESC.
fn skip_escape(bytes: &mut slice::Iter<'_, u8>) -> Option<()> {
    match *bytes.next()? {
        // A control sequence ends with its final byte.
        b'[' => while !(0x40..=0x7e).contains(bytes.next()?) {},
        // An operating system command ends with BEL or ESC \.
        b']' => loop {
            match *bytes.next()? {
                0x07 => break,
                0x1b => {
                    bytes.next()?;
                    break;
                }
                _ => {}
            }
        },
        // Intermediate bytes go on to the final byte.
        0x20..=0x2f => while !(0x30..=0x7e).contains(bytes.next()?) {},
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    #[test]
    fn text_is_plain() {
        for (bytes, expected) in [
            (&b"\x1b[0;32m  OK  \x1b[0m] Started"[..], "OK  ] Started"),
            (b"\x1b[H\x1b[J\x1b[1;1H\x1b[?25l\x1b(Blogin: ", "login:"),
            (b"\x1b]8;;http://x\x07a\x1b]0;t\x1b\\b\tc\x00", "ab c"),
            (b"caf\xe9 \xc3\xa9", "caf\u{fffd} \u{e9}"),
            (b"c1 \xc2\x9b31m", "c1 31m"),
            (b"cut \x1b[12;", "cut"),
            (b"cut \x1b", "cut"),
        ] {
            assert_eq!(plain(bytes), expected);
        }
    }

    #[test]
    fn lines_end_however_they_arrive() {
        let mut console = Console::default();
        assert_eq!(console.feed(NOW, b"one\r\n\r\ntw"), ["one"]);
        assert_eq!(console.feed(NOW, b"o\nlogin: "), ["two"]);
        assert_eq!(console.prompt(), "login:");
        let (lines, dropped) = console.finish(NOW);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            (texts.as_slice(), dropped),
            (&["one", "two", "login:"][..], 0)
        );
    }

    #[test]
    fn neither_a_line_nor_the_log_grows_without_bound() {
        let mut console = Console::default();
        let chunk = [b'x'; 64 << 10];
        for _ in 0..100 {
            let lines = console.feed(NOW, &chunk);
            assert!(lines.iter().all(|line| line.len() == MAX_LINE));
        }
        let (lines, dropped) = console.finish(NOW);
        assert_eq!(lines.len(), MAX_LOG / MAX_LINE);
        assert_eq!(dropped, 100 * 64 - 4096);
    }
}
