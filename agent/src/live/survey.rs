//! Which volumes iSCSI attached to the running system, what is stacked on them, and which of them
//! the system itself is on.

use super::block::{Devices, Kind};
use super::kernel::Kernel;
use super::namespace::{Namespace, namespaces};
use super::session::{Session, sessions};
use super::swap::{Swap, swaps};
use crate::error::Error;
use crate::parse::fstab;
use crate::parse::mountinfo::Mount;
use crate::root::GuestPath;

/// Where OCI serves the boot volume, and how its name begins.
pub const BOOT_VOLUME: [&str; 2] = ["169.254.0.2", "iqn.2015-02.oracle.boot"];
/// What the firmware booted from (the iSCSI Boot Firmware Table).
const FIRMWARE: &str = "/sys/firmware/ibft";
/// The flag of the target that the firmware chose.
const SELECTED: u32 = 2;
/// The devices of each btrfs, which may have several.
const BTRFS: &str = "/sys/fs/btrfs";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// OCI's boot volume, or what the firmware booted from: never touched.
    BootVolume,
    /// The system is on it, and the target is elsewhere: never touched, and no image can be made.
    System,
    /// Data.
    Data,
}

/// A session with what is stacked on its disks.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The session.
    pub session: Session,
    /// What it is for.
    pub role: Role,
    /// Its disks and all that is made of them, what uses another one before it.
    pub stack: Vec<String>,
}

/// What there is.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The sessions, by number.
    pub sessions: Vec<Attached>,
    /// All block devices.
    pub devices: Devices,
    /// All mount namespaces, our own first.
    pub namespaces: Vec<Namespace>,
    /// All swap space.
    pub swaps: Vec<Swap>,
    /// The devices of each btrfs.
    pools: Vec<Vec<String>>,
}

impl Survey {
    /// Looks at the running system; `None` where there is no session.
    ///
    /// # Errors
    ///
    /// The kernel's files could not be read.
    pub fn read(kernel: Kernel<'_>) -> Result<Option<Self>, Error> {
        let sessions = sessions(kernel)?;
        if sessions.is_empty() {
            return Ok(None);
        }
        let mut survey = Self {
            sessions: Vec::new(),
            devices: Devices::read(kernel)?,
            namespaces: namespaces(kernel)?,
            swaps: swaps(kernel)?,
            pools: pools(kernel),
        };
        let chosen = firmware_targets(kernel);
        for session in sessions {
            let stack = survey
                .devices
                .stack(session.luns.iter().map(|lun| lun.disk.as_str()));
            let role = if chosen.contains(&session.target) || is_boot_volume(&session) {
                Role::BootVolume
            } else if survey.carries_the_system(&stack) {
                Role::System
            } else {
                Role::Data
            };
            survey.sessions.push(Attached {
                session,
                role,
                stack,
            });
        }
        Ok(Some(survey))
    }

    /// The sessions that a run detaches.
    pub fn data(&self) -> impl Iterator<Item = &Attached> {
        self.sessions
            .iter()
            .filter(|attached| attached.role == Role::Data)
    }

    /// The disks of these sessions and all that is stacked on them, what uses another one before it.
    pub fn data_stack(&self) -> Vec<String> {
        let luns = self.data().flat_map(|attached| &attached.session.luns);
        self.devices.stack(luns.map(|lun| lun.disk.as_str()))
    }

    /// The sessions that lead to the same disks as this one, itself among them: one that answers is
    /// enough for a map of multipath.
    pub fn paths(&self, attached: &Attached) -> Vec<u32> {
        let is_map = |name: &&String| {
            let device = self.devices.0.get(name.as_str());
            matches!(device.map(|device| &device.kind), Some(Kind::Multipath(_)))
        };
        let maps: Vec<&String> = attached.stack.iter().filter(is_map).collect();
        let shares = |other: &&Attached| {
            other.session.id == attached.session.id
                || maps.iter().any(|map| other.stack.contains(map))
        };
        let sessions = self.sessions.iter().filter(shares);
        sessions.map(|other| other.session.id).collect()
    }

    /// Whether the disks of a session can be reached.
    pub fn is_reached(&self, attached: &Attached) -> bool {
        let paths = self.paths(attached);
        self.sessions
            .iter()
            .any(|other| paths.contains(&other.session.id) && other.session.answers())
    }

