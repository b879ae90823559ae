//! The image that the user names. It is opened for reading and never written.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use byoi_agent::interrupt;
use sha2::{Digest, Sha256};

use super::copy::{CHUNK, Extents};
use super::disk_map::DiskMap;
use super::error::ImageError;
use super::host_file::{HostFile, Stamp};
use super::opening::Opening;
use super::probe::Format;
use super::spool::{Spool, hexadecimal};
use super::window::Window;
use crate::progress::Narrator;
use crate::units::{SECTOR_SIZE, byte_len};

/// The path that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Input {
    /// The image; `-` is standard input.
    pub path: PathBuf,
    /// Whether the files that a QCOW2 lies on top of may be read.
    pub allow_backing: bool,
    /// Which disk of an archive, from 1.
    pub disk: Option<NonZeroUsize>,
}

impl Input {
    /// An image that is whole by itself.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            allow_backing: false,
            disk: None,
        }
    }
}

/// A disk image, open for reading.
#[derive(Debug)]
pub struct SourceImage {
    pub(super) path: PathBuf,
    /// What is read: first the file that was named, unless that is standard input.
    pub(super) files: Vec<HostFile>,
    /// What standard input is, and the SHA-256 of what came from there.
    pub(super) standard_input: Option<(Stamp, String)>,
    pub(super) format: Format,
    pub(super) containers: Vec<&'static str>,
    pub(super) size: u64,
    pub(super) content: Content,
    /// How many snapshots are in it beside the present state.
    pub(super) snapshots: u32,
    /// The files that it lies on top of.
    pub(super) backing: Vec<PathBuf>,
}

/// Where the disk is.
#[derive(Debug)]
pub(super) enum Content {
    /// In the first bytes of a file.
    Plain {
        /// The file.
        window: Window,
        /// Whether it has no name and nobody else reads it.
        private: bool,
    },
    /// Anywhere in one or more files, the lowest first.
    Mapped(Vec<Layer>),
}

/// An image, whose pieces lie on those of the layer below.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) window: Window,
    pub(super) map: Box<dyn DiskMap>,
}

impl SourceImage {
    /// Opens a disk for reading. What has to be unpacked first is unpacked into `workdir`.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: as [`SourceImage::open_any`], or it is empty or does not consist of whole
    /// sectors.
    pub fn open(input: &Input, workdir: &Path, narrator: Narrator) -> Result<Self, ImageError> {
        let source = Self::open_any(input, workdir, narrator)?;
        let (path, size) = (source.path.clone(), source.size);
        if size == 0 {
            return Err(ImageError::Empty { path });
        }
        if !size.is_multiple_of(SECTOR_SIZE) {
            return Err(ImageError::PartialSector { path, size });
        }
        Ok(source)
    }

    /// Opens data of any size for reading.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: it is not there, is no regular file or block device, is a block device in
    /// use, is damaged, or is of a kind that is refused or not read.
    pub fn open_any(input: &Input, workdir: &Path, narrator: Narrator) -> Result<Self, ImageError> {
        Opening::of(input, Spool { workdir, narrator })?.finish()
    }

    /// The path that it was named by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The format of the disk.
    pub fn format(&self) -> Format {
        self.format
    }

    /// In what the disk was packed, the outermost first: `gzip`, `xz`, `zstd`, `ova`.
    pub fn containers(&self) -> &[&'static str] {
        &self.containers
    }

