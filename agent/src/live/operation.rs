//! One thing that is done to detach a volume.

use std::fmt;

use super::namespace::Process;
use super::record::{PLACE, Record};
use super::session::Session;

/// One thing to do. Doing it twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Keeps the record of what is about to be detached.
    Remember(Record),
    /// Stops a service.
    Stop {
        /// The unit.
        unit: String,
    },
    /// Writes out a file system, then unmounts it.
    Unmount {
        /// The number of the mount.
        id: u64,
        /// Where it is, as the namespace sees it.
        target: String,
        /// A process of the namespace; `None` for our own.
        process: Option<Process>,
        /// The sessions below it, by disk: one of each has to answer.
        paths: Vec<Vec<u32>>,
    },
    /// Moves what is swapped out back to memory.
    SwapOff {
        /// The device or file.
        path: String,
        /// The sessions below it, by disk: one of each has to answer.
        paths: Vec<Vec<u32>>,
    },
    /// Deactivates a volume group.
    Deactivate {
        /// The group.
        group: String,
        /// The volumes; empty for all.
        volumes: Vec<String>,
        /// The names in `/dev/mapper` that shall be gone.
        mapped: Vec<String>,
    },
    /// Flushes a map of multipath.
    FlushMap(String),
    /// Stops a RAID array.
    StopArray(String),
    /// Removes any other mapping.
    RemoveMapping(String),
    /// Ends a session, once nothing holds its disks any more.
    LogOut(Session),
}

impl Operation {
    /// What it is done to.
    pub fn subject(&self) -> String {
        match self {
            Self::Remember(_) => PLACE.to_owned(),
            Self::Stop { unit } => unit.clone(),
            Self::Unmount { target, .. } => target.clone(),
            Self::SwapOff { path, .. } => path.clone(),
            Self::Deactivate { group, .. } => group.clone(),
            Self::FlushMap(name) | Self::RemoveMapping(name) => format!("/dev/mapper/{name}"),
            Self::StopArray(name) => format!("/dev/{name}"),
            Self::LogOut(session) => session.to_string(),
        }
    }
}

impl fmt::Display for Operation {
    /// The command line that does the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remember(_) => write!(f, "keep the record of what is detached"),
            Self::Stop { unit } => write!(f, "systemctl stop {unit}"),
            Self::Unmount {
                target, process, ..
            } => match process {
                Some(process) => {
                    write!(f, "nsenter --target {} --mount umount {target}", process.id)
                }
                None => write!(f, "umount {target}"),
            },
            Self::SwapOff { path, .. } => write!(f, "swapoff {path}"),
            Self::Deactivate { group, volumes, .. } if volumes.is_empty() => {
                write!(f, "vgchange --activate n {group}")
            }
            Self::Deactivate { group, volumes, .. } => {
                write!(f, "lvchange --activate n")?;
                for volume in volumes {
                    write!(f, " {group}/{volume}")?;
                }
                Ok(())
            }
            Self::FlushMap(name) => write!(f, "multipath -f {name}"),
            Self::StopArray(name) => write!(f, "mdadm --stop /dev/{name}"),
            Self::RemoveMapping(name) => write!(f, "dmsetup remove {name}"),
            Self::LogOut(session) => write!(f, "iscsiadm -m session -r {} -u", session.id),
        }
    }
}