    /// The mounts of a namespace that are of devices of a stack.
    pub fn mounts_on<'a>(
        &'a self,
        namespace: &'a Namespace,
        stack: &'a [String],
    ) -> impl Iterator<Item = &'a Mount> {
        namespace
            .mounts
            .iter()
            .filter(move |mount| self.is_on(mount, stack))
    }

    /// The swap space on devices of a stack, and in files on them.
    pub fn swaps_on<'a>(&'a self, stack: &'a [String]) -> impl Iterator<Item = &'a Swap> {
        self.swaps
            .iter()
            .filter(move |swap| match self.devices.by_path(&swap.path) {
                Some(device) => stack.iter().any(|name| name == device),
                None => self.is_file_on(&swap.path, stack),
            })
    }

    /// Whether a file is in a file system on devices of a stack, as we see it.
    pub fn is_file_on(&self, file: &str, stack: &[String]) -> bool {
        let file = GuestPath::from(file);
        let mounts = self.namespaces.iter().take(1).flat_map(|own| &own.mounts);
        let holding = mounts
            .filter(|mount| file.as_path().starts_with(&mount.target))
            // A later mount hides an earlier one at the same place.
            .max_by_key(|mount| mount.target.len());
        holding.is_some_and(|mount| self.is_on(mount, stack))
    }

    /// Whether a mount of another namespace is a copy that goes away with our own.
    pub fn goes_with_ours(&self, namespace: &Namespace, mount: &Mount) -> bool {
        let own = self.namespaces.first();
        namespace.process.is_some() && own.is_some_and(|own| namespace.follows(mount, own))
    }

    /// The device that a mount is of. A btrfs has a number of its own, and names one device.
    pub fn device_of(&self, mount: &Mount) -> Option<&str> {
        self.devices
            .by_number(&mount.device)
            .or_else(|| self.devices.by_path(&mount.source))
    }

    fn is_on(&self, mount: &Mount, stack: &[String]) -> bool {
        let Some(device) = self.device_of(mount) else {
            return false;
        };
        let pool = self
            .pools
            .iter()
            .find(|pool| pool.iter().any(|name| name == device));
        stack
            .iter()
            .any(|name| name == device || pool.is_some_and(|pool| pool.contains(name)))
    }

    fn carries_the_system(&self, stack: &[String]) -> bool {
        let own = self.namespaces.iter().take(1);
        own.flat_map(|own| self.mounts_on(own, stack))
            .any(|mount| fstab::is_essential(&mount.target))
    }

    /// What a session's stack is used for, in words.
    pub fn uses(&self, attached: &Attached) -> String {
        let mut uses: Vec<String> = Vec::new();
        let mut disks: Vec<&str> = attached
            .session
            .luns
            .iter()
            .map(|lun| lun.disk.as_str())
            .collect();
        disks.sort_unstable();
        uses.extend(disks.iter().map(|disk| (*disk).to_owned()));
        let logical =
            attached
                .stack
                .iter()
                .filter_map(|name| match &self.devices.0.get(name)?.kind {
                    Kind::Logical { hidden: true, .. } | Kind::Partition(_) => None,
                    _ => self.devices.0.get(name)?.mapped_name(),
                });
        uses.extend(logical.map(|name| format!("/dev/mapper/{name}")));
        // Of what stays, no more is told than where it is.
        let told = match attached.role {
            Role::Data => self.namespaces.len(),
            Role::BootVolume | Role::System => 1,
        };
        for namespace in self.namespaces.iter().take(told) {
            for mount in self.mounts_on(namespace, &attached.stack) {
                if self.goes_with_ours(namespace, mount) {
                    continue;
                }
                let words = match &namespace.process {
                    Some(process) => format!("mounted at {} for {process}", mount.target),
                    None => format!("mounted at {}", mount.target),
                };
                if !uses.contains(&words) {
                    uses.push(words);
                }
            }
        }
        uses.extend(
            self.swaps_on(&attached.stack)
                .map(|swap| format!("swap on {}", swap.path)),
        );
        uses.join(", ")
    }
}

fn is_boot_volume(session: &Session) -> bool {
    session.portal.address == BOOT_VOLUME[0] || session.target.starts_with(BOOT_VOLUME[1])
}

/// The names of the targets that the firmware chose to boot from.
fn firmware_targets(kernel: Kernel<'_>) -> Vec<String> {
    let mut targets = Vec::new();
    for name in kernel.names(&FIRMWARE.into()) {
        if !name.starts_with("target") {
            continue;
        }
        let dir = GuestPath::from(FIRMWARE).join(name);
        let selected = kernel
            .fleeting(&dir.join("flags"))
            .and_then(|flags| flags.parse::<u32>().ok())
            .is_none_or(|flags| flags & SELECTED != 0);
        if selected {
            targets.extend(kernel.fleeting(&dir.join("target-name")));
        }
    }
    targets
}

fn pools(kernel: Kernel<'_>) -> Vec<Vec<String>> {
    let root = GuestPath::from(BTRFS);
    kernel
        .names(&root)
        .into_iter()
        .map(|pool| kernel.names(&root.join(pool).join("devices")))
        .collect()
}
