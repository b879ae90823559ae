//! Attaching again what a record says.
//!
//! To be called once the files are as they were: the initiator logs in with its node records, and
//! finds the CHAP secrets there. What is attached already is left as it is, so that this can be
//! repeated; what fails does not keep the rest away.

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use super::block::{Devices, Kind};
use super::error::LiveError;
use super::kernel::Kernel;
use super::namespace::mounts;
use super::record::{GroupRecord, MountRecord, Record, SessionRecord, Source, SwapRecord};
use super::session::sessions;
use super::swap;
use super::tool::{iscsiadm, tool};
use crate::cmd::CmdError;
use crate::error::Error;
use crate::interrupt;
use crate::parse::mountinfo::Mount;
use crate::root::{GuestPath, GuestRoot, GuestRootMut};

/// How long a device may take to appear after the login.
const SETTLE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const POLL: Duration = Duration::from_millis(200);
/// iscsiadm's word for a session that is there already (`iscsi_err.h`).
const SESSION_EXISTS: [i32; 1] = [15];
/// The interface that a session goes through unless told otherwise.
const DEFAULT_INTERFACE: &str = "default";

/// Attaches what was detached, and forgets the record when all of it is attached.
///
/// # Errors
///
/// [`LiveError::Partial`] says what could not be attached.
pub fn reattach(record: &Record, root: &GuestRootMut) -> Result<(), Error> {
    if record.is_empty() {
        return Ok(());
    }
    let mut attempt = Attempt {
        kernel: Kernel(root.reader()),
        failures: Vec::new(),
    };
    attempt.all(record)?;
    if attempt.failures.is_empty() {
        Record::forget(root)
    } else {
        Err(Error::Live(LiveError::Partial(attempt.failures)))
    }
}

struct Attempt<'a> {
    kernel: Kernel<'a>,
    failures: Vec<String>,
}

