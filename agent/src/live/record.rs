//! What was detached: enough to attach it again.
//!
//! The record is kept in two places. The bundle has it for good. [`PLACE`] has it until the next
//! start of the machine or until it is all attached again, so that a run which completes an
//! interrupted one still knows what that one had detached already.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kernel::Kernel;
use super::session::Portal;
use crate::error::Error;
use crate::guest::Owner;
use crate::root::{GuestPath, GuestRoot, GuestRootMut};

/// Where the record waits; `/run` is in memory and on no disk.
pub const PLACE: &str = "/run/byoi/detached.json";
/// Records name targets and mounts, and are nobody else's business.
const OWNER: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: 0o600,
};

/// Everything that was detached, in the order in which it is attached again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The sessions that were logged out.
    pub sessions: Vec<SessionRecord>,
    /// The maps of multipath that were flushed.
    pub maps: Vec<String>,
    /// The RAID arrays that were stopped, such as `md127`.
    pub arrays: Vec<String>,
    /// The volume groups that were deactivated, wholly or in part.
    pub groups: Vec<GroupRecord>,
    /// Other mappings that were removed. Nobody but the administrator can open an encrypted volume
    /// again.
    pub mappings: Vec<String>,
    /// The swap space that was switched off.
    pub swaps: Vec<SwapRecord>,
    /// What was unmounted, the outer before the inner.
    pub mounts: Vec<MountRecord>,
    /// What was unmounted in mount namespaces of their own: a container is started anew instead.
    pub elsewhere: Vec<ElsewhereRecord>,
    /// The services that were stopped since they would attach volumes again.
    pub services: Vec<String>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The name of the target.
    pub target: String,
    /// Where it is reached.
    pub portal: Portal,
    /// The target's portal group.
    pub group: String,
    /// The interface record that it went through.
    pub interface: String,
    /// The files of its node record, CHAP secrets among their settings.
    pub records: Vec<String>,
}

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its name.
    pub name: String,
    /// The volumes that were deactivated; empty where it was the whole group.
    pub volumes: Vec<String>,
}

/// A block device by what stays the same when it is attached again: names such as `sdb` do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Source {
    /// A disk of a target, or a partition of one.
    Lun {
        /// The name of the target.
        target: String,
        /// Where it is reached.
        portal: Portal,
        /// The disk's number at the target.
        lun: u64,
        /// The partition's number.
        partition: Option<u32>,
    },
    /// A mapping: a logical volume, a map of multipath, an encrypted volume.
    Mapped {
        /// Its name in `/dev/mapper`.
        name: String,
    },
    /// A path: a swap file, an array.
    Path {
        /// The path.
        path: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lun {
                target,
                portal,
                lun,
                partition,
            } => {
                write!(f, "disk {lun} of {target} at {portal}")?;
                match partition {
                    Some(partition) => write!(f, ", partition {partition}"),
                    None => Ok(()),
                }
            }
            Self::Mapped { name } => write!(f, "/dev/mapper/{name}"),
            Self::Path { path } => f.write_str(path),
        }
    }
}

/// Swap space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapRecord {
    /// What is swapped to.
    pub source: Source,
    /// Its priority; negative where the kernel chose it.
    pub priority: i32,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// What is mounted.
    pub source: Source,
    /// Which directory of the file system: `/` unless it is a bind mount or a subvolume.
    pub root: String,
    /// Where.
    pub target: String,
    /// The type of the file system.
    pub fs_type: String,
    /// All options.
    pub options: String,
    /// Those of this mount alone, which set a bind mount apart.
    #[serde(default)]
    pub own_options: String,
    /// The unit that mounts it on access, where there is one.
    pub automount: Option<String>,
}

impl MountRecord {
    /// Whether it is all that its device and options name, and not a directory of that.
    pub fn is_whole(&self) -> bool {
        let mut options = self.options.split(',');
        let subvolume = options.find_map(|option| option.strip_prefix("subvol="));
        self.root == "/" || Some(self.root.as_str()) == subvolume
    }
}

