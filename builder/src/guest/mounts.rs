//! Mounts and the devices below them as one stack: what came last goes first.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use byoi_agent::failpoint;
use byoi_agent::narration::tell;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::syncfs;
use sys_mount::{Mount, MountFlags, Unmount, UnmountFlags};

use super::GuestError;
use super::confined;
use crate::disk::{Access, AttachedDisk, Device};
use crate::layout::{ContentKind, LinuxFs, Part, PartId};
use crate::lvm::Backing;

/// How long a mount may stay in use by a process that is about to end.
const UNMOUNT_TRIES: u32 = 20;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(100);

/// A file system and how it is mounted.
#[derive(Debug)]
pub(super) struct Mountable {
    part: PartId,
    backing: Backing,
    access: Access,
    driver: &'static str,
    options: String,
}

impl Mountable {
    /// How to mount a part of the disk; `None` where it holds no file system that byoi mounts, or
    /// cannot be had. The mount option `subvolume` chooses what is mounted of a btrfs.
    pub(super) fn new(part: Part<'_>, access: Access, subvolume: Option<&str>) -> Option<Self> {
        let kind = part.content().kind;
        let driver = match kind.linux_fs() {
            Some(fs) => fs.driver(),
            None if kind == ContentKind::Vfat => "vfat",
            None => return None,
        };
        // Read-only means: leave even the journal alone. A read-only loop device would refuse.
        let mut options = match (kind.linux_fs(), access) {
            // A superblock may ask for a panic of the kernel that finds an error.
            (Some(LinuxFs::Ext), Access::ReadOnly) => "noload,errors=remount-ro".to_owned(),
            (Some(LinuxFs::Ext), Access::ReadWrite) => "errors=remount-ro".to_owned(),
            // Without nouuid a clone of a mounted file system is refused.
            (Some(LinuxFs::Xfs), Access::ReadOnly) => "norecovery,nouuid".to_owned(),
            (Some(LinuxFs::Xfs), Access::ReadWrite) => "nouuid".to_owned(),
            (Some(LinuxFs::Btrfs), Access::ReadOnly) => "rescue=nologreplay".to_owned(),
            (Some(LinuxFs::Btrfs), Access::ReadWrite) | (None, _) => String::new(),
        };
        if let (Some(LinuxFs::Btrfs), Some(subvolume)) = (kind.linux_fs(), subvolume) {
            if !options.is_empty() {
                options.push(',');
            }
            options.push_str(subvolume);
        }
        Some(Self {
            part: part.id(),
            backing: part.backing()?,
            access,
            driver,
            options,
        })
    }
}

/// One mount.
#[derive(Debug)]
struct Mounted {
    /// The path in the guest.
    point: String,
    access: Access,
    mount: Mount,
    /// The directory below the mount. The mount is addressed through it, by
    /// `/proc/self/fd/N`: whatever the guest's links lead to, this is where it went.
    _below: OwnedFd,
}

/// A directory, the mounts on and below it, and the devices that they come from.
#[derive(Debug)]
pub(super) struct MountStack {
    dir: PathBuf,
    mounts: Vec<Mounted>,
    devices: Vec<(PartId, Device)>,
    done: bool,
}

impl MountStack {
    /// Makes an empty directory in `workdir` to mount on.
    pub(super) fn new(workdir: &Path) -> Result<Self, GuestError> {
        let dir = tempfile::Builder::new()
            .prefix("byoi-guest-")
            .tempdir_in(workdir)
            .map_err(|source| GuestError::Workdir {
                action: "making a directory to mount on in",
                path: workdir.to_owned(),
                source,
            })?;
        Ok(Self {
            // Kept, since its own drop would delete what is in it: the guest's files.
            dir: dir.keep(),
            mounts: Vec::new(),
            devices: Vec::new(),
            done: false,
        })
    }