    /// Whether `other` names a file that is read here, by whatever name or link: then it is no
    /// place for an output. A path that leads nowhere is another file.
    ///
    /// # Errors
    ///
    /// [`ImageError::Io`]: the status of `other` cannot be read.
    pub fn is_same_file(&self, other: &Path) -> Result<bool, ImageError> {
        let stamps = self.files.iter().map(HostFile::stamp);
        let mut stamps = stamps.chain(self.standard_input.iter().map(|(stamp, _)| *stamp));
        match fs::metadata(other) {
            Ok(metadata) => {
                let other = Stamp::of(&metadata);
                Ok(stamps.any(|stamp| stamp.same_object(other)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ImageError::Io {
                action: "reading the status of",
                path: other.to_owned(),
                source,
            }),
        }
    }

    /// An error if a file is not what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), ImageError> {
        self.files.iter().try_for_each(HostFile::check_unchanged)
    }

    /// The bytes that a copy of a plain disk occupies at most.
    pub(super) fn allocated(&self) -> Result<u64, ImageError> {
        // The disk is in the last file: a descriptor may come before it.
        let file = self.files.last().map(HostFile::allocated).transpose()?;
        Ok(file.map_or(self.size, |allocated| allocated.min(self.size)))
    }

    /// The SHA-256 of the file that was named, as lower-case hexadecimal digits. Holes are not
    /// read.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: a read fails, a signal arrives, or the image changes meanwhile.
    pub fn sha256(&self, narrator: Narrator) -> Result<String, ImageError> {
        const ACTION: &str = "hashing";
        let file = match (&self.standard_input, self.files.first()) {
            (None, Some(file)) => file,
            (digest, _) => {
                return Ok(digest
                    .as_ref()
                    .map(|(_, digest)| digest.clone())
                    .unwrap_or_default());
            }
        };
        let io_error = |error| ImageError::of_io(ACTION, &self.path, error);
        let size = file.window().len();
        let mut task = narrator.bytes(ACTION, size);
        let mut hash = Sha256::new();
        let zeros = vec![0; CHUNK];
        let mut buffer = vec![0; CHUNK];
        let mut position = 0;
        // The hole after the last extent is an extent of no bytes at the end.
        let end = std::iter::once(Ok((size, size)));
        for extent in Extents::between(file.file(), 0, size).chain(end) {
            let (start, end) = extent.map_err(io_error)?;
            while position < end {
                interrupt::check().map_err(|error| io_error(error.into()))?;
                let stop = if position < start { start } else { end };
                let len = usize::try_from(stop - position).map_or(CHUNK, |left| left.min(CHUNK));
                if position < start {
                    hash.update(&zeros[..len]);
                } else {
                    file.file()
                        .read_exact_at(&mut buffer[..len], position)
                        .map_err(io_error)?;
                    hash.update(&buffer[..len]);
                }
                position += byte_len(len);
                task.advance_to(position);
            }
        }
        self.check_unchanged()?;
        Ok(hexadecimal(hash))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use byoi_agent::cmd::Cmd;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn open(path: &Path) -> Result<SourceImage, ImageError> {
        SourceImage::open(&Input::of(path), Path::new("/nowhere"), Narrator::Silent)
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("empty"), b"").unwrap();
        fs::write(path("short"), [1; 513]).unwrap();
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        for (name, expected) in [
            ("", "is a directory, not a disk image"),
            ("pipe", "is a special file, not a disk image"),
            ("missing", "opening"),
            ("empty", "is empty"),
            ("short", "513 bytes, which is no multiple of 512"),
        ] {
            let error = open(&path(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn the_source_is_known_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("disk"), [1; 512]).unwrap();
        fs::write(path("other"), [1; 512]).unwrap();
        fs::hard_link(path("disk"), path("hard")).unwrap();
        symlink(path("disk"), path("soft")).unwrap();
        let source = open(&path("disk")).unwrap();
        for (name, expected) in [
            ("disk", true),
            ("hard", true),
            ("soft", true),
            ("other", false),
            ("missing", false),
        ] {
            assert_eq!(
                source.is_same_file(&path(name)).unwrap(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn the_digest_is_that_of_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        // Data, a hole, data that ends amid a chunk, and a hole at the end.
        file.set_len(9 * 1024 * 1024 + 512).unwrap();
        file.write_all_at(&[7; 5000], 0).unwrap();
        file.write_all_at(&[9; 70_000], 4 * 1024 * 1024 - 100)
            .unwrap();
        let output = Cmd::new("sha256sum").arg(&path).run().unwrap();
        let expected = String::from_utf8(output.stdout).unwrap();
        let source = open(&path).unwrap();
        let digest = source.sha256(Narrator::Silent).unwrap();
        assert_eq!(Some(digest.as_str()), expected.split(' ').next());
    }

    #[test]
    fn a_change_during_the_run_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::write(&path, [1; 512]).unwrap();
        let source = open(&path).unwrap();
        source.check_unchanged().unwrap();
        fs::write(&path, [1; 1024]).unwrap();
        assert!(matches!(
            source.check_unchanged(),
            Err(ImageError::Changed { .. })
        ));
    }
}
