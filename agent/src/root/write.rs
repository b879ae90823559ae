//! Writing into a guest root.
//!
//! A file is replaced atomically: the new content goes to a temporary file in the same directory,
//! which takes over mode, owner and extended attributes (SELinux label, ACL, capabilities), is
//! synchronised and renamed over the old one. What the old file held is then overwritten, unless
//! another hard link still names it: unlinking alone would leave MACs and secrets in free space. A
//! program that runs is unlinked and no more: the kernel lets nobody write to it, and a program's text
//! is no secret of this machine.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, symlinkat, unlinkat};
use rustix::fs::SeekFrom;
use xattr::FileExt as _;

use super::{FileKind, GuestPath, GuestRoot, LABEL};
use crate::error::Error;
use crate::failpoint;
use crate::guest::Owner;

/// The name of the temporary file beside the one that is replaced.
pub(super) const TEMPORARY: &str = ".byoi-new";
/// How much is overwritten at once, in bytes.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Attributes that the kernel keeps for itself.
pub(super) const KERNEL_ATTRIBUTES: [&str; 2] = ["security.ima", "security.evm"];

/// A guest's file system, for writing. Only `apply` and `restore` hold one.
#[derive(Debug)]
pub struct GuestRootMut {
    root: GuestRoot,
}

impl GuestRootMut {
    /// Opens the directory that is the guest's `/`.
    ///
    /// # Errors
    ///
    /// As [`GuestRoot::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: GuestRoot::open(path)?,
        })
    }

    /// The same root, for reading.
    pub fn reader(&self) -> &GuestRoot {
        &self.root
    }

    /// Replaces a file, which keeps mode, owner and extended attributes.
    ///
    /// # Errors
    ///
    /// The old file is still there, whole, if this fails.
    pub fn replace(&self, path: &GuestPath, content: &[u8]) -> Result<(), Error> {
        self.write(path, content, None)
    }

    /// Makes a file, and its directory where that is missing. Both get the SELinux label that fits
    /// their place; without an owner it is root's, readable by all.
    ///
    /// # Errors
    ///
    /// There is no such file if this fails.
    pub fn create(
        &self,
        path: &GuestPath,
        content: &[u8],
        owner: Option<Owner>,
    ) -> Result<(), Error> {
        self.write(path, content, owner)
    }

    fn write(&self, path: &GuestPath, content: &[u8], owner: Option<Owner>) -> Result<(), Error> {
        let path = self.root.resolve(path)?;
        let failed = |action| Error::io(action, &path);
        let dir = self.create_parent(&path, owner)?;
        let old = self.open_old(&path)?;
        // Only this program makes such a name; one that is there was left by a run that was killed.
        unlink_in(&dir, OsStr::new(TEMPORARY), &path)?;
        let temporary = openat(
            &dir,
            TEMPORARY,
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )
        .map_err(|errno| failed("creating a new version of")(errno.into()))?;
        let mut new = File::from(temporary);
        let written = self
            .set_attributes(&path, old.as_ref(), owner, &new)
            .and_then(|()| failpoint::reach("guest-write"))
            .and_then(|()| new.write_all(content))
            .and_then(|()| new.sync_all())
            .and_then(|()| Ok(renameat(&dir, TEMPORARY, &dir, path.name())?));
        if let Err(error) = written {
            unlink_in(&dir, OsStr::new(TEMPORARY), &path)?;
            return Err(failed("writing")(error));
        }
        sync_dir(&dir).map_err(failed("writing the directory of"))?;
        match old {
            Some(old) => overwrite(&old).map_err(failed("overwriting the old version of")),
            None => Ok(()),
        }
    }

    /// Makes a symbolic link, in place of whatever had its name.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn link(&self, path: &GuestPath, target: &str) -> Result<(), Error> {
        let path = self.root.resolve_parent(path)?;
        self.remove(&path)?;
        let dir = self.create_parent(&path, None)?;
        symlinkat(target, &dir, path.name())
            .map_err(|errno| Error::io("linking", &path)(errno.into()))?;
        // A link cannot be opened, and is labelled by its name in the directory that is held.
        let held = format!("/proc/self/fd/{}", dir.as_raw_fd());
        self.label_new(&path, |label| {
            xattr::set(Path::new(&held).join(path.name()), LABEL, label)
        })
        .map_err(Error::io("labelling", &path))?;
        sync_dir(&dir).map_err(Error::io("writing the directory of", &path))
    }

    /// Removes a file, a link (not what it names), or a directory with all that is below it.
    /// What is not there is removed already.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn remove(&self, path: &GuestPath) -> Result<(), Error> {
        let path = self.root.resolve_parent(path)?;
        let Some(kind) = self.root.kind(&path)? else {
            return Ok(());
        };
        if kind == FileKind::Directory {
            for name in self.root.list(&path)? {
                self.remove(&path.join(name))?;
            }
        }
        let failed = |action| Error::io(action, &path);
        let dir = self.open_dir(&parent_of(&path))?;
        if kind == FileKind::Directory {
            unlinkat(&dir, path.name(), UnlinkatFlags::RemoveDir)
                .map_err(|errno| failed("removing")(errno.into()))?;
        } else {
            let old = match kind {
                FileKind::Regular => self.open_removed(&path)?,
                _ => None,
            };
            unlink_in(&dir, path.name(), &path)?;
            if let Some(old) = old {
                overwrite(&old).map_err(failed("overwriting"))?;
            }
        }
        sync_dir(&dir).map_err(failed("writing the directory of"))
    }

    pub(super) fn open_dir(&self, path: &GuestPath) -> Result<OwnedFd, Error> {
        self.root
            .open_at(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .map_err(|errno| Error::io("opening", path)(errno.into()))
    }

    /// The directory of a path, made where it is missing.
    fn create_parent(&self, path: &GuestPath, owner: Option<Owner>) -> Result<OwnedFd, Error> {
        let parent = parent_of(path);
        if self.root.kind(&parent)?.is_some() || parent == *path {
            return self.open_dir(&parent);
        }
        let above = self.create_parent(&parent, owner)?;
        let failed = |errno: Errno| Error::io("creating", &parent)(errno.into());
        let mode = if owner.is_some() { 0o700 } else { 0o755 };
        match mkdirat(&above, parent.name(), Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let dir = self.open_dir(&parent)?;
        if let Some(owner) = owner {
            give(&dir, owner.uid, owner.gid).map_err(failed)?;
        }
        let dir = File::from(dir);
        self.label_new(&parent, |label| dir.set_xattr(LABEL, label))
            .map_err(Error::io("labelling", &parent))?;
        Ok(dir.into())
    }

    /// The file as it is, open for overwriting.
    pub(super) fn open_old(&self, path: &GuestPath) -> Result<Option<File>, Error> {
        match self.root.kind(path)? {
            None => Ok(None),
            Some(FileKind::Regular) => self
                .open_for_overwriting(path)
                .map(Some)
                .map_err(|errno| self.cannot_open(path, errno)),
            Some(_) => Err(Error::io("opening", path)(io::Error::other(
                "it is not a regular file",
            ))),
        }
    }

    /// A regular file that goes, open for overwriting; `None` for a program that runs.
    fn open_removed(&self, path: &GuestPath) -> Result<Option<File>, Error> {
        match self.open_for_overwriting(path) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::ETXTBSY) => Ok(None),
            Err(errno) => Err(self.cannot_open(path, errno)),
        }
    }

    fn open_for_overwriting(&self, path: &GuestPath) -> Result<File, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        self.root.open_at(path, flags).map(File::from)
    }

    /// Why a file cannot be opened for writing, although we are root.
    fn cannot_open(&self, path: &GuestPath, errno: Errno) -> Error {
        match self.root.is_immutable(path) {
            Ok(true) => Error::Immutable {
                path: path.to_string(),
            },
            _ => Error::io("opening", path)(errno.into()),
        }
    }

    /// Gives the new file the mode, owner and attributes of the old one; where there is none, those
    /// that are asked for and the SELinux label that fits its place.
    pub(super) fn set_attributes(
        &self,
        path: &GuestPath,
        old: Option<&File>,
        owner: Option<Owner>,
        new: &File,
    ) -> io::Result<()> {
        let Some(old) = old else {
            if let Some(owner) = owner {
                give(new, owner.uid, owner.gid)?;
            }
            let mode = owner.map_or(0o644, |owner| owner.mode);
            fchmod(new, Mode::from_bits_truncate(mode))?;
            return self.label_new(path, |label| new.set_xattr(LABEL, label));
        };
        let metadata = old.metadata()?;
        give(new, metadata.uid(), metadata.gid())?;
        fchmod(new, Mode::from_bits_truncate(metadata.mode() & 0o7777))?;
        for name in attribute_names(old)? {
            let Some(value) = old.get_xattr(&name)? else {
                continue;
            };
            let set = new.set_xattr(&name, &value);
            if name == LABEL {
                unless_refused(set)?;
            } else {
                set?;
            }
        }
        Ok(())
    }

    /// Gives what is new the SELinux label that fits its place.
    fn label_new(
        &self,
        path: &GuestPath,
        set: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.root.label_of_new(path) {
            Ok(Some(label)) => unless_refused(set(&label)),
            Ok(None) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// A label may be refused: by a file system that has none, or by a running SELinux whose policy
/// does not know it. The guest then relabels itself.
pub(super) fn unless_refused(set: io::Result<()>) -> io::Result<()> {
    const REFUSALS: [Errno; 3] = [Errno::EOPNOTSUPP, Errno::EINVAL, Errno::EPERM];
    match set {
        Err(error)
            if REFUSALS
                .iter()
                .any(|errno| error.raw_os_error() == Some(*errno as i32)) =>
        {
            Ok(())
        }
        set => set,
    }
}

fn give(file: &impl AsFd, uid: u32, gid: u32) -> Result<(), Errno> {
    fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

pub(super) fn unlink_in(dir: &OwnedFd, name: &OsStr, path: &GuestPath) -> Result<(), Error> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::io("removing", path)(errno.into())),
    }
}

