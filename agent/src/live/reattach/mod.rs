//! Attaching again what a record says.
//!
//! To be called once the files are as they were: the initiator logs in with its node records, and
//! finds the CHAP secrets there. What is attached already is left as it is, so that this can be
//! repeated; what fails does not keep the rest away.

mod device;
mod mount;

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use super::block::Devices;
use super::error::LiveError;
use super::kernel::Kernel;
use super::record::{GroupRecord, Record, SessionRecord, Source, SwapRecord};
use super::services::has_systemd;
use super::session::sessions;
use super::swap;
use super::tool::{iscsiadm, tool};
use crate::cmd::CmdError;
use crate::error::Error;
use crate::interrupt;
use crate::root::GuestRootMut;
use device::find;

/// How long devices may take to appear after the last login.
const SETTLE: Duration = Duration::from_secs(30);
/// How often it is looked for.
const POLL: Duration = Duration::from_millis(200);
/// iscsiadm's word for a session that is there already (`iscsi_err.h`).
const SESSION_EXISTS: [i32; 1] = [15];
/// The interface that a session goes through unless told otherwise.
const DEFAULT_INTERFACE: &str = "default";
/// systemctl's word for a unit that there is not (systemctl(1)).
const NO_UNIT: [i32; 1] = [5];

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
        until: Instant::now(),
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
    /// Until when devices are waited for.
    until: Instant,
    failures: Vec<String>,
}

impl Attempt<'_> {
    fn all(&mut self, record: &Record) -> Result<(), Error> {
        let has_systemd = has_systemd(self.kernel);
        // Units are made from fstab, which has its entries again: they tell what goes before the
        // network does when the machine stops.
        if has_systemd && !(record.mounts.is_empty() && record.swaps.is_empty()) {
            self.command(tool("systemctl").arg("daemon-reload").run());
        }
        let mut away = Vec::new();
        for session in &record.sessions {
            if !self.is_logged_in(session)? {
                away.push(session);
            }
        }
        // The daemon keeps the initiator's name that it found when it started, which a prepared
        // system made anew. Sessions outlive it.
        if has_systemd && !away.is_empty() {
            let restart = tool("systemctl").args(["try-restart", "iscsid.service"]);
            self.command(restart.success_codes(&NO_UNIT).run());
        }
        for session in away {
            self.log_in(session);
        }
        self.until = Instant::now() + SETTLE;
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
            if self.device(&source)?.is_none() {
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

    fn is_logged_in(&self, session: &SessionRecord) -> Result<bool, Error> {
        Ok(sessions(self.kernel)?.iter().any(|other| {
            other.target == session.target
                && other.portal == session.portal
                && other.interface == session.interface
        }))
    }

    fn log_in(&mut self, session: &SessionRecord) {
        let portal = session.portal.to_string();
        let node = ["-m", "node", "-T", &session.target, "-p", &portal];
        let has_record = |record: &String| self.kernel.has(&record.as_str().into());
        if session.records.is_empty() {
            self.command(iscsiadm(&[&node[..], &["-o", "new"]].concat(), &[]));
        } else if !session.records.iter().any(has_record) {
            self.failures.push(format!(
                "{} at {portal} has no node record: it is in the bundle of an earlier prepare, \
                 restore that as well",
                session.target
            ));
            return;
        }
        let through = ["-I", &session.interface];
        let through = if session.interface == DEFAULT_INTERFACE || session.interface.is_empty() {
            &[][..]
        } else {
            &through[..]
        };
        let login = [&node[..], through, &["--login"]].concat();
        self.command(iscsiadm(&login, &SESSION_EXISTS));
    }

    /// Waits for the map that the daemon makes; without a daemon, has it made.
    fn map(&mut self, name: &str) -> Result<(), Error> {
        let source = Source::Mapped {
            name: name.to_owned(),
        };
        if self.device(&source)?.is_none() {
            self.command(tool("multipath").run());
            self.until = Instant::now() + SETTLE;
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
        loop {
            match ran.run() {
                Err(CmdError::Failed { .. }) if Instant::now() < self.until => thread::sleep(POLL),
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
        loop {
            interrupt::check().map_err(Error::Interrupted)?;
            if let Some(path) = find(self.kernel, source)? {
                return Ok(Some(path));
            }
            if Instant::now() > self.until {
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
