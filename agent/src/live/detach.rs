//! Doing one operation of a plan.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::syncfs;

use super::block::Devices;
use super::child::{self, Ended};
use super::error::LiveError;
use super::kernel::Kernel;
use super::namespace::{Process, directory, mounts};
use super::operation::Operation;
use super::session::{Session, sessions};
use super::swap;
use super::tool::{iscsiadm, tool};
use crate::error::Error;
use crate::root::GuestRootMut;

/// How long a session may take to end.
const SETTLE: Duration = Duration::from_secs(60);
/// The pause between two attempts to end it.
const POLL: Duration = Duration::from_secs(1);
/// iscsiadm's words for a session that is not there (`iscsi_err.h`).
const NO_SESSION: [i32; 2] = [2, 21];

/// Does it. What is done already is left as it is.
///
/// # Errors
///
/// It could not be done; everything before it stays done.
pub fn run(operation: &Operation, root: &GuestRootMut) -> Result<(), Error> {
    let kernel = Kernel(root.reader());
    match operation {
        Operation::Remember(record) => return record.remember(root),
        Operation::Stop { unit } => command(tool("systemctl").args(["stop", unit]).run()),
        Operation::Unmount {
            id,
            target,
            process,
            paths,
        } => {
            let there = mounts(kernel, process.as_ref().map(|process| process.id))?;
            if there.iter().any(|mount| mount.id == *id) {
                unmount(kernel, target, process.as_ref(), paths)
            } else {
                Ok(())
            }
        }
        Operation::SwapOff { path, paths } => {
            if swap::swaps(kernel)?.iter().any(|swap| swap.path == *path) {
                swap_off(kernel, path, paths)
            } else {
                Ok(())
            }
        }
        Operation::Deactivate {
            group,
            volumes,
            mapped,
        } => deactivate(kernel, group, volumes, mapped)?,
        Operation::FlushMap(name) => remove(kernel, name, "multipath", &["-f", name])?,
        Operation::RemoveMapping(name) => {
            remove(kernel, name, "dmsetup", &["remove", "--retry", name])?
        }
        Operation::StopArray(name) => {
            if Devices::read(kernel)?.0.contains_key(name) {
                command(
                    tool("mdadm")
                        .args(["--stop", &format!("/dev/{name}")])
                        .run(),
                )
            } else {
                Ok(())
            }
        }
        Operation::LogOut(session) => log_out(kernel, session)?,
    }
    .map_err(Error::Live)
}

fn command<T>(ran: Result<T, crate::cmd::CmdError>) -> Result<(), LiveError> {
    ran.map(drop).map_err(LiveError::Command)
}

/// Whether a disk waits for its target: none of the sessions that lead to it answers.
fn silent<'a>(kernel: Kernel<'a>, paths: &'a [Vec<u32>]) -> impl Fn() -> bool + 'a {
    move || {
        let sessions = sessions(kernel).unwrap_or_default();
        paths.iter().any(|path| {
            let mut path = sessions.iter().filter(|session| path.contains(&session.id));
            let waits = |session: &Session| !session.answers();
            path.next().is_some_and(waits) && path.all(waits)
        })
    }
}

/// What a call in a process of its own came to.
fn called(
    ended: io::Result<Ended>,
    action: &'static str,
    object: &str,
    next: &str,
) -> Result<(), LiveError> {
    let object = object.to_owned();
    let failed = |source| LiveError::Call {
        action,
        object: object.clone(),
        source,
    };
    match ended.map_err(failed)? {
        Ended::Returned(Ok(())) => Ok(()),
        Ended::Returned(Err(Errno::EBUSY)) => Err(LiveError::InUse {
            action,
            object,
            next: next.to_owned(),
        }),
        Ended::Returned(Err(errno)) => Err(failed(errno.into())),
        Ended::Silent => Err(LiveError::Silent { action, object }),
    }
}

fn c_string(action: &'static str, path: &str) -> Result<CString, LiveError> {
    CString::new(path).map_err(|error| LiveError::Call {
        action,
        object: path.to_owned(),
        source: error.into(),
    })
}

/// Writes out first: once the mount is gone, nothing shows any more that there is something to
/// write.
fn unmount(
    kernel: Kernel<'_>,
    target: &str,
    process: Option<&Process>,
    paths: &[Vec<u32>],
) -> Result<(), LiveError> {
    let path = c_string("unmounting", target)?;
    let namespace = match process {
        None => None,
        Some(process) => Some(namespace_of(process)?),
    };
    let enter = || match &namespace {
        Some(namespace) => setns(namespace, CloneFlags::CLONE_NEWNS),
        None => Ok(()),
    };
    let written = child::call(silent(kernel, paths), || {
        enter()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        syncfs(open(path.as_c_str(), flags, Mode::empty())?)
    });
    match called(written, "writing out", target, "") {
        Err(LiveError::Call { object, source, .. }) => Err(LiveError::Lost { object, source }),
        written => written,
    }?;
    let unmounted = child::call(silent(kernel, paths), || {
        enter()?;
        umount2(path.as_c_str(), MntFlags::UMOUNT_NOFOLLOW)
    });
    let next = "see who uses it with fuser -vm, or which export or loop device does";
    called(unmounted, "unmounting", target, next)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a namespace is named by a magic link of the running kernel"
)]
fn namespace_of(process: &Process) -> Result<File, LiveError> {
    let path = directory(process.id).join("ns/mnt");
    File::open(path.as_path()).map_err(|source| LiveError::Call {
        action: "opening",
        object: path.to_string(),
        source,
    })
}

