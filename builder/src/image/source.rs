//! The image that the user names. It is opened for reading and never written.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use byoi_agent::interrupt;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use sha2::{Digest, Sha256};

use super::container::{Container, PROBE_LEN};
use super::copy::Extents;
use super::error::ImageError;
use crate::layout::{Layout, LayoutError};
use crate::progress::Narrator;
use crate::units::{SECTOR_SIZE, byte_len};

/// How much is read at a time, in bytes.
const CHUNK: usize = 1024 * 1024;

/// A raw disk image, or a block device that nobody has mounted, open for reading.
#[derive(Debug)]
pub struct SourceImage {
    file: File,
    path: PathBuf,
    size: u64,
    stamp: Stamp,
}

/// What tells one state of one file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    /// The device that a block device node stands for.
    rdev: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            rdev: if metadata.file_type().is_block_device() {
                metadata.rdev()
            } else {
                0
            },
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn same_object(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
            || (self.rdev != 0 && self.rdev == other.rdev)
    }
}

impl SourceImage {
    /// Opens the disk at `path` for reading.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: as [`SourceImage::open_any`], or it is empty or does not consist of whole
    /// sectors.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let source = Self::open_any(path)?;
        let (path, size) = (path.to_owned(), source.size);
        if size == 0 {
            return Err(ImageError::Empty { path });
        }
        if !size.is_multiple_of(SECTOR_SIZE) {
            return Err(ImageError::PartialSector { path, size });
        }
        Ok(source)
    }

    /// Opens raw data of any size at `path` for reading.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: it is not there, is no regular file or block device, is in a format other
    /// than raw, or is a block device in use.
    pub fn open_any(path: &Path) -> Result<Self, ImageError> {
        let io_error = |action| {
            move |source| ImageError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        // Without O_NONBLOCK, opening a pipe that has no writer would wait for ever.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)
            .map_err(io_error("opening"))?;
        let metadata = file.metadata().map_err(io_error("reading the status of"))?;
        let kind = metadata.file_type();
        if kind.is_block_device() {
            // O_EXCL fails while the device or a partition of it is mounted: such a copy would be
            // torn.
            file = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_EXCL.bits())
                .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
                .map_err(io_error("opening for exclusive use"))?;
        } else if !kind.is_file() {
            return Err(ImageError::NotAnImage {
                path: path.to_owned(),
                kind: if kind.is_dir() {
                    "a directory"
                } else {
                    "a special file"
                },
            });
        }
        if has_writer(&file).map_err(io_error("reading the locks of"))? {
            return Err(ImageError::InUse {
                path: path.to_owned(),
            });
        }
        // The metadata of a block device has no size.
        let size = io::Seek::seek(&mut &file, io::SeekFrom::End(0))
            .map_err(io_error("reading the size of"))?;
        let (head, tail) = ends(&file, size).map_err(io_error("reading"))?;
        if let Some(container) = Container::probe(&head, &tail, size) {
            return Err(ImageError::NotRaw {
                path: path.to_owned(),
                container,
            });
        }
        Ok(Self {
            stamp: Stamp::of(&metadata),
            file,
            path: path.to_owned(),
            size,
        })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what is on the disk.
    ///
    /// # Errors
    ///
    /// [`LayoutError`]: the disk cannot be read.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        Layout::read(&mut &self.file)
    }

    /// Gives up the image for its file and its size in bytes.
    pub(crate) fn into_parts(self) -> (File, u64) {
        (self.file, self.size)
    }

    /// Whether `other` names this very image, by whatever name or link: then it is no place for an
    /// output. A path that leads nowhere is another file.
    ///
    /// # Errors
    ///
    /// [`ImageError::Io`]: the status of `other` cannot be read.
    pub fn is_same_file(&self, other: &Path) -> Result<bool, ImageError> {
        match fs::metadata(other) {
            Ok(metadata) => Ok(self.stamp.same_object(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ImageError::Io {
                action: "reading the status of",
                path: other.to_owned(),
                source,
            }),
        }
    }

    /// The bytes that a copy will occupy at most.
    pub(super) fn allocated(&self) -> Result<u64, ImageError> {
        let metadata = self.metadata()?;
        Ok(if metadata.file_type().is_block_device() {
            self.size
        } else {
            metadata.blocks().saturating_mul(512).min(self.size)
        })
    }

    /// An error if the image is not what it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), ImageError> {
        let metadata = self.metadata()?;
        let same_size = metadata.file_type().is_block_device() || metadata.len() == self.size;
        if same_size && Stamp::of(&metadata) == self.stamp {
            Ok(())
        } else {
            Err(ImageError::Changed {
                path: self.path.clone(),
            })
        }
    }

    fn metadata(&self) -> Result<fs::Metadata, ImageError> {
        self.file.metadata().map_err(|source| ImageError::Io {
            action: "reading the status of",
            path: self.path.clone(),
            source,
        })
    }

    /// The SHA-256 of the whole image as lower-case hexadecimal digits. Holes are not read.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: a read fails, a signal arrives, or the image changes meanwhile.
    pub fn sha256(&self, narrator: Narrator) -> Result<String, ImageError> {
        const ACTION: &str = "hashing";
        let io_error = |source| ImageError::Io {
            action: ACTION,
            path: self.path.clone(),
            source,
        };
        let mut task = narrator.bytes(ACTION, self.size);
        let mut hash = Sha256::new();
        let zeros = vec![0; CHUNK];
        let mut buffer = vec![0; CHUNK];
        let mut position = 0;
        // The hole after the last extent is an extent of no bytes at the end.
        let end = std::iter::once(Ok((self.size, self.size)));
        for extent in Extents::of(&self.file, self.size).chain(end) {
            let (start, end) = extent.map_err(io_error)?;
            while position < end {
                interrupt::check().map_err(|source| ImageError::Interrupted {
                    action: ACTION,
                    path: self.path.clone(),
                    source,
                })?;
                let stop = if position < start { start } else { end };
                let len = usize::try_from(stop - position).map_or(CHUNK, |left| left.min(CHUNK));
                if position < start {
                    hash.update(&zeros[..len]);
                } else {
                    self.file
                        .read_exact_at(&mut buffer[..len], position)
                        .map_err(io_error)?;
                    hash.update(&buffer[..len]);
                }
                position += byte_len(len);
                task.advance_to(position);
            }
        }
        self.check_unchanged()?;
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a string cannot fail.
            write!(text, "{byte:02x}").ok();
        }
        Ok(text)
    }
}