impl Attempt<'_> {
    fn all(&mut self, record: &Record) -> Result<(), Error> {
        // Units are made from fstab, which has its entries again.
        if record.mounts.iter().any(|mount| mount.automount.is_some()) {
            self.command(tool("systemctl").arg("daemon-reload").run());
        }
        for session in &record.sessions {
            self.log_in(session)?;
        }
        for map in &record.maps {
            self.map(map)?;
        }
        for array in &record.arrays {
            if !Devices::read(self.kernel)?.0.contains_key(array) {
                self.command(tool("mdadm").args(["--assemble", "--scan"]).run());
            }
        }
        for group in &record.groups {
            self.activate(group);
        }
        for mapping in &record.mappings {
            let source = Source::Mapped {
                name: mapping.clone(),
            };
            if find(self.kernel, &source)?.is_none() {
                self.failures.push(format!(
                    "/dev/mapper/{mapping} is not open: open it as you did before, for example \
                     with cryptsetup open"
                ));
            }
        }
        for mount in &record.mounts {
            self.mount(mount)?;
        }
        // Some of it may be files.
        for swap in &record.swaps {
            self.swap_on(swap)?;
        }
        for unit in &record.services {
            self.command(tool("systemctl").args(["start", unit]).run());
        }
        Ok(())
    }

    fn command<T>(&mut self, ran: Result<T, CmdError>) {
        if let Err(error) = ran {
            let source = error.source().map(|source| format!(": {source}"));
            self.failures
                .push(format!("{error}{}", source.unwrap_or_default()));
        }
    }

    fn log_in(&mut self, session: &SessionRecord) -> Result<(), Error> {
        let there = sessions(self.kernel)?.iter().any(|other| {
            other.target == session.target
                && other.portal == session.portal
                && other.interface == session.interface
        });
        if there {
            return Ok(());
        }
        let portal = session.portal.to_string();
        let node = ["-m", "node", "-T", &session.target, "-p", &portal];
        let has_record = session
            .records
            .iter()
            .any(|record| self.kernel.has(&record.as_str().into()));
        if !has_record {
            self.command(iscsiadm(&[&node[..], &["-o", "new"]].concat(), &[]));
        }
        let through = ["-I", &session.interface];
        let through = if session.interface == DEFAULT_INTERFACE || session.interface.is_empty() {
            &[][..]
        } else {
            &through[..]
        };
        let login = [&node[..], through, &["--login"]].concat();
        self.command(iscsiadm(&login, &SESSION_EXISTS));
        Ok(())
    }

    /// Waits for the map that the daemon makes; without a daemon, has it made.
    fn map(&mut self, name: &str) -> Result<(), Error> {
        let source = Source::Mapped {
            name: name.to_owned(),
        };
        if self.device(&source)?.is_none() {
            self.command(tool("multipath").run());
        }
        Ok(())
    }

    fn activate(&mut self, group: &GroupRecord) {
        let ran = if group.volumes.is_empty() {
            tool("vgchange").args(["--activate", "y", &group.name])
        } else {
            let volumes = group.volumes.iter();
            tool("lvchange")
                .args(["--activate", "y"])
                .args(volumes.map(|volume| format!("{}/{volume}", group.name)))
        };
        // The disks may not be there yet.
        let until = Instant::now() + SETTLE;
        loop {
            match ran.run() {
                Err(CmdError::Failed { .. }) if Instant::now() < until => thread::sleep(POLL),
                ran => return self.command(ran),
            }
        }
    }

    fn swap_on(&mut self, swap: &SwapRecord) -> Result<(), Error> {
        let Some(path) = self.awaited(&swap.source)? else {
            return Ok(());
        };
        if is_swap(self.kernel, &path)? {
            return Ok(());
        }
        let mut swapon = tool("swapon");
        if swap.priority >= 0 {
            swapon = swapon.args(["-p", &swap.priority.to_string()]);
        }
        let ran = swapon.arg(&path).run();
        // A unit of the guest may have been faster.
        if ran.is_err() && !is_swap(self.kernel, &path)? {
            self.command(ran);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &MountRecord) -> Result<(), Error> {
        if let Some(unit) = &mount.automount {
            self.command(tool("systemctl").args(["start", unit]).run());
            return Ok(());
        }
        let Some(path) = self.awaited(&mount.source)? else {
            return Ok(());
        };
        let there = of_device(self.kernel, &path)?;
        let is_there = |mounts: &[Mount]| mounts.iter().any(|own| own.target == mount.target);
        if is_there(&there) {
            return Ok(());
        }
        let ran = if mount.root == "/" {
            let what = ["-t", &mount.fs_type, "-o", &mount.options, &path];
            tool("mount").args(what).arg(&mount.target).run()
        } else if let Some(whole) = there.iter().find(|own| own.root == "/") {
            let from = format!("{}{}", whole.target.trim_end_matches('/'), mount.root);
            tool("mount").args(["--bind", &from, &mount.target]).run()
        } else {
            self.failures.push(format!(
                "{} is the directory {} of {path}, which is mounted nowhere: mount that, then bind it",
                mount.target, mount.root
            ));
            return Ok(());
        };
        // A unit of the guest may have been faster.
        if ran.is_err() && !is_there(&of_device(self.kernel, &path)?) {
            self.command(ran);
        }
        Ok(())
    }

    /// The path of a device, once it is there; a device that does not come is a failure.
    fn awaited(&mut self, source: &Source) -> Result<Option<String>, Error> {
        let found = self.device(source)?;
        if found.is_none() {
            self.failures.push(format!(
                "{source} did not appear: see iscsiadm -m session -P 3"
            ));
        }
        Ok(found)
    }

    /// The path of a device, waited for; `None` where it does not come.
    fn device(&self, source: &Source) -> Result<Option<String>, Error> {
        let until = Instant::now() + SETTLE;
        loop {
            interrupt::check().map_err(Error::Interrupted)?;
            if let Some(path) = find(self.kernel, source)? {
                return Ok(Some(path));
            }
            // Without a failure so far, something is under way that brings it.
            if Instant::now() > until || !self.failures.is_empty() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

/// Whether a device or file is swapped to.
fn is_swap(kernel: Kernel<'_>, path: &str) -> Result<bool, Error> {
    let devices = Devices::read(kernel)?;
    let device = devices.by_path(path);
    Ok(swap::swaps(kernel)?.iter().any(|swap| {
        swap.path == path || (device.is_some() && devices.by_path(&swap.path) == device)
    }))
}

/// Our own mounts of a device.
fn of_device(kernel: Kernel<'_>, path: &str) -> Result<Vec<Mount>, Error> {
    let devices = Devices::read(kernel)?;
    let device = devices.by_path(path);
    let mut own = mounts(kernel, None)?;
    own.retain(|mount| {
        let found = devices
            .by_number(&mount.device)
            .or_else(|| devices.by_path(&mount.source));
        mount.source == path || (device.is_some() && found == device)
    });
    Ok(own)
}

/// The path of a device now.
fn find(kernel: Kernel<'_>, source: &Source) -> Result<Option<String>, Error> {
    let path = match source {
        Source::Path { path } => Some(path.clone()),
        Source::Mapped { name } => Devices::read(kernel)?
            .0
            .values()
            .any(|device| device.mapped_name() == Some(name))
            .then(|| format!("/dev/mapper/{name}")),
        Source::Lun {
            target,
            portal,
            lun,
            partition,
        } => sessions(kernel)?
            .iter()
            .filter(|session| session.target == *target && session.portal == *portal)
            .flat_map(|session| &session.luns)
            .find(|found| found.number == *lun)
            .and_then(|found| part_of(kernel, &found.disk, *partition)),
    };
    Ok(path.filter(|path| exists(kernel.0, path)))
}

fn part_of(kernel: Kernel<'_>, disk: &str, partition: Option<u32>) -> Option<String> {
    let Some(number) = partition else {
        return Some(format!("/dev/{disk}"));
    };
    let devices = Devices::read(kernel).ok()?;
    let found = devices.0.iter().find(|(_, device)| {
        device.disk.as_deref() == Some(disk) && device.kind == Kind::Partition(number)
    });
    found.map(|(name, _)| format!("/dev/{name}"))
}

fn exists(root: &GuestRoot, path: &str) -> bool {
    let path = GuestPath::from(path);
    Kernel(root).has(&path)
}
