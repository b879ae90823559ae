//! The one door to guest files.
//!
//! A guest image is hostile: its links point anywhere, its files may be devices. Every access
//! starts at a held directory descriptor and goes through `openat2(2)` with `RESOLVE_IN_ROOT` and
//! `RESOLVE_NO_MAGICLINKS`, so an absolute link or a chain of `..` ends inside the guest root.
//! A kernel before 5.6 has no `openat2`: there the running system's own `/` is opened plainly, for
//! nothing lies outside of it, and any other root is refused.
//! [`GuestRoot`] reads; [`GuestRootMut`] writes, and only `apply` and `restore` hold one.

mod attributes;
mod confinement;
mod path;
mod put;
mod swap;
mod write;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use rustix::fs::{IFlags, ioctl_getflags};
use xattr::FileExt as _;

use confinement::Confinement;

pub use attributes::{Attributes, Timestamp};
pub use path::GuestPath;
pub use swap::{COPY, INCOMPLETE};
pub use write::{GuestRootMut, next_data};

use crate::error::Error;
use crate::guest::Owner;

/// How many links a path may lead through, as in the kernel.
const MAX_LINKS: usize = 40;
/// The most entries of one directory that are read.
const MAX_ENTRIES: usize = 100_000;

/// How many siblings of a new file are asked for their label.
const MAX_SIBLINGS: usize = 500;
/// The attribute that holds a SELinux label.
pub const LABEL: &str = "security.selinux";

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, FIFO or socket: never opened.
    Special,
}

impl FileKind {
    /// What `stat(2)` says that it is.
    pub fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Self::Regular,
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFLNK => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// A guest's file system, for reading.
#[derive(Debug)]
pub struct GuestRoot {
    dir: OwnedFd,
    path: PathBuf,
    confinement: Confinement,
}

impl GuestRoot {
    /// Opens the directory that is the guest's `/`.
    ///
    /// # Errors
    ///
    /// It is not a directory that can be opened, or the kernel has no `openat2` and it is another
    /// root than the running system's.
    #[expect(clippy::disallowed_methods, reason = "the root itself is a host path")]
    pub fn open(path: &Path) -> Result<Self, Error> {
        let dir = std::fs::File::open(path).map_err(Error::io("opening", &path.display()))?;
        let confinement = Confinement::of(dir.as_fd(), path)?;
        Self::open_confined(dir, path, confinement)
    }

    fn open_confined(dir: File, path: &Path, confinement: Confinement) -> Result<Self, Error> {
        let root = Self {
            dir: dir.into(),
            path: path.to_owned(),
            confinement,
        };
        root.open_at(&GuestPath::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)
            .map_err(|errno| Error::io("opening", &path.display())(errno.into()))?;
        Ok(root)
    }

    /// The host path that it was opened by.
    pub fn host_path(&self) -> &Path {
        &self.path
    }

    /// Follows every link in a path, inside the root. What does not exist stays as it is named, so
    /// that the path can be created; so does a path whose links form a loop, which leads nowhere.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn resolve(&self, path: &GuestPath) -> Result<GuestPath, Error> {
        self.follow(path, true)
    }

    /// Follows every link in a path but the last.
    ///
    /// # Errors
    ///
    /// As [`GuestRoot::resolve`].
    pub fn resolve_parent(&self, path: &GuestPath) -> Result<GuestPath, Error> {
        self.follow(path, false)
    }

    fn follow(&self, path: &GuestPath, last: bool) -> Result<GuestPath, Error> {
        if self.is_free_of_links(path, last) {
            return Ok(path.clone());
        }
        let mut links = 0;
        let mut done = GuestPath::new("/");
        let mut pending = components(path.as_path());
        while let Some(name) = pending.pop() {
            // `done` holds no links, so that `..` means its parent.
            let next = done.join(&name);
            let target = if name != ".." && (last || !pending.is_empty()) {
                self.read_link(&next)?
            } else {
                None
            };
            let Some(target) = target else {
                done = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Ok(path.clone());
            }
            if target.is_absolute() {
                done = GuestPath::new("/");
            }
            pending.extend(components(&target));
        }
        Ok(done)
    }