fn swap_off(kernel: Kernel<'_>, path: &str, paths: &[Vec<u32>]) -> Result<(), LiveError> {
    let action = "switching off the swap space";
    let file = c_string(action, path)?;
    let ended = child::call(silent(kernel, paths), || child::swap_off(&file));
    called(ended, action, path, "end what needs so much memory")
}

fn deactivate(
    kernel: Kernel<'_>,
    group: &str,
    volumes: &[String],
    mapped: &[String],
) -> Result<Result<(), LiveError>, Error> {
    if left(kernel, mapped)?.is_empty() {
        return Ok(Ok(()));
    }
    let ran = if volumes.is_empty() {
        tool("vgchange").args(["--activate", "n", group]).run()
    } else {
        let volumes = volumes.iter().map(|volume| format!("{group}/{volume}"));
        tool("lvchange")
            .args(["--activate", "n"])
            .args(volumes)
            .run()
    };
    // A group whose metadata is gone is still mapped.
    for name in left(kernel, mapped)? {
        if let Err(error) = tool("dmsetup").args(["remove", "--retry", &name]).run() {
            return Ok(command(ran).and(Err(LiveError::Command(error))));
        }
    }
    Ok(Ok(()))
}

/// Those of these mappings that are there.
fn left(kernel: Kernel<'_>, mapped: &[String]) -> Result<Vec<String>, Error> {
    let devices = Devices::read(kernel)?;
    let there = |name: &&String| {
        devices
            .0
            .values()
            .any(|device| device.mapped_name() == Some(name.as_str()))
    };
    Ok(mapped.iter().filter(there).cloned().collect())
}

fn remove(
    kernel: Kernel<'_>,
    name: &str,
    program: &str,
    args: &[&str],
) -> Result<Result<(), LiveError>, Error> {
    if left(kernel, &[name.to_owned()])?.is_empty() {
        return Ok(Ok(()));
    }
    Ok(command(tool(program).args(args).run()))
}

fn log_out(kernel: Kernel<'_>, session: &Session) -> Result<Result<(), LiveError>, Error> {
    let there = || -> Result<bool, Error> {
        let now = sessions(kernel)?;
        Ok(now
            .iter()
            .any(|other| other.id == session.id && other.target == session.target))
    };
    if !there()? {
        return Ok(Ok(()));
    }
    let devices = Devices::read(kernel)?;
    let stack = devices.stack(session.luns.iter().map(|lun| lun.disk.as_str()));
    for device in stack {
        if let Err(error) = unheld(kernel, session, &device) {
            return Ok(Err(error));
        }
    }
    let args = ["-m", "session", "-r", &session.id.to_string(), "-u"];
    let until = Instant::now() + SETTLE;
    loop {
        // A daemon that was started just now connects anew first, and knows no session meanwhile.
        let ran = iscsiadm(&args, &NO_SESSION);
        if !there()? {
            return Ok(Ok(()));
        }
        if Instant::now() > until {
            return Ok(command(ran).and(Err(LiveError::Unfinished {
                object: session.to_string(),
                state: "is still there after it was logged out",
                next: "see whether its target answers, and run this again".to_owned(),
            })));
        }
        thread::sleep(POLL);
    }
}

/// The kernel holds a disk for as long as a file system on it is not written out, seen or unseen.
fn unheld(kernel: Kernel<'_>, session: &Session, device: &str) -> Result<(), LiveError> {
    let action = "releasing";
    let object = format!("/dev/{device}");
    let path = c_string(action, &object)?;
    let flags = OFlag::O_RDONLY | OFlag::O_EXCL | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let own = [vec![session.id]];
    let ended = child::call(silent(kernel, &own), || {
        match open(path.as_c_str(), flags, Mode::empty()) {
            Err(Errno::EBUSY) => Err(Errno::EBUSY),
            // A disk that is gone, or that cannot be read, is held by nobody.
            _ => Ok(()),
        }
    });
    if matches!(ended, Ok(Ended::Silent)) {
        // The kernel asks who holds a disk before it asks the disk.
        return Ok(());
    }
    let next = "see what holds it with lsblk, or wait until all is written to it";
    called(ended, action, &object, next)
}
