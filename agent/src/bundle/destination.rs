//! Where a bundle is written: to standard output, or to a file of its own outside of the image.

#![expect(
    clippy::disallowed_methods,
    reason = "a bundle is a file of the host, never of the guest"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BundleError;
use super::drain;
use super::place::Mounts;
use crate::error::Error;
use crate::failpoint;
use crate::root::GuestRoot;

/// Where a bundle is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To standard output.
    Stdout,
    /// To a file that is not there yet.
    File(PathBuf),
}

impl From<&Path> for Destination {
    /// `-` is standard output.
    fn from(path: &Path) -> Self {
        if path == Path::new("-") {
            Self::Stdout
        } else {
            Self::File(path.to_owned())
        }
    }
}

impl Destination {
    /// Refuses a place from which the bundle would be captured with the guest, would be lost, or
    /// would take the place of another one. To be asked before any work. `host` is the running
    /// system.
    ///
    /// # Errors
    ///
    /// The bundle cannot go there.
    pub fn check(&self, root: &Path, host: &GuestRoot, live: bool) -> Result<(), Error> {
        match self {
            Self::File(path) => {
                if let Ok(metadata) = fs::symlink_metadata(path) {
                    return Err(refusal(
                        path,
                        if metadata.is_file() {
                            "it is there already, and may be what undoes an earlier prepare; name \
                             another file (restore takes the later bundle first)"
                        } else {
                            "something else has that name; `-` stands for standard output"
                        },
                    ));
                }
                judge(path, root, host, live)
            }
            Self::Stdout => {
                let stdout = io::stdout();
                if stdout.is_terminal() {
                    return Err(refusal(
                        "standard output",
                        "it is a terminal; redirect it, or name a file",
                    ));
                }
                let held = Path::new("/proc/self/fd/1");
                match (fs::metadata(held), fs::read_link(held)) {
                    (Ok(metadata), Ok(path)) if metadata.is_file() => {
                        judge(&path, root, host, live)
                    }
                    (Ok(metadata), _) if is_null(&metadata) => Err(refusal(
                        "standard output",
                        "it is /dev/null; redirect it to what shall keep the bundle",
                    )),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Writes the bundle, to the end and to the disk, or until whoever reads it has all of it. A file
    /// is its owner's alone, and there under its name only when it is complete.
    ///
    /// # Errors
    ///
    /// It could not be written, and then there is no such file; or its reader is gone.
    pub fn write(
        &self,
        content: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Stdout => {
                let failed = Error::io("writing the bundle to", "standard output");
                let mut stdout = BufWriter::new(io::stdout().lock());
                content(&mut stdout)?;
                let synced = stdout.flush().and_then(|()| {
                    // A pipe cannot be synchronised; whoever reads it has to.
                    match nix::unistd::fsync(io::stdout().as_fd()) {
                        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOTSUP) => {
                            Ok(())
                        }
                        Err(errno) => Err(errno.into()),
                    }
                });
                let synced = synced.and_then(|()| drain::wait(&io::stdout()));
                synced.map_err(failed)
            }
            Self::File(path) => {
                let temporary = temporary(path);
                let name = path.display().to_string();
                let failed = |action| Error::io(action, &name);
                let file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&temporary)
                    .map_err(failed("creating"))?;
                let written = fill_file(file, content, path).and_then(|()| {
                    fs::rename(&temporary, path)
                        .and_then(|()| File::open(parent(path))?.sync_all())
                        .map_err(failed("writing"))
                });
                if written.is_err() {
                    // What could not be made is not there to remove.
                    fs::remove_file(&temporary).ok();
                }
                written
            }
        }
    }
}

fn fill_file(
    file: File,
    content: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    path: &Path,
) -> Result<(), Error> {
    let mut file = BufWriter::new(file);
    content(&mut file)?;
    failpoint::reach("bundle")
        .and_then(|()| file.into_inner().map_err(io::IntoInnerError::into_error))
        .and_then(|file| file.sync_all())
        .map_err(Error::io("writing", &path.display()))
}

/// Refuses a file that lies inside the image.
fn judge(path: &Path, root: &Path, host: &GuestRoot, live: bool) -> Result<(), Error> {
    let canonical =
        |path: &Path| fs::canonicalize(path).map_err(Error::io("examining", &path.display()));
    let device = |path: &Path| {
        let metadata = fs::metadata(path);
        let metadata = metadata.map_err(Error::io("examining", &path.display()))?;
        Ok::<_, Error>(metadata.dev())
    };
    let dir = canonical(parent(path))?;
    let objection = if live {
        Mounts::read(host)?.objection(&dir)?
    } else {
        let root = canonical(root)?;
        let of_root = device(&root)?;
        let is_mounted = device(&root.join(".."))? != of_root;
        let same_volume = is_mounted && device(&dir)? == of_root;
        (dir.starts_with(&root) || same_volume).then(|| {
            let root = root.display();
            format!("it is inside the guest at {root}; name a file outside")
        })
    };
    objection.map_or(Ok(()), |reason| Err(refusal(path, reason)))
}

fn refusal(path: impl AsRef<Path>, reason: impl Into<String>) -> Error {
    Error::Bundle(BundleError::Place {
        path: path.as_ref().display().to_string(),
        reason: reason.into(),
    })
}

fn is_null(metadata: &fs::Metadata) -> bool {
    metadata.file_type().is_char_device()
        && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev())
}

/// The directory that a file is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.byoi", std::process::id()))
}
