//! The one directory of a run: whatever needs a name for a while is made in it.
//!
//! A run that ends in any way it can control removes its directory. One that was killed cannot, so
//! each run locks its directory and first removes those whose lock is free: the kernel frees a lock
//! with the process that held it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use byoi_agent::narration;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use tempfile::TempDir;

/// How the names of these directories begin; sweeping touches no other.
const PREFIX: &str = "byoi-run-";
/// How often a new directory may be swept away by another run before it is locked.
const TRIES: u32 = 16;

/// The workdir has no place for the directory of this run.
#[derive(Debug, thiserror::Error)]
#[error("making a temporary directory in {}: choose another with --workdir", workdir.display())]
pub struct ScratchError {
    workdir: PathBuf,
    source: io::Error,
}

/// A directory that goes with this value.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // Free once the directory is gone.
    _lock: Flock<File>,
}

impl Scratch {
    /// Removes what killed runs left in `workdir` and makes a directory there.
    ///
    /// # Errors
    ///
    /// [`ScratchError`]: `workdir` is no directory, or nothing can be made in it.
    pub fn new(workdir: &Path) -> Result<Self, ScratchError> {
        sweep(workdir)
            .and_then(|()| make(workdir))
            .map_err(|source| ScratchError {
                workdir: workdir.to_owned(),
                source,
            })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        tell(&self.path, remove(&self.path));
    }
}

fn make(workdir: &Path) -> io::Result<Scratch> {
    // An absolute path stays right for a program that is started elsewhere.
    let workdir = fs::canonicalize(workdir)?;
    for _ in 0..TRIES {
        // Kept, since its own drop would delete what may still be mounted there.
        let path = TempDir::with_prefix_in(PREFIX, &workdir)?.keep();
        // Between its making and its locking, another run may take it for a dead one's.
        if let Some(lock) = lock(&path)?
            && lock.metadata()?.nlink() > 0
        {
            return Ok(Scratch { path, _lock: lock });
        }
    }
    Err(Errno::EBUSY.into())
}

fn sweep(workdir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(workdir)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !ours || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        // What another user left is that user's to remove.
        if let Ok(Some(_lock)) = lock(&path) {
            tell(&path, remove(&path));
        }
    }
    Ok(())
}

fn tell(path: &Path, result: io::Result<()>) {
    if let Err(error) = result {
        narration::tell(format_args!("removing {}: {error}", path.display()));
    }
}

/// Locks a directory; `None` where a living run has it, or it is just gone.
fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let dir = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Removes a directory and what is in it, but nothing that is mounted there.
fn remove(path: &Path) -> io::Result<()> {
    let device = fs::symlink_metadata(path)?.dev();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.dev() != device {
            return Err(Errno::EBUSY.into());
        }
        if metadata.is_dir() {
            remove(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn a_directory_goes_with_its_run_or_with_the_next() {
        let workdir = tempfile::tempdir().unwrap();
        let living = Scratch::new(workdir.path()).unwrap();
        fs::write(living.path().join("file"), "in use").unwrap();
        // A run that was killed: its directory is there, its lock is not.
        let dead = workdir.path().join("byoi-run-dead");
        fs::create_dir_all(dead.join("guest")).unwrap();
        fs::write(dead.join("net.pcap"), "old").unwrap();
        // Not of our making.
        let other = workdir.path().join("byoi-notes");
        fs::create_dir(&other).unwrap();

        let next = Scratch::new(workdir.path()).unwrap();
        assert!(!dead.exists());
        assert!(other.exists());
        assert!(living.path().join("file").exists());
        drop((living, next));
        assert_eq!(names(workdir.path()), [other]);
    }

    #[test]
    fn a_link_of_that_name_is_not_followed() {
        let workdir = tempfile::tempdir().unwrap();
        let precious = tempfile::tempdir().unwrap();
        fs::write(precious.path().join("file"), "precious").unwrap();
        let link = workdir.path().join("byoi-run-link");
        std::os::unix::fs::symlink(precious.path(), &link).unwrap();
        drop(Scratch::new(workdir.path()).unwrap());
        assert_eq!(names(workdir.path()), [link]);
        assert!(precious.path().join("file").exists());
    }
}
