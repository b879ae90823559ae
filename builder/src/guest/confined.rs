//! Opening files of the guest without ever leaving it (openat2(2), Linux 5.6).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// The kernel asks for another try while somebody renames directories.
const TRIES: u32 = 32;

/// Opens `path` as a process would whose `/` is `root`: absolute links and `..` stay inside.
///
/// # Errors
///
/// What openat2(2) says.
pub(super) fn open(root: &impl AsFd, path: &str, flags: OFlag) -> io::Result<OwnedFd> {
    let mut tries = 0;
    loop {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(root.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) if tries < TRIES => tries += 1,
            result => return result.map_err(io::Error::from),
        }
    }
}

/// Whether `path` leads to a directory.
pub(super) fn is_dir(root: &impl AsFd, path: &str) -> bool {
    open(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY).is_ok()
}

/// Whether there is anything at `path`, were it a link that leads nowhere (yet).
pub(super) fn exists(root: &impl AsFd, path: &str) -> bool {
    open(root, path, OFlag::O_PATH | OFlag::O_NOFOLLOW).is_ok()
}

/// The first `limit` bytes of the regular file at `path`.
///
/// # Errors
///
/// What the system says; a pipe or a device is no file.
pub(super) fn read(root: &impl AsFd, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK, opening a pipe would wait for a writer.
    let fd = open(
        root,
        path,
        OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
    )?;
    let file = File::from(fd);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
