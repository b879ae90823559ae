//! Files that a program of the guest makes anew: the old one is given up last.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;

use super::write::{overwrite, parent_of, sync_dir, unlink_in};
use super::{FileKind, GuestPath, GuestRootMut};
use crate::error::Error;

/// What the copy of a file is called, after the file's own name.
pub const COPY: &str = ".byoi-old";
/// What the copy is called until it is complete, after the file's own name.
pub const INCOMPLETE: &str = ".byoi-copy";

/// A file as it was, which the guest may have taken the name from meanwhile.
#[derive(Debug)]
#[must_use = "what the old file held is overwritten through this"]
pub struct Original(Option<File>);

impl GuestRootMut {
    /// Makes a copy of a file beside it; of no file, none.
    ///
    /// # Errors
    ///
    /// There is no copy if this fails.
    pub fn keep_copy(&self, path: &GuestPath) -> Result<Original, Error> {
        let path = self.reader().resolve(path)?;
        let Some(old) = self.open_old(&path)? else {
            return Ok(Original(None));
        };
        let failed = |action| Error::io(action, &path);
        let dir = self.open_dir(&parent_of(&path))?;
        let (copy, incomplete) = (beside(&path, COPY), beside(&path, INCOMPLETE));
        unlink_in(&dir, &incomplete, &path)?;
        let new = openat(
            &dir,
            incomplete.as_os_str(),
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )
        .map_err(|errno| failed("copying")(errno.into()))?;
        let mut new = File::from(new);
        let copied = self
            .set_attributes(&path, Some(&old), None, &new)
            .and_then(|()| io::copy(&mut &old, &mut new))
            .and_then(|_| new.sync_all())
            .and_then(|()| {
                Ok(renameat(
                    &dir,
                    incomplete.as_os_str(),
                    &dir,
                    copy.as_os_str(),
                )?)
            })
            .and_then(|()| sync_dir(&dir));
        if let Err(error) = copied {
            unlink_in(&dir, &incomplete, &path)?;
            return Err(failed("copying")(error));
        }
        Ok(Original(Some(old)))
    }

    /// Puts the copy of a file back in its place. Without one nothing happens.
    ///
    /// # Errors
    ///
    /// The copy is still there if this fails.
    pub fn restore_copy(&self, path: &GuestPath) -> Result<(), Error> {
        let path = self.reader().resolve(path)?;
        let copy = parent_of(&path).join(beside(&path, COPY));
        self.rename_over(&path, &copy, false)
    }

    /// Removes the copy of a file, and overwrites what the old file held where nothing names it any
    /// more.
    ///
    /// # Errors
    ///
    /// The guest could not be changed.
    pub fn drop_copy(&self, path: &GuestPath, original: Original) -> Result<(), Error> {
        let path = self.reader().resolve(path)?;
        self.remove(&parent_of(&path).join(beside(&path, COPY)))?;
        match original.0 {
            Some(old) => {
                overwrite(&old).map_err(Error::io("overwriting the old version of", &path))
            }
            None => Ok(()),
        }
    }

    /// Gives a new file, in the same directory, the place of an old one. What the old one held is
    /// overwritten.
    ///
    /// # Errors
    ///
    /// The old file is still there if this fails before it is overwritten.
    pub fn replace_by(&self, path: &GuestPath, new: &GuestPath) -> Result<(), Error> {
        let path = self.reader().resolve(path)?;
        let new = parent_of(&path).join(new.name());
        self.rename_over(&path, &new, true)
    }

    /// Renames a file over another in its directory, if it is there.
    fn rename_over(&self, path: &GuestPath, new: &GuestPath, wipe: bool) -> Result<(), Error> {
        if self.reader().kind(new)? != Some(FileKind::Regular) {
            return Ok(());
        }
        let failed = |action| Error::io(action, path);
        let dir = self.open_dir(&parent_of(path))?;
        let old = if wipe { self.open_old(path)? } else { None };
        if let Some(file) = self.reader().open_file(new)? {
            file.sync_all().map_err(failed("writing"))?;
        }
        renameat(&dir, new.name(), &dir, path.name())
            .map_err(|errno: Errno| failed("replacing")(errno.into()))?;
        sync_dir(&dir).map_err(failed("writing the directory of"))?;
        match old {
            Some(old) => overwrite(&old).map_err(failed("overwriting the old version of")),
            None => Ok(()),
        }
    }
}

fn beside(path: &GuestPath, suffix: &str) -> OsString {
    let mut name = path.name().to_owned();
    name.push(suffix);
    name
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own directory is a host path"
)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_or_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRootMut::open(dir.path()).unwrap();
        let image = GuestPath::from("/initrd");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let names = || {
            let names = root.reader().list(&"/".into()).unwrap();
            names.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        let text = || std::fs::read_to_string(dir.path().join("initrd")).unwrap();

        let none = root.keep_copy(&image).unwrap();
        root.drop_copy(&image, none).unwrap();
        assert_eq!(names(), "");
        write("initrd", "old");
        let _old = root.keep_copy(&image).unwrap();
        assert_eq!(names(), "initrd initrd.byoi-old");
        write("initrd", "half");
        root.restore_copy(&image).unwrap();
        assert_eq!((names().as_str(), text().as_str()), ("initrd", "old"));
        root.restore_copy(&image).unwrap();
        assert_eq!(text(), "old");

        let old = root.keep_copy(&image).unwrap();
        write("initrd", "new");
        root.drop_copy(&image, old).unwrap();
        assert_eq!((names().as_str(), text().as_str()), ("initrd", "new"));

        write("initrd.byoi-new", "newer");
        root.replace_by(&image, &"/initrd.byoi-new".into()).unwrap();
        assert_eq!((names().as_str(), text().as_str()), ("initrd", "newer"));
    }
}
