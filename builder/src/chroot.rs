//! Running the guest's own tools.
//!
//! Rebuilding an initramfs needs the guest's `update-initramfs`, which runs in a chroot that we
//! choose to enter: a bind mount of the guest without `noexec`, with a `/dev` of five harmless
//! devices, empty `/tmp` and `/run` in memory, and its own process, IPC, host-name and network
//! namespaces (so no network at all). There this program starts itself anew, to leave the host
//! behind and become the guest's (see [`crate::guest_exec`]). Nothing of it outlives the call.

use std::env;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use byoi_agent::apply::GuestShell;
use byoi_agent::cmd::{Cmd, CmdError};
use byoi_agent::error::Error;
use byoi_agent::guest::GuestCommand;
use byoi_agent::narration::tell;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::symlinkat;
use tempfile::TempDir;

use crate::guest_exec::GUEST_EXEC;

/// The devices that every program expects: name, major, minor.
const DEVICES: [(&str, u64, u64); 5] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
];
/// The links into `/proc` that shells expect in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Runs commands inside a mounted guest.
#[derive(Debug)]
pub struct ChrootShell {
    /// Where the guest is mounted.
    root: PathBuf,
    /// The mount points inside the guest, `/` first.
    mount_points: Vec<PathBuf>,
    /// Where a directory for the chroot may be made.
    workdir: PathBuf,
}

impl ChrootShell {
    /// A shell for the guest that is mounted at `root`, with further file systems at
    /// `mount_points` (guest paths, links resolved).
    pub fn new(root: &Path, mount_points: Vec<PathBuf>, workdir: &Path) -> Self {
        Self {
            root: root.to_owned(),
            mount_points,
            workdir: workdir.to_owned(),
        }
    }
}

impl GuestShell for ChrootShell {
    fn run(&self, command: &GuestCommand) -> Result<(), Error> {
        let chroot = Chroot::enter(self).map_err(Error::io("entering", &self.root.display()))?;
        let ran = chroot.run(&command.argv);
        let left = chroot
            .leave()
            .map_err(Error::io("leaving", &self.root.display()));
        ran.map_err(Error::Command).and(left)
    }
}

/// The mounts of one command, taken down in reverse order.
#[derive(Debug)]
struct Chroot {
    /// This program, which becomes the guest's.
    program: PathBuf,
    dir: Option<TempDir>,
    mounts: Vec<PathBuf>,
}

impl Chroot {
    fn enter(shell: &ChrootShell) -> io::Result<Self> {
        let dir = TempDir::with_prefix_in("byoi-chroot-", &shell.workdir)?;
        let target = dir.path().to_owned();
        let mut chroot = Self {
            program: env::current_exe()?,
            dir: Some(dir),
            mounts: Vec::new(),
        };
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&shell.root), &target, NONE, bind, NONE)?;
        chroot.mounts.push(target.clone());
        let root = open(
            &target,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        for point in &shell.mount_points {
            let exec =
                MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(NONE, &by_fd(&open_in(&root, point)?), NONE, exec, NONE)?;
        }
        for (point, options) in [
            ("dev", "mode=0755,size=64k"),
            ("run", "mode=0755"),
            ("tmp", "mode=1777"),
        ] {
            mount_tmpfs(&root, point, options)?;
        }
        fill_dev(&open_in(&root, Path::new("dev"))?)?;
        Ok(chroot)
    }

    fn run(&self, argv: &[String]) -> Result<(), CmdError> {
        Cmd::new("unshare")
            .args(["--mount", "--ipc", "--uts", "--net", "--pid", "--fork"])
            .arg("--kill-child")
            .arg("--")
            .arg(&self.program)
            .arg(GUEST_EXEC)
            .arg(self.path())
            .arg("--")
            .args(argv)
            .run()
            .map(drop)
    }

    fn path(&self) -> &Path {
        self.dir
            .as_ref()
            .map_or(Path::new("/nonexistent"), TempDir::path)
    }

    fn leave(mut self) -> io::Result<()> {
        self.unmount()?;
        match self.dir.take() {
            Some(dir) => std::fs::remove_dir(dir.keep()),
            None => Ok(()),
        }
    }

    /// The bind mount is recursive, so everything below goes with it.
    fn unmount(&mut self) -> io::Result<()> {
        while let Some(target) = self.mounts.pop() {
            umount2(&target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
        }
        Ok(())
    }
}

impl Drop for Chroot {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tell(format_args!("unmounting the chroot: {error}"));
        }
        if let Some(dir) = self.dir.take() {
            // Never recursively: what is still mounted there is the guest.
            if let Err(error) = std::fs::remove_dir(dir.keep()) {
                tell(format_args!(
                    "removing the directory of the chroot: {error}"
                ));
            }
        }
    }
}

const NONE: Option<&str> = None;

/// Opens a directory of the guest, wherever its links try to lead.
fn open_in(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(openat2(root, relative, how)?)
}

fn mount_tmpfs(root: &OwnedFd, point: &str, options: &str) -> io::Result<()> {
    let target = open_in(root, Path::new(point))?;
    mount(
        Some("tmpfs"),
        &by_fd(&target),
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        Some(options),
    )?;
    Ok(())
}

fn by_fd(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn fill_dev(dev: &OwnedFd) -> io::Result<()> {
    let dir = by_fd(dev);
    for (name, major, minor) in DEVICES {
        mknod(
            &dir.join(name),
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o666),
            makedev(major, minor),
        )?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name)?;
    }
    Ok(())
}