/// A mount in another mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElsewhereRecord {
    /// A process that lives there: its name and number.
    pub process: String,
    /// Where it was mounted, as that process sees it.
    pub target: String,
}

impl Record {
    /// Whether nothing was detached.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What an earlier run of this machine's uptime detached.
    ///
    /// # Errors
    ///
    /// There is a record that could not be read.
    pub fn remembered(root: &GuestRoot) -> Result<Self, Error> {
        let Some(text) = Kernel(root).value(&PLACE.into())? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text)
            .map_err(|error| Error::io("reading the record", PLACE)(error.into()))
    }

    /// Keeps it for a run that completes this one.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn remember(&self, root: &GuestRootMut) -> Result<(), Error> {
        let path = GuestPath::from(PLACE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::io("writing", PLACE)(error.into()))?;
        if root.reader().kind(&path)?.is_some() {
            root.replace(&path, &text)
        } else {
            root.create(&path, &text, Some(OWNER))
        }
    }

    /// Forgets what is attached again.
    ///
    /// # Errors
    ///
    /// The record could not be removed.
    pub fn forget(root: &GuestRootMut) -> Result<(), Error> {
        root.remove(&PLACE.into())
    }

    /// Adds what a later run detached.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        add(&mut self.sessions, later.sessions);
        add(&mut self.maps, later.maps);
        add(&mut self.arrays, later.arrays);
        add(&mut self.groups, later.groups);
        add(&mut self.mappings, later.mappings);
        add(&mut self.swaps, later.swaps);
        add(&mut self.mounts, later.mounts);
        add(&mut self.elsewhere, later.elsewhere);
        add(&mut self.services, later.services);
        self
    }
}

fn add<T: PartialEq>(to: &mut Vec<T>, later: Vec<T>) {
    for item in later {
        if !to.contains(&item) {
            to.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_run_and_the_one_that_completes_it_make_one_record() {
        let session = SessionRecord {
            target: "iqn.x:y".into(),
            portal: Portal {
                address: "192.0.2.5".into(),
                port: 3260,
            },
            group: "1".into(),
            interface: "default".into(),
            records: vec!["/etc/iscsi/nodes/iqn.x:y/192.0.2.5,3260,1/default".into()],
        };
        let mount = |target: &str| MountRecord {
            source: Source::Mapped {
                name: "store-data".into(),
            },
            root: "/".into(),
            target: target.into(),
            fs_type: "ext4".into(),
            options: "rw".into(),
            own_options: "rw".into(),
            automount: None,
        };
        let first = Record {
            sessions: vec![session.clone()],
            mounts: vec![mount("/srv/a"), mount("/srv/b")],
            ..Record::default()
        };
        let second = Record {
            sessions: vec![session],
            mounts: vec![mount("/srv/b")],
            services: vec!["ocid.service".into()],
            ..Record::default()
        };
        let both = first.clone().and(second);
        assert_eq!(both.sessions, first.sessions);
        assert_eq!(both.mounts, first.mounts);
        assert_eq!(both.services, ["ocid.service"]);
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), both);
        assert!(serde_json::from_str::<Record>("{}").unwrap().is_empty());
    }

    #[test]
    fn a_record_waits_in_run() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRootMut::open(dir.path()).unwrap();
        assert!(Record::remembered(root.reader()).unwrap().is_empty());
        let record = Record {
            services: vec!["ocid.service".into()],
            ..Record::default()
        };
        for _ in 0..2 {
            record.remember(&root).unwrap();
            assert_eq!(Record::remembered(root.reader()).unwrap(), record);
        }
        let mode = root.reader().permissions(&PLACE.into()).unwrap().unwrap();
        assert_eq!(mode.mode, 0o600);
        Record::forget(&root).unwrap();
        assert!(Record::remembered(root.reader()).unwrap().is_empty());
    }
}