/// Whether QEMU has the image open for writing. It locks byte 100 + N for each permission N that it
/// uses (`block/file-posix.c`): 1 to write, 2 to write what is there already, 3 to resize.
fn has_writer(file: &File) -> io::Result<bool> {
    let short = |value| i16::try_from(value).map_err(io::Error::other);
    let mut lock = libc::flock {
        l_type: short(libc::F_WRLCK)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: 101,
        l_len: 3,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)) {
        Ok(_) => Ok(i32::from(lock.l_type) != libc::F_UNLCK),
        // A file system without locks, and a device, have no such owner.
        Err(Errno::EINVAL | Errno::ENOLCK | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The first and the last bytes of a file, shorter where the file is.
fn ends(file: &File, size: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let len = usize::try_from(size).map_or(PROBE_LEN, |size| size.min(PROBE_LEN));
    let mut head = vec![0; len];
    file.read_exact_at(&mut head, 0)?;
    let mut tail = vec![0; len];
    file.read_exact_at(&mut tail, size - byte_len(len))?;
    Ok((head, tail))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use byoi_agent::cmd::Cmd;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

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
            let error = SourceImage::open(&path(name)).unwrap_err().to_string();
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
        let source = SourceImage::open(&path("disk")).unwrap();
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
        let source = SourceImage::open(&path).unwrap();
        let digest = source.sha256(Narrator::Silent).unwrap();
        assert_eq!(Some(digest.as_str()), expected.split(' ').next());
    }

    #[test]
    fn a_change_during_the_run_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::write(&path, [1; 512]).unwrap();
        let source = SourceImage::open(&path).unwrap();
        source.check_unchanged().unwrap();
        fs::write(&path, [1; 1024]).unwrap();
        assert!(matches!(
            source.check_unchanged(),
            Err(ImageError::Changed { .. })
        ));
    }
}
