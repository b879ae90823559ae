//! The SHA-256 of a finished file, which is taken while something else goes on.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread::{self, Builder};

use byoi_agent::interrupt;
use sha2::{Digest, Sha256};

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;

/// The digest of the whole file, as 64 hexadecimal digits, taken on a thread of its own during
/// `work`.
///
/// # Errors
///
/// The thread could not be started, the file could not be read, or a signal arrived.
pub fn during<T>(file: &File, work: impl FnOnce() -> T) -> (io::Result<String>, T) {
    thread::scope(|scope| {
        let digest = Builder::new()
            .name("digest".to_owned())
            .spawn_scoped(scope, || file_sha256(file));
        let result = work();
        let digest = digest.and_then(|thread| {
            thread
                .join()
                .map_err(|_| io::Error::other("the thread panicked"))?
        });
        (digest, result)
    })
}

fn file_sha256(file: &File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        interrupt::check()?;
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        offset += u64::try_from(read).map_err(io::Error::other)?;
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// A digest as text.
pub fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
