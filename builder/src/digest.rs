//! The SHA-256 of the image file, which is taken while something else goes on.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

use byoi_agent::interrupt;
use sha2::{Digest as _, Sha256};

use crate::encode::Settled;
use crate::units::byte_len;

/// How much is read at once, in bytes: it stays in the cache until it is digested.
const CHUNK: usize = 256 << 10;

/// The digest of a file as far as it was read.
#[derive(Default)]
pub struct Digest {
    state: Sha256,
    /// Where the rest begins, in bytes.
    read: u64,
}

impl Digest {
    /// Of a file that begins with `bytes`.
    fn of_start(bytes: &[u8]) -> Self {
        Self {
            state: Sha256::new_with_prefix(bytes),
            read: byte_len(bytes.len()),
        }
    }

    /// Reads `file` up to `end`, or to its own end, or until it is told to stop.
    fn read_on(mut self, file: &File, end: u64, stop: &AtomicBool) -> io::Result<Self> {
        let mut buffer = vec![0; CHUNK];
        while self.read < end && !stop.load(Ordering::Relaxed) {
            interrupt::check()?;
            let wanted = usize::try_from(end - self.read).map_or(CHUNK, |left| left.min(CHUNK));
            let read = file.read_at(&mut buffer[..wanted], self.read)?;
            if read == 0 {
                break;
            }
            self.state.update(&buffer[..read]);
            self.read += byte_len(read);
        }
        Ok(self)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

/// Digests what is settled of a file that is still written to, on a thread of its own.
#[derive(Debug)]
pub struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    file: &'env File,
    /// Ends the thread: whoever dropped this wants no digest.
    stop: Arc<AtomicBool>,
    thread: Option<ScopedJoinHandle<'scope, io::Result<Digest>>>,
}

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// For `file`, of which nothing is settled yet.
    pub fn new(scope: &'scope Scope<'scope, 'env>, file: &'env File) -> Self {
        Self {
            scope,
            file,
            stop: Arc::default(),
            thread: None,
        }
    }

    /// Begins with what is settled.
    ///
    /// # Errors
    ///
    /// The thread could not be started.
    pub fn start(&mut self, settled: Settled) -> io::Result<()> {
        let (file, stop) = (self.file, Arc::clone(&self.stop));
        let thread = Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(self.scope, move || {
                Digest::of_start(&settled.start).read_on(file, settled.end, &stop)
            })?;
        self.thread = Some(thread);
        Ok(())
    }

    /// The digest of what was settled.
    ///
    /// # Errors
    ///
    /// The file could not be read, or a signal arrived.
    pub fn finish(mut self) -> io::Result<Digest> {
        self.thread
            .take()
            .map_or_else(|| Ok(Digest::default()), join)
    }
}

impl Drop for Ahead<'_, '_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The digest of the whole file, as 64 hexadecimal digits: what `digest` lacks is read on a thread
/// of its own during `work`.
///
/// # Errors
///
/// The thread could not be started, the file could not be read, or a signal arrived.
pub fn during<T>(file: &File, digest: Digest, work: impl FnOnce() -> T) -> (io::Result<String>, T) {
    thread::scope(|scope| {
        let digest = Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(scope, || {
                digest.read_on(file, u64::MAX, &AtomicBool::new(false))
            });
        let result = work();
        let digest = digest.and_then(join);
        (
            digest.map(|digest| hexadecimal(&digest.state.finalize())),
            result,
        )
    })
}

fn join(thread: ScopedJoinHandle<'_, io::Result<Digest>>) -> io::Result<Digest> {
    thread
        .join()
        .map_err(|_| io::Error::other("the thread panicked"))?
}

/// A digest as text.
fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::qcow2::testing::noise;

    #[test]
    fn what_was_settled_is_not_read_again() {
        let content = noise(1, 3 * CHUNK + 1000);
        let mut file = tempfile::tempfile().unwrap();
        // What comes first is written last, and what comes last is not there yet.
        file.write_all(&[0; 100]).unwrap();
        file.write_all(&content[100..2 * CHUNK]).unwrap();
        let ends = [100, 5000, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1];
        for end in ends.map(byte_len) {
            let settled = Settled {
                start: content[..100].to_vec(),
                end,
            };
            let digest = thread::scope(|scope| {
                let mut ahead = Ahead::new(scope, &file);
                ahead.start(settled).unwrap();
                ahead.finish()
            })
            .unwrap();
            assert_eq!(digest.read, end.min(byte_len(2 * CHUNK)));
            let work = || {
                file.write_all_at(&content, 0).unwrap();
                file.sync_all().unwrap();
            };
            work();
            let (sha256, ()) = during(&file, digest, work);
            assert_eq!(sha256.unwrap(), hexadecimal(&Sha256::digest(&content)));
            file.set_len(byte_len(2 * CHUNK)).unwrap();
            file.write_all_at(&[0; 100], 0).unwrap();
        }
    }

    #[test]
    fn nothing_settled_is_nothing_read() {
        let file = tempfile::tempfile().unwrap();
        let digest = thread::scope(|scope| Ahead::new(scope, &file).finish()).unwrap();
        assert_eq!(digest.read, 0);
        let (sha256, ()) = during(&file, digest, || ());
        assert_eq!(sha256.unwrap(), hexadecimal(&Sha256::digest([])));
    }

    #[test]
    fn a_digest_that_nobody_wants_ends() {
        // Reading all of it would take hours.
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 43).unwrap();
        thread::scope(|scope| {
            let mut ahead = Ahead::new(scope, &file);
            ahead
                .start(Settled {
                    start: Vec::new(),
                    end: 1 << 43,
                })
                .unwrap();
        });
    }
}
