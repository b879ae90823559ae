//! What is inside a Linux initramfs image, the small root file system a kernel starts from.
//!
//! An image is a row of segments, each a cpio archive, bare or compressed as a whole, with zero
//! bytes between them: microcode in a bare archive first, the main archive last. The kernel unpacks
//! one over the other, so that a later entry replaces an earlier one of the same path. The form is
//! that of the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`, read as
//! `init/initramfs.c` reads it.
//!
//! The image may come from a stranger's disk. It is read as a stream, unpacked nowhere, and refused
//! as soon as it exceeds a [`Limits`]. Only the contents that the caller wants are kept. Not read:
//! LZO, the old portable cpio format (`070707`), and an image embedded in a kernel or a unified
//! kernel image.

mod archive;
mod compression;
mod error;
pub mod images;
mod input;
pub mod kernel_modules;
pub mod kernels;
mod limits;
pub mod loader;
mod lz4_legacy;
pub mod modules;
pub mod pins;
pub mod rebuild;
pub mod root_drivers;
pub mod space;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod tool;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

pub use compression::Compression;
pub use error::InitramfsError;
pub use limits::{Limit, Limits};

use archive::{Fault, Gatherer};
use compression::{Format, HEAD, decompress, recognise};
use input::Input;

/// How much is decompressed at once, in bytes.
const CHUNK: usize = 64 << 10;
/// What ends a boot configuration appended to the image: `Documentation/admin-guide/bootconfig.rst`.
const BOOTCONFIG: &[u8] = b"#BOOTCONFIG\n";
/// The most that a boot configuration and its padding take, in bytes.
const BOOTCONFIG_MAX: usize = 64 << 10;

/// The tree that an initramfs image unpacks to.
#[derive(Debug, Clone)]
pub struct Initramfs {
    segments: Vec<Segment>,
    entries: BTreeMap<String, Entry>,
}

/// One archive of an image, or one compressed row of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How it is compressed.
    pub compression: Compression,
    /// How many entries it has.
    pub entries: u64,
}

/// A file, directory or other thing in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The length of a file, in bytes. Each name of a file with several has the same.
    pub size: u64,
    /// Type and permissions, as in `stat(2)`.
    pub mode: u32,
    content: Option<Arc<[u8]>>,
}

impl Entry {
    /// The content of a file that was wanted.
    ///
    /// A file with several names has none when its data came with an unwanted name before a wanted
    /// one; archivers write the data with the last name.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// A block or character device.
    Device,
    /// A pipe, a socket, or something unknown.
    Other,
}

impl Initramfs {
    /// Reads an image to its end and keeps the contents of those regular files whose path `wanted`
    /// says it wants.
    ///
    /// Paths have no leading `/` or `./`; bytes that are not UTF-8 are question marks in them.
    ///
    /// # Errors
    ///
    /// [`InitramfsError`]: the image is truncated, damaged, in an unknown format or exceeds a limit;
    /// reading failed; a signal arrived.
    pub fn read(
        mut reader: impl Read,
        wanted: &dyn Fn(&str) -> bool,
        limits: &Limits,
    ) -> Result<Self, InitramfsError> {
        read_image(&mut Input::new(&mut reader), wanted, limits)
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// All paths and what is there, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// What is at a path; symbolic links are not followed.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The content of a wanted file; symbolic links are not followed.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.entry(path)?.content()
    }
}

