//! The cpio archives of all segments, gathered into one tree as the kernel unpacks them.
//!
//! The form is "newc" (`070701`, `070702`) of the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`; checksums are not verified.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead};
use std::sync::Arc;

use super::limits::{Limit, Limits, Meter};
use super::{Entry, Kind};
use crate::interrupt::{self, Interrupted};

/// The length of a header, in bytes.
const HEADER: usize = 110;
/// Where in the header the length of the name is: eight hexadecimal digits.
const NAME_LENGTH: std::ops::Range<usize> = 94..102;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// The file type in a mode.
const TYPE: u32 = 0o170_000;

/// Why an archive could not be read to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// The stream ended before the archive did.
    Ended,
    /// The stream or the archive in it is damaged.
    Damaged(io::Error),
    /// There is more of it than allowed.
    Limit(Limit),
    /// A signal arrived.
    Interrupted(Interrupted),
}

impl Fault {
    pub(super) fn damaged(what: &'static str) -> Self {
        Self::Damaged(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Interrupted> for Fault {
    fn from(source: Interrupted) -> Self {
        Self::Interrupted(source)
    }
}

/// The data of a file, kept or only measured.
#[derive(Clone)]
struct Data {
    size: u64,
    content: Option<Arc<[u8]>>,
}

/// The names of one file: all but one of its entries carry no data.
#[derive(Default)]
struct Links {
    wanted: bool,
    waiting: Vec<String>,
    data: Option<Data>,
}

/// What has been read so far.
pub(super) struct Gatherer<'a> {
    meter: Meter<'a>,
    wanted: &'a dyn Fn(&str) -> bool,
    entries: BTreeMap<String, Entry>,
    links: HashMap<(u32, u32, u32), Links>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(limits: &'a Limits, wanted: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            meter: Meter::new(limits),
            wanted,
            entries: BTreeMap::new(),
            links: HashMap::new(),
        }
    }

    pub(super) fn into_entries(self) -> BTreeMap<String, Entry> {
        self.entries
    }

    /// How many entries were read, counting those that were replaced.
    pub(super) fn seen(&self) -> u64 {
        self.meter.entries()
    }

    /// Counts bytes of zero padding that were skipped outside an archive.
    pub(super) fn count_padding(&mut self, length: usize) -> Result<(), Fault> {
        interrupt::check()?;
        Ok(self.meter.unpack(length)?)
    }

    /// Reads one archive, up to and including its trailer.
    pub(super) fn archive(&mut self, stream: &mut dyn BufRead) -> Result<(), Fault> {
        self.links.clear();
        let mut header = Vec::new();
        loop {
            header.clear();
            self.take(stream, HEADER, &mut header)?;
            let name = self.name(stream, &mut header)?;
            let reader = cpio::newc::Reader::new(header.as_slice()).map_err(Fault::Damaged)?;
            let fields = reader.entry();
            if name == TRAILER {
                self.skip(stream, fields.file_size())?;
                return Ok(());
            }
            self.meter.entry()?;
            self.entry(stream, &name, fields)?;
        }
    }

    /// Appends the name and its padding to the header, and says the name.
    ///
    /// What is not UTF-8 becomes question marks: no path of interest has such bytes, and one odd
    /// file must not hide the others.
    fn name(&mut self, stream: &mut dyn BufRead, header: &mut Vec<u8>) -> Result<String, Fault> {
        let length = header
            .get(NAME_LENGTH)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .ok_or_else(|| Fault::damaged("a cpio header is not hexadecimal"))?;
        self.meter.claim(Limit::Name, length)?;
        self.take(stream, length, header)?;
        let name = &mut header[HEADER..];
        while let Err(error) = std::str::from_utf8(name) {
            name[error.valid_up_to()] = b'?';
        }
        let text = String::from_utf8_lossy(name);
        // As for the kernel, a name ends at its first zero byte; some archivers pad with more.
        let text = text.split('\0').next().unwrap_or_default().to_owned();
        self.take(stream, padding(HEADER + length), header)?;
        Ok(text)
    }

    /// Reads what follows the name of an entry.
    fn entry(
        &mut self,
        stream: &mut dyn BufRead,
        name: &str,
        fields: &cpio::newc::Entry,
    ) -> Result<(), Fault> {
        let path = normalise(name);
        self.meter.keep(path.len())?;
        let mut data = Data {
            size: fields.file_size().into(),
            content: None,
        };
        let kind = match fields.mode() & TYPE {
            0o100_000 if fields.nlink() > 1 => {
                data = self.linked_file(stream, &path, fields)?;
                Kind::File
            }
            0o100_000 => {
                let wanted = (self.wanted)(&path);
                data.content = self.content(stream, fields.file_size(), wanted)?;
                Kind::File
            }
            0o120_000 => {
                self.meter
                    .claim(Limit::Name, to_usize(fields.file_size()))?;
                let target = self.bytes(stream, fields.file_size())?;
                Kind::Symlink(String::from_utf8_lossy(&target).into_owned())
            }
            other => {
                self.skip(stream, fields.file_size())?;
                match other {
                    0o040_000 => Kind::Dir,
                    0o020_000 | 0o060_000 => Kind::Device,
                    _ => Kind::Other,
                }
            }
        };
        // The root directory itself has no path.
        if !path.is_empty() {
            let entry = Entry {
                kind,
                size: data.size,
                mode: fields.mode(),
                content: data.content,
            };
            self.entries.insert(path, entry);
        }
        Ok(())
    }

    /// Reads one name of a file that has several; its data may have come, or come later.
    fn linked_file(
        &mut self,
        stream: &mut dyn BufRead,
        path: &str,
        fields: &cpio::newc::Entry,
    ) -> Result<Data, Fault> {
        let key = (fields.dev_major(), fields.dev_minor(), fields.ino());
        let mut links = self.links.remove(&key).unwrap_or_default();
        links.wanted |= (self.wanted)(path);
        if fields.file_size() > 0 {
            let data = Data {
                size: fields.file_size().into(),
                content: self.content(stream, fields.file_size(), links.wanted)?,
            };
            for earlier in links.waiting.drain(..) {
                if let Some(entry) = self.entries.get_mut(&earlier) {
                    entry.size = data.size;
                    entry.content.clone_from(&data.content);
                }
            }
            links.data = Some(data);
        } else if links.data.is_none() {
            links.waiting.push(path.to_owned());
        }
        let data = links.data.clone().unwrap_or_else(|| Data {
            size: 0,
            content: links.wanted.then(|| Arc::from([])),
        });
        self.links.insert(key, links);
        Ok(data)
    }

    /// Reads a file's data and its padding, and keeps it where wanted.
    fn content(
        &mut self,
        stream: &mut dyn BufRead,
        size: u32,
        wanted: bool,
    ) -> Result<Option<Arc<[u8]>>, Fault> {
        if !wanted {
            self.skip(stream, size)?;
            return Ok(None);
        }
        self.meter.claim(Limit::File, to_usize(size))?;
        Ok(Some(self.bytes(stream, size)?.into()))
    }

    /// Reads and keeps data that is within its own limit, and skips its padding.
    fn bytes(&mut self, stream: &mut dyn BufRead, size: u32) -> Result<Vec<u8>, Fault> {
        let size = to_usize(size);
        self.meter.keep(size)?;
        let mut bytes = Vec::new();
        self.take(stream, size, &mut bytes)?;
        self.drop_bytes(stream, padding(size))?;
        Ok(bytes)
    }

    /// Skips data and its padding.
    fn skip(&mut self, stream: &mut dyn BufRead, size: u32) -> Result<(), Fault> {
        let size = to_usize(size);
        self.drop_bytes(stream, size)?;
        self.drop_bytes(stream, padding(size))
    }

    fn take(
        &mut self,
        stream: &mut dyn BufRead,
        count: usize,
        sink: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.pass(stream, count, &mut |bytes| sink.extend_from_slice(bytes))
    }

    fn drop_bytes(&mut self, stream: &mut dyn BufRead, count: usize) -> Result<(), Fault> {
        self.pass(stream, count, &mut |_| {})
    }

    /// Hands the next `count` bytes on, as they arrive: nothing is allocated for what an entry
    /// merely claims to have.
    fn pass(
        &mut self,
        stream: &mut dyn BufRead,
        mut count: usize,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Fault> {
        while count > 0 {
            interrupt::check()?;
            let available = stream.fill_buf().map_err(Fault::Damaged)?;
            if available.is_empty() {
                return Err(Fault::Ended);
            }
            let length = available.len().min(count);
            sink(&available[..length]);
            stream.consume(length);
            count -= length;
            self.meter.unpack(length)?;
        }
        Ok(())
    }
}

/// Headers and data are padded to multiples of four bytes.
fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

fn to_usize(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// A path relative to the root, with nothing in it that does not name something. As in the kernel,
/// whose root is the archive's, `..` does not lead out.
fn normalise(name: &str) -> String {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_names_nothing() {
        for (name, path) in [
            (".", ""),
            ("./etc/fstab", "etc/fstab"),
            ("/etc//fstab", "etc/fstab"),
            ("etc/./fstab/", "etc/fstab"),
            ("../../etc/passwd", "etc/passwd"),
            ("usr/lib/../../etc", "etc"),
            ("a..b/..c", "a..b/..c"),
        ] {
            assert_eq!(normalise(name), path, "{name}");
        }
    }

    #[test]
    fn padding_reaches_the_next_multiple_of_four() {
        for (length, pad) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (110, 2)] {
            assert_eq!(padding(length), pad, "{length}");
        }
    }
}
