//! The file that is made: unnamed until it is complete.
//!
//! The image grows in a file that has no name yet (`O_TMPFILE`), so that whatever ends the run,
//! a SIGKILL too, leaves nothing behind. Publishing gives it a name beside OUT and renames that
//! over OUT. Where the file system has no unnamed files, a temporary name is used from the start
//! and removed on failure. The file is locked, so that the next run tells a name that a killed one
//! left from one in use, and removes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use byoi_agent::failpoint;
use byoi_agent::narration::tell;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag};
use nix::unistd::linkat;

use crate::image::{ImageError, SourceImage};

/// How temporary names beside OUT end.
const SUFFIX: &str = ".byoi";

/// Why OUT cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The name is taken by something that is not a regular file.
    #[error("{path} is not a regular file; name another output")]
    NotRegular {
        /// OUT.
        path: PathBuf,
    },
    /// OUT is the image itself.
    #[error("{path} is the source image, which is never written; name another output")]
    IsSource {
        /// OUT.
        path: PathBuf,
    },
    /// The source image could not be compared with it.
    #[error(transparent)]
    Source(ImageError),
    /// The file system refused.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// OUT.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file on its way to its name.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: Flock<File>,
    temporary: Temporary,
}

/// A temporary name, removed when it is not published.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    named: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.named
            && let Err(error) = fs::remove_file(&self.path)
        {
            tell(format_args!("removing {}: {error}", self.path.display()));
        }
    }
}

impl Output {
    /// Opens a new file for OUT.
    ///
    /// # Errors
    ///
    /// OUT cannot be made there, or is the source image.
    pub fn create(path: &Path, source: &SourceImage) -> Result<Self, OutputError> {
        let failed = |action| {
            move |error| OutputError::Io {
                action,
                path: path.to_owned(),
                source: error,
            }
        };
        if source.is_same_file(path).map_err(OutputError::Source)? {
            return Err(OutputError::IsSource {
                path: path.to_owned(),
            });
        }
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(OutputError::NotRegular {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("examining")(error));
            }
            _ => {}
        }
        let dir = directory_of(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.");
        sweep(dir, &prefix).map_err(failed("making room for"))?;
        let mut temporary = Temporary {
            path: dir.join(format!("{prefix}{}{SUFFIX}", std::process::id())),
            named: false,
        };
        let unnamed = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o644)
            .custom_flags(OFlag::O_TMPFILE.bits())
            .open(dir);
        let file = match unnamed {
            Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o644)
                    .open(&temporary.path)
                    .map_err(failed("creating"))?;
                temporary.named = true;
                file
            }
            other => other.map_err(failed("creating"))?,
        };
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| failed("locking")(errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            temporary,
        })
    }

    /// OUT, which the file is not yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A path by which another program can read the file while this one runs.
    pub fn readable_path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// Waits until what was written is durable.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn sync(&self) -> Result<(), OutputError> {
        self.file.sync_all().map_err(|source| OutputError::Io {
            action: "writing",
            path: self.path.clone(),
            source,
        })
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    ///
    /// The file could not be synchronised or named; OUT is then as it was.
    pub fn publish(mut self) -> Result<PathBuf, OutputError> {
        let path = &self.path;
        let failed = |action| {
            move |error| OutputError::Io {
                action,
                path: path.clone(),
                source: error,
            }
        };
        self.sync()?;
        failpoint::reach("publish").map_err(failed("naming"))?;
        if !self.temporary.named {
            linkat(
                AT_FDCWD,
                &self.readable_path(),
                AT_FDCWD,
                &self.temporary.path,
                AtFlags::AT_SYMLINK_FOLLOW,
            )
            .map_err(io::Error::from)
            .map_err(failed("naming"))?;
            self.temporary.named = true;
        }
        failpoint::reach("rename").map_err(failed("naming"))?;
        fs::rename(&self.temporary.path, &self.path).map_err(failed("naming"))?;
        self.temporary.named = false;
        File::open(directory_of(&self.path))
            .and_then(|dir| dir.sync_all())
            .map_err(failed("writing the directory of"))?;
        Ok(self.path)
    }
}

/// Removes the files that killed runs left beside OUT.
fn sweep(dir: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.strip_suffix(SUFFIX))
            .is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
        if !ours || !entry.file_type()?.is_file() {
            continue;
        }
        let file = File::open(entry.path())?;
        if Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}