    /// The directory at the bottom.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn device(&self, part: &PartId) -> Option<&Device> {
        self.devices
            .iter()
            .find(|(own, _)| own == part)
            .map(|(_, device)| device)
    }

    /// Opens the top directory of a mounted file system.
    pub(super) fn open(&self, point: &str) -> io::Result<OwnedFd> {
        confined::open(&File::open(&self.dir)?, point, OFlag::O_DIRECTORY)
    }

    /// Mounts a file system at the guest's `point`; the first one at `/`.
    pub(super) fn mount(
        &mut self,
        disk: &AttachedDisk,
        what: &Mountable,
        point: &str,
    ) -> Result<(), GuestError> {
        let below = self.open_point(point)?;
        let part = &what.part;
        if self.device(part).is_none() {
            let device = disk
                .attach_backing(&what.backing, what.access)
                .map_err(|source| GuestError::Attach {
                    part: part.clone(),
                    source,
                })?;
            self.devices.push((part.clone(), device));
        }
        let Some(device) = self.device(part) else {
            return Ok(());
        };
        let mut flags =
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        if what.access == Access::ReadOnly {
            flags |= MountFlags::RDONLY;
        }
        let mount = Mount::builder()
            .fstype(what.driver)
            .flags(flags)
            .data(&what.options)
            .mount(
                device.path(),
                format!("/proc/self/fd/{}", below.as_raw_fd()),
            )
            .map_err(|source| GuestError::Mount {
                part: part.clone(),
                driver: what.driver,
                point: point.to_owned(),
                source,
            })?;
        // Of what can be ordered here, only a signal matters.
        failpoint::reach("mount").ok();
        self.mounts.push(Mounted {
            point: point.to_owned(),
            access: what.access,
            mount,
            _below: below,
        });
        Ok(())
    }

    fn open_point(&self, point: &str) -> Result<OwnedFd, GuestError> {
        let error = |source| GuestError::Point {
            point: point.to_owned(),
            source,
        };
        let root = File::open(&self.dir).map_err(error)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let below = confined::open(&root, point, flags).map_err(error)?;
        if !self.mounts.is_empty() {
            // A mount on the root itself would hide it.
            let place = |file: &File| {
                file.metadata()
                    .map(|metadata| (metadata.dev(), metadata.ino()))
            };
            let below = File::from(below.try_clone().map_err(error)?);
            if place(&below).map_err(error)? == place(&root).map_err(error)? {
                return Err(GuestError::PointIsRoot {
                    point: point.to_owned(),
                });
            }
        }
        Ok(below)
    }

    /// Writes back, unmounts, detaches and removes the directory, in this order.
    ///
    /// A failed write does not keep a file system mounted; it is reported in the end. A mount
    /// point in use does, and all below it with it.
    pub(super) fn tear_down(&mut self) -> Result<(), GuestError> {
        let mut flushed = Ok(());
        while let Some(mounted) = self.mounts.last() {
            if mounted.access == Access::ReadWrite {
                flushed = flushed.and(self.flush(&mounted.point));
            }
            unmount(mounted)?;
            self.mounts.pop();
        }
        while let Some((part, device)) = self.devices.pop() {
            device
                .detach()
                .map_err(|source| GuestError::Detach { part, source })?;
        }
        if !self.done {
            self.done = true;
            // Never the content: if a mount were left after all, that would be the guest.
            fs::remove_dir(&self.dir).map_err(|source| GuestError::Workdir {
                action: "removing",
                path: self.dir.clone(),
                source,
            })?;
        }
        flushed
    }

    /// Writes back what is in memory of the file system at `point`; only this reports errors of
    /// late writes.
    pub(super) fn flush(&self, point: &str) -> Result<(), GuestError> {
        self.open(point)
            .and_then(|directory| syncfs(directory).map_err(io::Error::from))
            .map_err(|source| GuestError::Flush {
                point: point.to_owned(),
                source,
            })
    }
}

impl Drop for MountStack {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            tell(error.reason());
        }
    }
}

fn unmount(mounted: &Mounted) -> Result<(), GuestError> {
    let mut tries = 0;
    loop {
        match mounted.mount.unmount(UnmountFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(error)
                if error.raw_os_error().map(Errno::from_raw) == Some(Errno::EBUSY)
                    && tries < UNMOUNT_TRIES =>
            {
                tries += 1;
                thread::sleep(UNMOUNT_PAUSE);
            }
            Err(source) => {
                return Err(GuestError::Unmount {
                    point: mounted.point.clone(),
                    source,
                });
            }
        }
    }
}