    /// Whether a path leads where it says, as far as it exists. Most do, and this asks the kernel
    /// once; where it cannot tell, the answer is no.
    fn is_free_of_links(&self, path: &GuestPath, last: bool) -> bool {
        let (dir, path) = (self.dir.as_fd(), path.relative());
        match self.confinement.open_without_links(dir, path) {
            Ok(fd) => {
                !last || fstat(&fd).is_ok_and(|stat| FileKind::of(&stat) != FileKind::Symlink)
            }
            Err(errno) => errno == Errno::ENOENT,
        }
    }

    /// Where a link leads; `None` where there is no link.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read_link(&self, path: &GuestPath) -> Result<Option<PathBuf>, Error> {
        let fd = match self.open_at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(Error::io("opening", path)(errno.into())),
        };
        let stat = fstat(&fd).map_err(|errno| Error::io("examining", path)(errno.into()))?;
        if FileKind::of(&stat) != FileKind::Symlink {
            return Ok(None);
        }
        readlinkat(&fd, "")
            .map(|target| Some(target.into()))
            .map_err(|errno| Error::io("reading the link", path)(errno.into()))
    }

    /// What a path is, the last link not followed; `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn kind(&self, path: &GuestPath) -> Result<Option<FileKind>, Error> {
        Ok(self.stat(path)?.map(|stat| FileKind::of(&stat)))
    }

    /// Who has a path, the last link not followed, and with which permissions; `None` where there is
    /// nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn permissions(&self, path: &GuestPath) -> Result<Option<Owner>, Error> {
        Ok(self.stat(path)?.map(|stat| Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
        }))
    }

    /// Opens a regular file, links followed inside the root; `None` where there is none. Devices,
    /// FIFOs and sockets are never opened.
    ///
    /// # Errors
    ///
    /// The file could not be opened.
    pub fn open_file(&self, path: &GuestPath) -> Result<Option<File>, Error> {
        let path = self.resolve(path)?;
        if self.kind(&path)? != Some(FileKind::Regular) {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match self.open_at(&path, flags) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(Error::io("opening", &path)(errno.into())),
        };
        let metadata = file.metadata().map_err(Error::io("examining", &path))?;
        Ok(metadata.is_file().then_some(file))
    }

    /// The content of a regular file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// It holds more than `limit` bytes, or could not be read.
    pub fn read(&self, path: &GuestPath, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(path)? else {
            return Ok(None);
        };
        let size = file.metadata().map_err(Error::io("examining", path))?.len();
        let mut content = Vec::with_capacity(size.min(limit).try_into().unwrap_or(0));
        let taken = file
            .take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(Error::io("reading", path))?;
        if u64::try_from(taken).is_ok_and(|taken| taken <= limit) {
            Ok(Some(content))
        } else {
            Err(Error::TooLarge {
                path: path.to_string(),
                limit,
            })
        }
    }

    /// The SELinux label of a regular file or directory, links followed; `None` where there is
    /// neither, or it has none. What the policy of the running system does not know shows as
    /// `unlabeled_t`.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn label(&self, path: &GuestPath) -> Result<Option<Vec<u8>>, Error> {
        let path = self.resolve(path)?;
        let file = match self.kind(&path)? {
            Some(FileKind::Regular) => self.open_file(&path)?,
            Some(FileKind::Directory) => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
                self.open_at(&path, flags).ok().map(File::from)
            }
            _ => None,
        };
        match file.map(|file| file.get_xattr(LABEL)).transpose() {
            Ok(label) => Ok(label.flatten()),
            Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => Ok(None),
            Err(error) => Err(Error::io("reading the label of", &path)(error)),
        }
    }

    /// The SELinux label that a file which is not there yet shall have: the one that most files of
    /// its kind beside it have, else that of the nearest directory, as the kernel would choose.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn label_of_new(&self, path: &GuestPath) -> Result<Option<Vec<u8>>, Error> {
        let Some(mut dir) = path.parent() else {
            return Ok(None);
        };
        let kind = path.as_path().extension();
        let mut labels: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for name in self.list(&dir)?.into_iter().take(MAX_SIBLINGS) {
            let sibling = dir.join(&name);
            let alike = sibling.as_path().extension() == kind && sibling != *path;
            if alike
                && self.kind(&sibling)? == Some(FileKind::Regular)
                && let Some(label) = self.label(&sibling)?
            {
                *labels.entry(label).or_default() += 1;
            }
        }
        if let Some((label, _)) = labels.into_iter().max_by_key(|(_, count)| *count) {
            return Ok(Some(label));
        }
        while self.kind(&dir)?.is_none() {
            let Some(above) = dir.parent() else {
                break;
            };
            dir = above;
        }
        self.label(&dir)
    }

    /// Whether a regular file, links followed, is marked so that not even root changes it
    /// (`chattr +i`). A file system without such marks has none.
    ///
    /// # Errors
    ///
    /// The file could not be opened.
    pub fn is_immutable(&self, path: &GuestPath) -> Result<bool, Error> {
        Ok(self
            .open_file(path)?
            .and_then(|file| ioctl_getflags(file).ok())
            .is_some_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND)))
    }

    /// The names in a directory, sorted; empty where there is no such directory.
    ///
    /// # Errors
    ///
    /// The directory could not be read, or holds too many entries.
    pub fn list(&self, path: &GuestPath) -> Result<Vec<OsString>, Error> {
        let fd = match self.open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(Vec::new()),
            Err(errno) => return Err(Error::io("opening", path)(errno.into())),
        };
        let failed = |errno: Errno| Error::io("listing", path)(errno.into());
        let mut names = Vec::new();
        for entry in Dir::from_fd(fd).map_err(failed)?.iter() {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == MAX_ENTRIES {
                return Err(Error::TooLarge {
                    path: path.to_string(),
                    limit: MAX_ENTRIES.try_into().unwrap_or(u64::MAX),
                });
            }
            names.push(OsString::from_vec(name));
        }
        names.sort();
        Ok(names)
    }

    /// The size of a regular file in bytes, links followed; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn size(&self, path: &GuestPath) -> Result<Option<u64>, Error> {
        let stat = self.stat(&self.resolve(path)?)?;
        Ok(stat
            .filter(|stat| FileKind::of(stat) == FileKind::Regular)
            .and_then(|stat| u64::try_from(stat.st_size).ok()))
    }

    /// How many bytes are free for everybody in the file system that holds a directory; `None`
    /// where there is no such directory.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn free_space(&self, dir: &GuestPath) -> Result<Option<u64>, Error> {
        let dir = self.resolve(dir)?;
        let fd = match self.open_at(&dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(Error::io("opening", &dir)(errno.into())),
        };
        let space = fstatvfs(&fd).map_err(|errno| Error::io("examining", &dir)(errno.into()))?;
        Ok(Some(
            space
                .blocks_available()
                .saturating_mul(space.fragment_size()),
        ))
    }

    /// Whether there is a directory, and its file system lets programs run.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn runs_programs(&self, dir: &GuestPath) -> Result<bool, Error> {
        let dir = self.resolve(dir)?;
        let fd = match self.open_at(&dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
            Err(errno) => return Err(Error::io("opening", &dir)(errno.into())),
        };
        let volume = fstatvfs(&fd).map_err(|errno| Error::io("examining", &dir)(errno.into()))?;
        Ok(!volume.flags().contains(FsFlags::ST_NOEXEC))
    }

    fn stat(&self, path: &GuestPath) -> Result<Option<FileStat>, Error> {
        let fd = match self.open_at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(Error::io("opening", path)(errno.into())),
        };
        fstat(&fd)
            .map(Some)
            .map_err(|errno| Error::io("examining", path)(errno.into()))
    }

    fn open_at(&self, path: &GuestPath, flags: OFlag) -> Result<OwnedFd, Errno> {
        self.confinement
            .open(self.dir.as_fd(), path.relative(), flags)
    }
}

/// The components of a path, `..` among them, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| component.as_os_str().to_owned())
        .collect();
    names.reverse();
    names
}
