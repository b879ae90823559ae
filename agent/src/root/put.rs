//! Putting an object back as it was, with everything that it had besides its content.
//!
//! A file, link or device is made beside its place and renamed into it, so that there is the old or
//! the new one at any moment. What is there meanwhile is not overwritten: it goes as it would in any
//! program.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::unistd::symlinkat;

use super::attributes::give_all;
use super::write::{TEMPORARY, parent_of, sync_dir, unlink_in};
use super::{Attributes, FileKind, GuestPath, GuestRootMut};
use crate::error::Error;
use crate::failpoint;

impl GuestRootMut {
    /// Puts a file back, its content written by `content`.
    ///
    /// # Errors
    ///
    /// What was there is still there if this fails, also if `content` does.
    pub fn put_file(
        &self,
        path: &GuestPath,
        attributes: &Attributes,
        content: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.put(path, attributes, |dir| {
            let flags = OFlag::O_WRONLY
                | OFlag::O_CREAT
                | OFlag::O_EXCL
                | OFlag::O_NOFOLLOW
                | OFlag::O_CLOEXEC;
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            let mut new = File::from(openat(dir, TEMPORARY, flags, mode)?);
            content(&mut new)?;
            Ok(Some(new))
        })
    }

    /// Puts a symbolic link back.
    ///
    /// # Errors
    ///
    /// What was there is still there if this fails.
    pub fn put_link(
        &self,
        path: &GuestPath,
        attributes: &Attributes,
        target: &Path,
    ) -> Result<(), Error> {
        self.put(path, attributes, |dir| {
            symlinkat(target, dir, TEMPORARY)?;
            Ok(None)
        })
    }

    /// Puts a FIFO or a device back.
    ///
    /// # Errors
    ///
    /// What was there is still there if this fails.
    pub fn put_special(
        &self,
        path: &GuestPath,
        attributes: &Attributes,
        format: SFlag,
        device: u64,
    ) -> Result<(), Error> {
        self.put(path, attributes, |dir| {
            mknodat(dir, TEMPORARY, format, Mode::S_IRUSR, device)?;
            Ok(None)
        })
    }

    /// Puts a directory back, empty; one that is there stays as it is.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn put_directory(&self, path: &GuestPath, attributes: &Attributes) -> Result<(), Error> {
        if self.reader().kind(path)? == Some(FileKind::Directory) {
            return Ok(());
        }
        self.remove(path)?;
        let dir = self.open_dir(&parent_of(path))?;
        mkdirat(&dir, path.name(), Mode::S_IRWXU)
            .map_err(|errno| Error::io("creating", path)(errno.into()))?;
        self.set_attributes_of(path, attributes)?;
        sync_dir(&dir).map_err(Error::io("writing the directory of", path))
    }

    /// Removes what a run that was killed may have left in a directory.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn remove_leftover(&self, dir: &GuestPath) -> Result<(), Error> {
        if self.reader().kind(dir)? != Some(FileKind::Directory) {
            return Ok(());
        }
        let path = dir.join(TEMPORARY);
        unlink_in(&self.open_dir(dir)?, OsStr::new(TEMPORARY), &path)
    }

    fn put(
        &self,
        path: &GuestPath,
        attributes: &Attributes,
        make: impl FnOnce(&OwnedFd) -> io::Result<Option<File>>,
    ) -> Result<(), Error> {
        if self.reader().kind(path)? == Some(FileKind::Directory) {
            self.remove(path)?;
        }
        let dir = self.open_dir(&parent_of(path))?;
        unlink_in(&dir, OsStr::new(TEMPORARY), path)?;
        let put = make(&dir).and_then(|file| {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            give_all(&openat(&dir, TEMPORARY, flags, Mode::empty())?, attributes)?;
            failpoint::reach("guest-put")?;
            file.map_or(Ok(()), |file| file.sync_all())?;
            renameat(&dir, TEMPORARY, &dir, path.name()).map_err(|errno: Errno| errno.into())
        });
        if let Err(error) = put {
            unlink_in(&dir, OsStr::new(TEMPORARY), path)?;
            return Err(Error::io("restoring", path)(error));
        }
        sync_dir(&dir).map_err(Error::io("writing the directory of", path))
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own directory is a host path"
)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::root::Timestamp;

    #[test]
    fn objects_come_back_with_all_they_had() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRootMut::open(dir.path()).unwrap();
        let attributes = Attributes {
            uid: 1000,
            gid: 100,
            mode: 0o4750,
            accessed: Timestamp::default(),
            modified: Timestamp {
                seconds: 1_234_567_890,
                nanoseconds: 987_654_321,
            },
            xattrs: [("trusted.byoi".into(), b"a\nb\0c".to_vec())].into(),
        };
        let (file, link, fifo) = ("/file".into(), "/link".into(), "/fifo".into());
        std::fs::create_dir_all(dir.path().join("file/in/the/way")).unwrap();
        let write = |content: &'static [u8]| move |new: &mut File| new.write_all(content);
        root.put_file(&file, &attributes, write(b"content"))
            .unwrap();
        root.put_link(&link, &attributes, Path::new("/no/where"))
            .unwrap();
        root.put_special(&fifo, &attributes, SFlag::S_IFIFO, 0)
            .unwrap();
        for path in [&file, &link, &fifo] {
            let (_, mut found) = root.reader().attributes(path).unwrap().unwrap();
            found.accessed = Timestamp::default();
            if *path == link {
                assert_eq!(found.mode, 0o777);
                found.mode = 0o4750;
            }
            assert_eq!(found, attributes, "{path}");
        }
        assert!(!root.set_attributes_of(&file, &attributes).unwrap());
        let bare = Attributes::default();
        assert!(root.set_attributes_of(&file, &bare).unwrap());
        assert!(!root.set_attributes_of(&file, &bare).unwrap());

        let refused = root.put_file(&file, &bare, |_| Err(io::Error::other("truncated")));
        assert!(refused.is_err());
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"content");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