fn read_image(
    input: &mut Input<'_>,
    wanted: &dyn Fn(&str) -> bool,
    limits: &Limits,
) -> Result<Initramfs, InitramfsError> {
    let mut gatherer = Gatherer::new(limits, wanted);
    let mut segments = Vec::new();
    loop {
        let segment = segments.len() + 1;
        // Padding belongs to no segment: what can go wrong in it is the file or a limit.
        let place = (segment, Compression::None);
        let more = skip_padding(input, &mut gatherer);
        if !more.map_err(|fault| explain(fault, input, place, limits))? {
            break;
        }
        let offset = input.offset();
        let head = input.peek(HEAD);
        let compression = match recognise(head.map_err(|source| InitramfsError::Read { source })?) {
            Format::Readable(compression) => compression,
            Format::Foreign(format) => {
                return Err(InitramfsError::Unsupported { segment, format });
            }
            Format::Unknown if segment > 1 && is_bootconfig(input)? => break,
            Format::Unknown => return Err(InitramfsError::UnknownFormat { segment, offset }),
        };
        let place = (segment, compression);
        if u64::try_from(segment).unwrap_or(u64::MAX) > limits.segments {
            let fault = Fault::Limit(Limit::Segments);
            return Err(explain(fault, input, place, limits));
        }
        let before = gatherer.seen();
        let result = read_segment(input, compression, &mut gatherer);
        result.map_err(|fault| explain(fault, input, place, limits))?;
        if input.starved() {
            return Err(explain(Fault::Ended, input, place, limits));
        }
        segments.push(Segment {
            compression,
            entries: gatherer.seen() - before,
        });
    }
    if segments.is_empty() {
        return Err(InitramfsError::Empty);
    }
    Ok(Initramfs {
        segments,
        entries: gatherer.into_entries(),
    })
}

/// Reads one segment. A bare archive is a segment by itself; compressed data may hold several.
fn read_segment(
    input: &mut Input<'_>,
    compression: Compression,
    gatherer: &mut Gatherer<'_>,
) -> Result<(), Fault> {
    if compression == Compression::None {
        return gatherer.archive(input);
    }
    let stream = decompress(compression, input).map_err(Fault::Damaged)?;
    let mut stream = BufReader::with_capacity(CHUNK, stream);
    loop {
        let available = stream.fill_buf().map_err(Fault::Damaged)?;
        match available.first() {
            None => return Ok(()),
            Some(b'0') => gatherer.archive(&mut stream)?,
            Some(0) => {
                let zeros = leading_zeros(available);
                stream.consume(zeros);
                gatherer.count_padding(zeros)?;
            }
            Some(_) => return Err(Fault::damaged("there is no cpio archive in it")),
        }
    }
}

/// Skips zero bytes; false at the end of the file.
fn skip_padding(input: &mut Input<'_>, gatherer: &mut Gatherer<'_>) -> Result<bool, Fault> {
    loop {
        let available = input.peek(CHUNK).map_err(Fault::Damaged)?;
        if available.is_empty() {
            return Ok(false);
        }
        let zeros = leading_zeros(available);
        if zeros == 0 {
            return Ok(true);
        }
        input.consume(zeros);
        gatherer.count_padding(zeros)?;
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len())
}

/// Whether all that is left is a boot configuration.
fn is_bootconfig(input: &mut Input<'_>) -> Result<bool, InitramfsError> {
    let rest = input
        .peek(BOOTCONFIG_MAX)
        .map_err(|source| InitramfsError::Read { source })?;
    Ok(rest.len() < BOOTCONFIG_MAX && rest.ends_with(BOOTCONFIG))
}

/// Tells a file that cannot be read from one that is too short, and both from a damaged one.
fn explain(
    fault: Fault,
    input: &mut Input<'_>,
    (segment, compression): (usize, Compression),
    limits: &Limits,
) -> InitramfsError {
    if let Some(source) = input.take_failure() {
        return InitramfsError::Read { source };
    }
    match fault {
        Fault::Interrupted(source) => InitramfsError::Interrupted { source },
        Fault::Limit(limit) => InitramfsError::TooLarge {
            limit,
            maximum: limits.maximum(limit),
        },
        Fault::Damaged(source) if !input.starved() => InitramfsError::Damaged {
            segment,
            compression,
            source,
        },
        Fault::Damaged(_) | Fault::Ended => InitramfsError::Truncated {
            segment,
            compression,
        },
    }
}
