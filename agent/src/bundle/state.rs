//! What is at a path, as far as a bundle tells one state from another.

use std::fmt;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use nix::sys::stat::SFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{name, sparse};
use crate::error::Error;
use crate::interrupt;
use crate::root::{GuestPath, GuestRoot};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// What is at a path. Owner, mode and times do not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum State {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The SHA-256 of its content, in hexadecimal.
        sha256: String,
    },
    /// A regular file with holes, of which the archive holds the data alone.
    Sparse {
        /// Its size in bytes.
        size: u64,
        /// The SHA-256 of its data, in hexadecimal: of each block of 64 KiB that is not all zeros,
        /// its offset in 8 bytes, the lowest first, and its content.
        sha256: String,
    },
    /// A symbolic link.
    Link {
        /// What it names.
        #[serde(with = "name")]
        target: PathBuf,
    },
    /// A directory, whatever is in it.
    Directory,
    /// A device, FIFO or socket.
    Special {
        /// Its kind, as in `st_mode`.
        format: u32,
        /// Its device number.
        device: u64,
    },
    /// Whatever a program of the guest makes of it.
    Any,
}

impl State {
    /// A regular file with this content.
    pub fn of_content(content: &[u8]) -> Self {
        Self::File {
            size: content.len().try_into().unwrap_or(u64::MAX),
            sha256: hex(&Sha256::digest(content)),
        }
    }

    /// What is at a path, the last link not followed.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(root: &GuestRoot, path: &GuestPath) -> Result<Self, Error> {
        Self::told(root, path, sparse::has_holes)
    }

    /// Whether this is at a path. Where the holes of a file are does not count.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn is_at(&self, root: &GuestRoot, path: &GuestPath) -> Result<bool, Error> {
        let is_sparse = matches!(self, Self::Sparse { .. });
        Ok(Self::told(root, path, |_| Ok(is_sparse))? == *self)
    }

    /// What is at a path; `is_sparse` says how a file is told.
    fn told(
        root: &GuestRoot,
        path: &GuestPath,
        is_sparse: impl FnOnce(&File) -> io::Result<bool>,
    ) -> Result<Self, Error> {
        let Some((stat, _)) = root.attributes(path)? else {
            return Ok(Self::Absent);
        };
        let format = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        Ok(match format {
            SFlag::S_IFREG => match root.open_file(path)? {
                Some(file) => is_sparse(&file)
                    .and_then(|is_sparse| Self::of_file(&file, is_sparse))
                    .map_err(Error::io("reading", path))?,
                None => Self::Absent,
            },
            SFlag::S_IFLNK => Self::Link {
                target: root.read_link(path)?.unwrap_or_default(),
            },
            SFlag::S_IFDIR => Self::Directory,
            format => Self::Special {
                format: format.bits(),
                device: stat.st_rdev,
            },
        })
    }

    fn of_file(file: &File, is_sparse: bool) -> io::Result<Self> {
        if is_sparse {
            let size = file.metadata()?.len();
            let sha256 = sparse::digest(file, size)?;
            Ok(Self::Sparse { size, sha256 })
        } else {
            let (size, sha256) = digest(file)?;
            Ok(Self::File { size, sha256 })
        }
    }

    /// Whether it is a socket, which the program that listens on it makes.
    pub fn is_socket(&self) -> bool {
        matches!(self, Self::Special { format, .. } if *format == SFlag::S_IFSOCK.bits())
    }

    /// Whether the archive holds it.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::Absent | Self::Any) && !self.is_socket()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::File { size, .. } | Self::Sparse { size, .. } => {
                write!(f, "a file of {size} bytes")
            }
            Self::Link { target } => write!(f, "a link to {}", target.display()),
            Self::Directory => f.write_str("a directory"),
            Self::Special { .. } => f.write_str("a device, FIFO or socket"),
            Self::Any => f.write_str("anything"),
        }
    }
}

/// The size and digest of what a file holds now.
fn digest(mut file: &File) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        interrupt::check()?;
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, hex(&digest.finalize())));
        }
        digest.update(&buffer[..read]);
        size += u64::try_from(read).map_err(io::Error::other)?;
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
