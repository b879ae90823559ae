//! What keeps a path inside a guest root.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat, stat};

use crate::error::Error;

/// What keeps a path inside a guest root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confinement {
    /// The kernel, by `openat2(2)`.
    Kernel,
    /// Nothing has to: the root is the running system's own `/`, and the kernel is older than 5.6.
    Everything,
}

impl Confinement {
    /// What there is for a directory that was opened by this path.
    pub(super) fn of(dir: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let probe = Self::Kernel.open(dir, Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY);
        Self::judge(probe.map(drop), is_running_root(dir), path)
    }

    /// Judges what `openat2` said of the root itself.
    fn judge(probe: Result<(), Errno>, is_running: bool, path: &Path) -> Result<Self, Error> {
        match probe {
            Ok(()) => Ok(Self::Kernel),
            Err(Errno::ENOSYS) if is_running => Ok(Self::Everything),
            Err(Errno::ENOSYS) => Err(Error::NoOpenat2 {
                root: path.display().to_string(),
            }),
            Err(errno) => Err(Error::io("opening", &path.display())(errno.into())),
        }
    }

    /// Opens a path below the directory that is the root.
    pub(super) fn open(
        self,
        root: BorrowedFd<'_>,
        path: &Path,
        flags: OFlag,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_CLOEXEC;
        loop {
            let opened = match self {
                Self::Kernel => openat2(root, path, how(flags, INSIDE)),
                Self::Everything => openat(root, path, flags, Mode::empty()),
            };
            match opened {
                // A rename somewhere on the machine raced with the walk.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Opens what a path leads to, itself perhaps a link, as an `O_PATH`; `ELOOP` where there is a
    /// link on the way, or that cannot be told.
    pub(super) fn open_without_links(
        self,
        root: BorrowedFd<'_>,
        path: &Path,
    ) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let plainly = INSIDE.union(ResolveFlag::RESOLVE_NO_SYMLINKS);
        match self {
            Self::Kernel => openat2(root, path, how(flags, plainly)),
            Self::Everything => Err(Errno::ELOOP),
        }
    }
}

/// How a guest's paths are walked: never out of the root.
const INSIDE: ResolveFlag = ResolveFlag::RESOLVE_IN_ROOT.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

fn how(flags: OFlag, resolve: ResolveFlag) -> OpenHow {
    OpenHow::new().flags(flags).resolve(resolve)
}

/// Whether a directory is the `/` of this process.
fn is_running_root(dir: BorrowedFd<'_>) -> bool {
    let identity = |stat: FileStat| (stat.st_dev, stat.st_ino);
    match (fstat(dir), stat("/")) {
        (Ok(dir), Ok(root)) => identity(dir) == identity(root),
        _ => false,
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own directory is a host path"
)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::root::{FileKind, GuestPath, GuestRoot};

    #[test]
    fn without_openat2_the_running_system_alone_is_opened() {
        let judge = |probe, is_running| {
            Confinement::judge(probe, is_running, Path::new("/mnt/guest"))
                .map_err(|error| error.to_string())
        };
        assert_eq!(judge(Ok(()), false), Ok(Confinement::Kernel));
        assert_eq!(judge(Ok(()), true), Ok(Confinement::Kernel));
        assert_eq!(judge(Err(Errno::ENOSYS), true), Ok(Confinement::Everything));
        let refusal = judge(Err(Errno::ENOSYS), false).unwrap_err();
        assert!(refusal.contains("/mnt/guest"), "{refusal}");
        assert!(refusal.contains("Linux 5.6"), "{refusal}");
        assert!(judge(Err(Errno::EACCES), true).is_err());
        assert!(is_running_root(File::open("/").unwrap().as_fd()));
        assert!(!is_running_root(File::open("/proc").unwrap().as_fd()));
    }

    #[test]
    fn a_plainly_opened_root_reads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/fstab"), "x").unwrap();
        symlink("etc/fstab", dir.path().join("link")).unwrap();
        let open = |confinement| {
            let handle = File::open(dir.path()).unwrap();
            GuestRoot::open_confined(handle, dir.path(), confinement).unwrap()
        };
        for root in [open(Confinement::Kernel), open(Confinement::Everything)] {
            let link = GuestPath::from("/link");
            assert_eq!(root.resolve(&link).unwrap(), "/etc/fstab".into());
            assert_eq!(root.kind(&link).unwrap(), Some(FileKind::Symlink));
            assert_eq!(root.read(&link, 9).unwrap(), Some(b"x".to_vec()));
            assert_eq!(root.list(&"/etc".into()).unwrap(), ["fstab"]);
            assert_eq!(root.read(&"/none".into(), 9).unwrap(), None);
        }
    }
}
