//! The block devices of the machine, and what is stacked on which.

use std::collections::BTreeMap;

use super::kernel::Kernel;
use crate::error::Error;
use crate::root::GuestPath;

const BLOCK: &str = "/sys/block";
/// How many characters identify a volume group, or a volume, in the identity of a mapping.
const LVM_ID: usize = 32;

/// What a block device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A disk.
    Disk,
    /// A partition of a disk, with its number.
    Partition(u32),
    /// A logical volume. Those that LVM made for itself are hidden.
    Logical {
        /// The volume group.
        group: String,
        /// The identity of the volume group.
        group_id: String,
        /// The volume.
        volume: String,
        /// Whether LVM made it for itself, as part of another one.
        hidden: bool,
        /// Its name in `/dev/mapper`.
        name: String,
    },
    /// A map over the paths to one disk.
    Multipath(String),
    /// Any other mapping: an encrypted volume, a partition of a map.
    Mapping(String),
    /// A RAID array.
    Array,
    /// A file as a disk.
    Loop {
        /// The file.
        file: String,
    },
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `MAJOR:MINOR`.
    pub number: String,
    /// What it is.
    pub kind: Kind,
    /// The devices that are made of it: partitions, and what holds it.
    pub users: Vec<String>,
    /// The disk that it is a partition of.
    pub disk: Option<String>,
}

/// All block devices by their names in `/sys/block`.
#[derive(Debug, Clone, Default)]
pub struct Devices(pub BTreeMap<String, Device>);

impl Devices {
    /// Looks at the machine.
    ///
    /// # Errors
    ///
    /// The kernel's files could not be read.
    pub fn read(kernel: Kernel<'_>) -> Result<Self, Error> {
        let mut devices = BTreeMap::new();
        for name in kernel.names(&BLOCK.into()) {
            let dir = kernel.place(&GuestPath::from(BLOCK).join(&name))?;
            let Some(number) = kernel.fleeting(&dir.join("dev")) else {
                continue;
            };
            let mut users = kernel.names(&dir.join("holders"));
            for child in kernel.names(&dir) {
                let part = dir.join(&child);
                let Some(partition) = kernel.fleeting(&part.join("partition")) else {
                    continue;
                };
                devices.insert(
                    child.clone(),
                    Device {
                        number: kernel.fleeting(&part.join("dev")).unwrap_or_default(),
                        kind: Kind::Partition(partition.parse().unwrap_or_default()),
                        users: kernel.names(&part.join("holders")),
                        disk: Some(name.clone()),
                    },
                );
                users.push(child);
            }
            let kind = kind(kernel, &dir);
            devices.insert(
                name,
                Device {
                    number,
                    kind,
                    users,
                    disk: None,
                },
            );
        }
        Ok(Self(devices))
    }

    /// These devices and all that is stacked on them, what uses another one before it.
    pub fn stack<'a>(&self, disks: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut stack = Vec::new();
        for disk in disks {
            self.climb(disk, &mut stack);
        }
        stack
    }

    fn climb(&self, name: &str, stack: &mut Vec<String>) {
        if stack.iter().any(|known| known == name) {
            return;
        }
        if let Some(device) = self.0.get(name) {
            for user in &device.users {
                self.climb(user, stack);
            }
        }
        stack.push(name.to_owned());
    }

    /// The device of this number.
    pub fn by_number(&self, number: &str) -> Option<&str> {
        let found = self.0.iter().find(|(_, device)| device.number == number);
        found.map(|(name, _)| name.as_str())
    }

    /// The device that a path such as `/dev/sdb1` or `/dev/mapper/store-data` leads to by its name.
    pub fn by_path(&self, path: &str) -> Option<&str> {
        let name = path.strip_prefix("/dev/")?;
        if let Some((name, _)) = self.0.get_key_value(name) {
            return Some(name);
        }
        let mapped = name.strip_prefix("mapper/")?;
        let found = self
            .0
            .iter()
            .find(|(_, device)| device.mapped_name() == Some(mapped));
        found.map(|(name, _)| name.as_str())
    }
}

impl Device {
    /// Its name in `/dev/mapper`.
    pub fn mapped_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Logical { name, .. } | Kind::Multipath(name) | Kind::Mapping(name) => Some(name),
            _ => None,
        }
    }
}

fn kind(kernel: Kernel<'_>, dir: &GuestPath) -> Kind {
    if let Some(name) = kernel.fleeting(&dir.join("dm/name")) {
        let id = kernel.fleeting(&dir.join("dm/uuid")).unwrap_or_default();
        return mapping(name, &id);
    }
    if kernel.has(&dir.join("md")) {
        return Kind::Array;
    }
    match kernel.fleeting(&dir.join("loop/backing_file")) {
        Some(file) => Kind::Loop { file },
        None => Kind::Disk,
    }
}

/// LVM's identities are `LVM-`, the group, the volume, and a word where it made the volume for
/// itself; multipath's begin with `mpath-`.
fn mapping(name: String, id: &str) -> Kind {
    if id.starts_with("mpath-") {
        return Kind::Multipath(name);
    }
    let lvm = id.strip_prefix("LVM-").filter(|id| id.len() >= 2 * LVM_ID);
    let (Some(id), Some((group, volume))) = (lvm, logical_name(&name)) else {
        return Kind::Mapping(name);
    };
    let part = [
        "_rimage_", "_rmeta_", "_tdata", "_tmeta", "_mimage_", "_mlog", "_cdata", "_cmeta",
    ];
    Kind::Logical {
        group_id: id.get(..LVM_ID).unwrap_or_default().to_owned(),
        hidden: id.len() > 2 * LVM_ID || part.iter().any(|part| volume.contains(part)),
        group,
        volume,
        name,
    }
}

/// Group and volume of a name such as `store-my--swap`, in which hyphens are doubled.
fn logical_name(name: &str) -> Option<(String, String)> {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'-' {
            if bytes.get(at + 1) == Some(&b'-') {
                at += 1;
            } else {
                let plain = |part: &str| part.replace("--", "-");
                return Some((plain(name.get(..at)?), plain(name.get(at + 1..)?)));
            }
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let group = "uuuDAH7V58AOosYY17RC7v6XSLVOFTnf";
        let volume = "1DSM2gz6ttMuMF0LN08gKiDzph2suIj5";
        let logical = |name: &str, volume: &str, hidden| Kind::Logical {
            group: "sto-re".into(),
            group_id: group.into(),
            volume: volume.into(),
            hidden,
            name: name.into(),
        };
        for (name, id, expected) in [
            (
                "sto--re-my--swap",
                format!("LVM-{group}{volume}"),
                logical("sto--re-my--swap", "my-swap", false),
            ),
            (
                "sto--re-pool-tpool",
                format!("LVM-{group}{volume}-tpool"),
                logical("sto--re-pool-tpool", "pool-tpool", true),
            ),
            (
                "sto--re-x_rimage_0",
                format!("LVM-{group}{volume}"),
                logical("sto--re-x_rimage_0", "x_rimage_0", true),
            ),
            (
                "mpatha",
                "mpath-360000".to_owned(),
                Kind::Multipath("mpatha".into()),
            ),
            (
                "mpatha-part1",
                "part1-mpath-360000".to_owned(),
                Kind::Mapping("mpatha-part1".into()),
            ),
            (
                "luks-1",
                "CRYPT-LUKS2-x-luks-1".to_owned(),
                Kind::Mapping("luks-1".into()),
            ),
        ] {
            assert_eq!(mapping(name.to_owned(), &id), expected, "{name}");
        }
    }
}
