//! How much of an initramfs is worth reading: an image from a stranger's disk may be a bomb.

use std::fmt;

/// How much an image may hold before it is refused. Every number is checked while streaming.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all segments together, decompressed, padding included.
    pub unpacked: u64,
    /// Entries of all archives, counting those that replace each other.
    pub entries: u64,
    /// Segments of the image.
    pub segments: u64,
    /// Bytes of one path or of one symbolic link's target.
    pub name: u64,
    /// Bytes of one file whose content is wanted.
    pub file: u64,
    /// Bytes kept in memory: paths, link targets and wanted contents.
    pub kept: u64,
}

impl Default for Limits {
    /// 2 GiB unpacked, 200,000 entries, 1,000 segments, names up to the kernel's `PATH_MAX`, 4 MiB
    /// for each file and 64 MiB in all: several times what the largest generic images need.
    fn default() -> Self {
        Self {
            unpacked: 2 << 30,
            entries: 200_000,
            segments: 1000,
            name: 4096,
            file: 4 << 20,
            kept: 64 << 20,
        }
    }
}

impl Limits {
    /// The number that stands for this limit.
    pub fn maximum(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Unpacked => self.unpacked,
            Limit::Entries => self.entries,
            Limit::Segments => self.segments,
            Limit::Name => self.name,
            Limit::File => self.file,
            Limit::Kept => self.kept,
        }
    }
}

/// One of the [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::unpacked`].
    Unpacked,
    /// [`Limits::entries`].
    Entries,
    /// [`Limits::segments`].
    Segments,
    /// [`Limits::name`].
    Name,
    /// [`Limits::file`].
    File,
    /// [`Limits::kept`].
    Kept,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unpacked => "unpacked bytes",
            Self::Entries => "entries",
            Self::Segments => "segments",
            Self::Name => "bytes in a path or link target",
            Self::File => "bytes in a file to keep",
            Self::Kept => "bytes kept in memory",
        })
    }
}

/// Counts what an image holds against the limits.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    limits: &'a Limits,
    unpacked: u64,
    entries: u64,
    kept: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            unpacked: 0,
            entries: 0,
            kept: 0,
        }
    }

    /// How many entries were counted.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Counts one more entry.
    pub(super) fn entry(&mut self) -> Result<(), Limit> {
        self.entries += 1;
        self.check(Limit::Entries, self.entries)
    }

    /// Counts bytes that were unpacked.
    pub(super) fn unpack(&mut self, length: usize) -> Result<(), Limit> {
        self.unpacked = self.unpacked.saturating_add(to_u64(length));
        self.check(Limit::Unpacked, self.unpacked)
    }

    /// Counts bytes that are to stay in memory.
    pub(super) fn keep(&mut self, length: usize) -> Result<(), Limit> {
        self.kept = self.kept.saturating_add(to_u64(length));
        self.check(Limit::Kept, self.kept)
    }

    /// Checks what one entry claims to have.
    pub(super) fn claim(&self, limit: Limit, length: usize) -> Result<(), Limit> {
        self.check(limit, to_u64(length))
    }

    fn check(&self, limit: Limit, amount: u64) -> Result<(), Limit> {
        if amount > self.limits.maximum(limit) {
            Err(limit)
        } else {
            Ok(())
        }
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
