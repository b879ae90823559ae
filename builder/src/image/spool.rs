//! Streams: what is read once, from its beginning to its end, into an unnamed file.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use byoi_agent::interrupt;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sha2::{Digest, Sha256};

use super::copy::{Below, CHUNK, Sink};
use super::error::ImageError;
use super::findings::MAX_SIZE;
use super::probe::{Kind, PROBE_LEN};
use super::unpack::Compression;
use super::window::Window;
use crate::progress::{Narrator, Task};
use crate::units::byte_len;

/// The most that is taken from a stream, in bytes: the largest disk, and what a format may add.
const LIMIT: u64 = MAX_SIZE + (1 << 30);
/// How long to wait for a byte of standard input before looking for a signal, in milliseconds.
const PATIENCE: u16 = 500;

/// Where streams go, and who hears of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spool<'a> {
    pub(super) workdir: &'a Path,
    pub(super) narrator: Narrator,
}

impl Spool<'_> {
    /// What is in a compressed file that `path` names, or that is in it.
    pub(super) fn unpack(
        self,
        compression: Compression,
        packed: &Window,
        path: &Path,
    ) -> Result<Window, ImageError> {
        const ACTION: &str = "unpacking";
        let mut task = self.narrator.bytes(ACTION, packed.len());
        let read = Rc::new(Cell::new(0));
        let input = Counting {
            inner: packed.stream(),
            read: Rc::clone(&read),
        };
        let mut stream = compression.reader(input);
        self.write(&mut stream, ACTION, path, &mut || {
            task.advance_to(read.get());
        })
    }

    /// Standard input, unpacked where it is compressed, and the SHA-256 of what came in.
    pub(super) fn standard_input(
        self,
        path: &Path,
    ) -> Result<(Window, Option<Compression>, String), ImageError> {
        const ACTION: &str = "reading";
        self.narrator.say("Reading standard input");
        let failed = |error| ImageError::of_io(ACTION, path, error);
        let file = stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut input = Hashing {
            inner: Patient(file),
            hash: Sha256::new(),
        };
        let mut head = Vec::new();
        (&mut input)
            .take(byte_len(PROBE_LEN))
            .read_to_end(&mut head)
            .map_err(failed)?;
        let compression = match Kind::of(&head, &[], 0) {
            Kind::Compressed(compression) => Some(compression),
            _ => None,
        };
        let mut whole = head.as_slice().chain(&mut input);
        let window = match compression {
            Some(compression) => {
                let mut stream = compression.reader(&mut whole);
                self.write(&mut stream, "unpacking", path, &mut || {})
            }
            None => self.write(&mut whole, ACTION, path, &mut || {}),
        }?;
        io::copy(&mut input, &mut io::sink()).map_err(failed)?;
        Ok((window, compression, hexadecimal(input.hash)))
    }

    /// Writes a stream to an unnamed file, without its zeros.
    fn write(
        self,
        stream: &mut dyn Read,
        action: &'static str,
        path: &Path,
        advanced: &mut dyn FnMut(),
    ) -> Result<Window, ImageError> {
        let failed = |error| ImageError::of_io(action, path, error);
        let file = unnamed_file(self.workdir)?;
        let mut task: Task = Narrator::Silent.bytes(action, 0);
        let mut sink = Sink::new(&file, Below::Nothing, &mut task);
        let mut buffer = vec![0; CHUNK];
        let mut len = 0;
        loop {
            interrupt::check().map_err(|error| failed(error.into()))?;
            let read = fill(stream, &mut buffer).map_err(failed)?;
            sink.put(len, &buffer[..read]).map_err(failed)?;
            len += byte_len(read);
            advanced();
            if len > LIMIT {
                return Err(ImageError::TooLong {
                    path: path.to_owned(),
                    limit: LIMIT,
                });
            }
            if read < buffer.len() {
                break;
            }
        }
        file.set_len(len).map_err(failed)?;
        Ok(Window::of(Arc::new(file), len))
    }
}

/// A file that has no name and goes with the process.
pub(super) fn unnamed_file(workdir: &Path) -> Result<File, ImageError> {
    // O_TMPFILE, or where that is unknown a file whose name goes at once.
    tempfile::tempfile_in(workdir).map_err(|source| ImageError::Io {
        action: "making a working disk (--workdir) in",
        path: workdir.to_owned(),
        source,
    })
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(hash: Sha256) -> String {
    use std::fmt::Write as _;
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            write!(text, "{byte:02x}").ok();
            text
        })
}

/// Fills a buffer as far as the stream goes.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Says how much was read.
struct Counting<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + byte_len(read));
        Ok(read)
    }
}

/// Takes the digest of what is read.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// A pipe whose writer may be slow: a signal ends the waiting.
struct Patient(OwnedFd);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            interrupt::check()?;
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(PATIENCE)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(rustix::io::read(&self.0, buffer)?),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