pub(super) fn parent_of(path: &GuestPath) -> GuestPath {
    path.parent().unwrap_or_else(|| path.clone())
}

fn attribute_names(file: &File) -> io::Result<Vec<std::ffi::OsString>> {
    match file.list_xattr() {
        Ok(names) => Ok(names
            .filter(|name| KERNEL_ATTRIBUTES.iter().all(|kernel| name != kernel))
            .collect()),
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Overwrites a file that has no name any more.
pub(super) fn overwrite(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.nlink() != 0 {
        return Ok(());
    }
    let mut offset = 0;
    // Holes hold nothing, and filling those of a sparse file would fill the disk.
    while let Some((start, end)) = next_data(file, offset)? {
        offset = start;
        while offset < end {
            let length = usize::try_from(end - offset)
                .unwrap_or(ZEROS.len())
                .min(ZEROS.len());
            file.write_all_at(&ZEROS[..length], offset)?;
            offset += u64::try_from(length).map_err(io::Error::other)?;
        }
    }
    file.sync_all()
}

/// The next extent of data from `offset` on, in bytes: its start and its end.
///
/// # Errors
///
/// The file could not be asked.
pub fn next_data(file: &File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => Ok(Some((
            start,
            rustix::fs::seek(file, SeekFrom::Hole(start))?,
        ))),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn sync_dir(dir: &OwnedFd) -> io::Result<()> {
    Ok(nix::unistd::fsync(dir.as_fd())?)
}
