//! Calls of the system that may never return, in a process of their own.
//!
//! A call on a disk whose target is gone waits where no signal reaches it. Only a process that can
//! be left behind may make it: the kernel ends that one as soon as the call returns. The module
//! holds this part's only unsafe code.

use std::io;
use std::os::fd::RawFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, close, fork};

use crate::interrupt;

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often it is asked whether the targets are silent.
const ASK: Duration = Duration::from_secs(1);
/// How long the targets may be silent before a child is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Standard input, output and error.
const STREAMS: [RawFd; 3] = [0, 1, 2];

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    /// It returned.
    Returned(Result<(), Errno>),
    /// The targets were silent for too long.
    Silent,
}

/// Makes calls in a process of their own, for as long as the targets are not silent.
///
/// `work` runs between fork and exit: it may make calls of the system, and must not allocate memory
/// or take a lock.
///
/// # Errors
///
/// There could be no such process, or a signal ended the run.
#[expect(
    unsafe_code,
    reason = "a process that can be left behind is made by fork(2) only"
)]
pub fn call(
    silent: impl Fn() -> bool,
    work: impl FnOnce() -> Result<(), Errno>,
) -> io::Result<Ended> {
    // SAFETY: the child makes calls of the system only, as the caller promises, and leaves by
    // _exit(2), so that nothing of the parent's is flushed or dropped twice.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            // Whoever reads what we say shall not wait for one that is left behind.
            for stream in STREAMS {
                close(stream).ok();
            }
            let done = prctl::set_pdeathsig(Signal::SIGKILL).and_then(|()| work());
            let code = done.map_or_else(|errno| errno as i32, |()| 0);
            // SAFETY: as above.
            unsafe { libc::_exit(code) }
        }
    };
    let mut silent_since = None;
    let mut asked = Instant::now();
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, 0) => return Ok(Ended::Returned(Ok(()))),
            WaitStatus::Exited(_, code) => return Ok(Ended::Returned(Err(Errno::from_raw(code)))),
            WaitStatus::Signaled(..) => return Ok(Ended::Returned(Err(Errno::EINTR))),
            _ => {}
        }
        if asked.elapsed() > ASK {
            silent_since = silent().then(|| silent_since.unwrap_or_else(Instant::now));
            asked = Instant::now();
        }
        let too_long = silent_since.is_some_and(|since| since.elapsed() > PATIENCE);
        if too_long || interrupt::requested() {
            // It dies when its call returns; that is not waited for.
            kill(child, Signal::SIGKILL)?;
            interrupt::check()?;
            return Ok(Ended::Silent);
        }
        thread::sleep(POLL);
    }
}

/// Stops swapping to a device or file.
///
/// # Errors
///
/// What the system says.
#[expect(unsafe_code, reason = "no library has swapoff(2)")]
pub fn swap_off(path: &std::ffi::CStr) -> Result<(), Errno> {
    // SAFETY: the path is a terminated string that outlives the call.
    Errno::result(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pause;

    #[test]
    fn what_a_call_says_comes_back() {
        for (said, expected) in [(Ok(()), Ok(())), (Err(Errno::EBUSY), Err(Errno::EBUSY))] {
            let ended = call(|| false, || said).unwrap();
            assert!(matches!(ended, Ended::Returned(result) if result == expected));
        }
    }

    #[test]
    #[ignore = "waits as long as a silent target is waited for"]
    fn a_call_on_a_silent_target_is_left_behind() {
        let started = Instant::now();
        let ended = call(
            || true,
            || {
                pause();
                Ok(())
            },
        );
        assert!(matches!(ended.unwrap(), Ended::Silent));
        assert!(started.elapsed() > PATIENCE);
    }
}
