//! The image file as a stream that can be looked ahead in.
//!
//! Decompressors must leave the stream exactly behind their own data, because the next segment
//! begins there. All of them read through this one buffer, and what one of them read too far goes
//! back into it.

use std::io::{self, BufRead, Read};

/// How much is read from the file at once, in bytes.
const CHUNK: usize = 64 << 10;

/// The image file, buffered.
pub(super) struct Input<'r> {
    source: &'r mut dyn Read,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    consumed: u64,
    starved: bool,
    failure: Option<io::Error>,
}

impl<'r> Input<'r> {
    pub(super) fn new(source: &'r mut dyn Read) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            consumed: 0,
            starved: false,
            failure: None,
        }
    }

    /// The next bytes without consuming them: `count`, or fewer at the end of the file.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let wanted = self.end + CHUNK;
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failure = Some(error);
                    return Err(kind.into());
                }
            }
        }
        let length = count.min(self.end - self.start);
        Ok(&self.buffer[self.start..self.start + length])
    }

    /// Gives back the bytes that were consumed last.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.buffer.truncate(self.end);
        self.buffer.splice(..self.start, bytes.iter().copied());
        self.start = 0;
        self.end = self.buffer.len();
        self.consumed = self
            .consumed
            .saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// How many bytes of the file have been consumed.
    pub(super) fn offset(&self) -> u64 {
        self.consumed
    }

    /// Whether somebody needed more bytes than the file has.
    pub(super) fn starved(&self) -> bool {
        self.starved
    }

    /// The file's own error, which decompressors hide behind theirs.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.peek(1)?.is_empty() {
            self.starved = true;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.end - self.start);
        self.start += amount;
        self.consumed = self
            .consumed
            .saturating_add(u64::try_from(amount).unwrap_or(u64::MAX));
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let available = self.fill_buf()?;
        let length = available.len().min(buf.len());
        buf[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a pipe may.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let length = buf.len().min(1);
            self.0.read(&mut buf[..length])
        }
    }

    #[test]
    fn looking_ahead_consumes_nothing_and_starves_nobody() {
        let mut source = Trickle(b"abcdef");
        let mut input = Input::new(&mut source);
        assert_eq!(input.peek(4).unwrap(), b"abcd");
        let mut two = [0; 2];
        input.read_exact(&mut two).unwrap();
        assert_eq!(input.peek(9).unwrap(), b"cdef");
        assert_eq!(input.offset(), 2);
        assert!(!input.starved());
        input.consume(4);
        assert_eq!(input.read(&mut two).unwrap(), 0);
        assert!(input.starved());
    }

    #[test]
    fn what_was_given_back_comes_again() {
        let mut source = Trickle(b"abcdef");
        let mut input = Input::new(&mut source);
        let mut four = [0; 4];
        input.read_exact(&mut four).unwrap();
        input.peek(1).unwrap();
        input.unread(b"bcd");
        assert_eq!(input.offset(), 1);
        let mut rest = Vec::new();
        input.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"bcdef");
    }

    #[test]
    fn the_error_of_the_file_is_kept() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("bad sector"))
            }
        }
        let mut source = Broken;
        let mut input = Input::new(&mut source);
        input.read(&mut [0]).unwrap_err();
        assert_eq!(input.take_failure().unwrap().to_string(), "bad sector");
    }
}
