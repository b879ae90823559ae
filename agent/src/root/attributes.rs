//! What a path has besides its content: owner, mode, times and extended attributes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use super::write::{KERNEL_ATTRIBUTES, unless_refused};
use super::{GuestPath, GuestRoot, GuestRootMut, LABEL};
use crate::error::Error;

/// A time of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Seconds since 1970; negative before.
    pub seconds: i64,
    /// Nanoseconds after that second.
    pub nanoseconds: i64,
}

impl From<Timestamp> for TimeSpec {
    fn from(time: Timestamp) -> Self {
        Self::new(time.seconds, time.nanoseconds)
    }
}

/// What a path has besides its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The permission bits; a link has none that count.
    pub mode: u32,
    /// When it was last read.
    pub accessed: Timestamp,
    /// When its content was last changed.
    pub modified: Timestamp,
    /// Extended attributes, ACLs and labels among them, without those that the kernel keeps for
    /// itself.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl GuestRoot {
    /// What a path has besides its content, the last link not followed; `None` where there is
    /// nothing. The numbers that `stat(2)` gives come with it.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn attributes(&self, path: &GuestPath) -> Result<Option<(FileStat, Attributes)>, Error> {
        let object = match self.open_at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(Error::io("opening", path)(errno.into())),
        };
        let stat = fstat(&object).map_err(|errno| Error::io("examining", path)(errno.into()))?;
        let attributes = Attributes {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            accessed: Timestamp {
                seconds: stat.st_atime,
                nanoseconds: stat.st_atime_nsec,
            },
            modified: Timestamp {
                seconds: stat.st_mtime,
                nanoseconds: stat.st_mtime_nsec,
            },
            xattrs: xattrs(&object).map_err(Error::io("reading the attributes of", path))?,
        };
        Ok(Some((stat, attributes)))
    }
}

impl GuestRootMut {
    /// Gives a path these attributes, the last link not followed; writes nothing where it has them.
    /// Whether something was written.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn set_attributes_of(&self, path: &GuestPath, wanted: &Attributes) -> Result<bool, Error> {
        let Some((_, current)) = self.reader().attributes(path)? else {
            return Ok(false);
        };
        if (Attributes {
            accessed: wanted.accessed,
            ..current
        }) == *wanted
        {
            return Ok(false);
        }
        let object = self.open_object(path)?;
        give_all(&object, wanted).map_err(Error::io("restoring the attributes of", path))?;
        Ok(true)
    }

    /// Gives a directory its times.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn set_times(&self, path: &GuestPath, wanted: &Attributes) -> Result<(), Error> {
        let object = self.open_object(path)?;
        give_times(&object, wanted).map_err(Error::io("restoring the times of", path))
    }

    fn open_object(&self, path: &GuestPath) -> Result<OwnedFd, Error> {
        self.reader()
            .open_at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)
            .map_err(|errno| Error::io("opening", path)(errno.into()))
    }
}

/// Gives attributes to an object that is held by an `O_PATH` descriptor.
pub(super) fn give_all(object: &OwnedFd, wanted: &Attributes) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
    fchownat(object, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?;
    let format = SFlag::from_bits_truncate(fstat(object)?.st_mode) & SFlag::S_IFMT;
    if format != SFlag::S_IFLNK {
        // Comes after the owner, which takes the bits away that run a program as somebody else.
        let mode = Mode::from_bits_truncate(wanted.mode);
        fchmodat(AT_FDCWD, &held(object), mode, FchmodatFlags::FollowSymlink)?;
    }
    let current = xattrs(object)?;
    for name in current
        .keys()
        .filter(|name| !wanted.xattrs.contains_key(*name))
    {
        let removed = xattr::remove_deref(held(object), name);
        if name == LABEL {
            unless_refused(removed)?;
        } else {
            removed?;
        }
    }
    for (name, value) in &wanted.xattrs {
        if current.get(name) == Some(value) {
            continue;
        }
        let set = xattr::set_deref(held(object), name, value);
        if name == LABEL {
            unless_refused(set)?;
        } else {
            set?;
        }
    }
    give_times(object, wanted)
}

fn give_times(object: &OwnedFd, wanted: &Attributes) -> io::Result<()> {
    Ok(utimensat(
        AT_FDCWD,
        &held(object),
        &wanted.accessed.into(),
        &wanted.modified.into(),
        UtimensatFlags::FollowSymlink,
    )?)
}

fn xattrs(object: &OwnedFd) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let names = match xattr::list_deref(held(object)) {
        Ok(names) => names,
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for name in names.filter(|name| KERNEL_ATTRIBUTES.iter().all(|kernel| name != kernel)) {
        if let Some(value) = xattr::get_deref(held(object), &name)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// The name by which the kernel leads to a held object, be it a link itself.
fn held(object: &OwnedFd) -> PathBuf {
    Path::new("/proc/self/fd").join(object.as_fd().as_raw_fd().to_string())
}
