//! A file or device of the host that is read: opened with care, and known again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use super::error::ImageError;
use super::window::Window;

/// What tells one state of one file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// The device that a block device node stands for.
    rdev: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
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

    pub(super) fn same_object(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
            || (self.rdev != 0 && self.rdev == other.rdev)
    }
}

/// Whether a symbolic link in the place of a file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// The user named it.
    Follow,
    /// An image named it.
    Refuse,
}

/// A regular file, or a block device that nobody has mounted, open for reading.
#[derive(Debug)]
pub(super) struct HostFile {
    file: Arc<File>,
    path: PathBuf,
    size: u64,
    stamp: Stamp,
}

impl HostFile {
    /// Opens `path` for reading.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: it is not there, is no regular file or block device, is a block device in
    /// use, or a virtual machine has it open for writing.
    pub(super) fn open(path: &Path, links: Links) -> Result<Self, ImageError> {
        let io_error = |action| {
            move |source| ImageError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        // Without O_NONBLOCK, opening a pipe that has no writer would wait for ever.
        let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        if links == Links::Refuse {
            flags |= OFlag::O_NOFOLLOW;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(io_error("opening"))?;
        let metadata = file.metadata().map_err(io_error("reading the status of"))?;
        let kind = metadata.file_type();
        if kind.is_block_device() && links == Links::Follow {
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
        Ok(Self {
            stamp: Stamp::of(&metadata),
            file: Arc::new(file),
            path: path.to_owned(),
            size,
        })
    }

    /// The open file.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// All of its bytes.
    pub(super) fn window(&self) -> Window {
        Window::of(Arc::clone(&self.file), self.size)
    }

    /// What it was when it was opened.
    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The bytes that a copy of all of it occupies at most.
    pub(super) fn allocated(&self) -> Result<u64, ImageError> {
        let metadata = self.metadata()?;
        Ok(if metadata.file_type().is_block_device() {
            self.size
        } else {
            metadata.blocks().saturating_mul(512).min(self.size)
        })
    }

    /// An error if it is not what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), ImageError> {
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
