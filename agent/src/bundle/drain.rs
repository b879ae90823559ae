//! Waiting until somebody has taken what was written.
//!
//! What is written to a pipe or a socket lies in the kernel at first. A reader that dies then takes
//! it along, and nobody is told.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use crate::interrupt;

/// How long nothing is asked while a reader is slow, in milliseconds.
const PAUSE: u8 = 20;

/// Waits until what was written to a pipe or a socket has been read, however long that takes. Of
/// anything else there is nothing to wait for.
///
/// # Errors
///
/// The reader is gone, or a signal arrived.
pub(super) fn wait(stream: &impl AsFd) -> io::Result<()> {
    let stream = stream.as_fd();
    let format = SFlag::from_bits_truncate(fstat(stream)?.st_mode) & SFlag::S_IFMT;
    let waiting = match format {
        SFlag::S_IFIFO => waiting_in_pipe,
        SFlag::S_IFSOCK => waiting_in_socket,
        _ => return Ok(()),
    };
    loop {
        interrupt::check()?;
        // A reader that goes leaves nothing waiting either: whether it is there is asked last.
        let is_drained = waiting(stream)? == 0;
        let pause = if is_drained { 0 } else { PAUSE };
        let mut asked = [PollFd::new(stream, PollFlags::empty())];
        match poll(&mut asked, PollTimeout::from(pause)) {
            Ok(0) if is_drained => return Ok(()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Err(Errno::EPIPE.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// How many bytes of a pipe nobody has read; both of its ends tell.
fn waiting_in_pipe(pipe: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::io::ioctl_fionread(pipe)?)
}

/// How much memory holds what the other side of a socket has not read; 0 where the kind of socket
/// cannot tell.
#[expect(unsafe_code, reason = "no library has ioctl(SIOCOUTQ)")]
fn waiting_in_socket(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut waiting: c_int = 0;
    // SAFETY: the kernel writes one `int` to where it is told.
    let told = Errno::result(unsafe {
        nix::libc::ioctl(socket.as_raw_fd(), nix::libc::TIOCOUTQ, &raw mut waiting)
    });
    match told {
        Ok(_) => u64::try_from(waiting).map_err(io::Error::other),
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(0),
        Err(errno) => Err(errno.into()),
    }
}
