//! What is on the disk, and whether a name in the guest's configuration means a part of it.
//!
//! A device name such as `/dev/sda1` depends on the controller and on the order in which disks are
//! found; an identifier of the file system does not.

mod device_name;

pub(crate) use device_name::{DeviceName, OwnDisk, Whose};

use crate::layout::{Layout, Partition};

/// A partition of the disk and what it holds. Identifiers are written as `blkid` writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The number of the partition, from 1; 0 for a file system on the bare disk.
    pub number: u32,
    /// The type of what it holds, as `blkid` names it: `ext4`, `swap`, `LVM2_member`.
    pub fs_type: Option<String>,
    /// The UUID of the file system.
    pub uuid: Option<String>,
    /// The label of the file system.
    pub label: Option<String>,
    /// The UUID of the partition.
    pub partuuid: Option<String>,
    /// The name of the partition, which only GPT has.
    pub partlabel: Option<String>,
}

impl From<&Partition> for Volume {
    fn from(partition: &Partition) -> Self {
        Self {
            number: partition.number,
            fs_type: Some(partition.content.kind.name().to_owned()),
            uuid: partition.content.uuid.clone(),
            label: partition.content.label.clone(),
            partuuid: Some(partition.part_uuid.clone()),
            partlabel: partition.part_label.clone(),
        }
    }
}

impl Volume {
    /// A name that stays the same on every machine, as `fstab` and `root=` take it.
    pub(crate) fn stable_name(&self) -> Option<String> {
        match (&self.uuid, &self.partuuid) {
            (Some(uuid), _) => Some(format!("UUID={uuid}")),
            (None, Some(partuuid)) => Some(format!("PARTUUID={partuuid}")),
            (None, None) => None,
        }
    }

    /// Whether other volumes are inside that are not listed.
    fn is_container(&self) -> bool {
        matches!(
            self.fs_type.as_deref(),
            Some("LVM2_member" | "crypto_LUKS" | "linux_raid_member" | "zfs_member" | "bcache")
        )
    }
}

/// What is on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volumes {
    volumes: Vec<Volume>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution<'a> {
    /// A volume of this disk.
    Here(&'a Volume),
    /// A block device that is not on this disk.
    Elsewhere,
    /// A block device that cannot be told: on a logical volume, an array, another disk's path.
    Unknown,
    /// Nothing that a disk holds: a network or virtual file system, a file, a RAM disk.
    NotABlockDevice,
}

/// Devices that the guest makes by itself.
const VIRTUAL_DEVICES: [&str; 7] = ["loop", "zram", "ram", "fuse", "shm", "root", "nfs"];
/// Drives with media in them, none of which OCI has.
const REMOVABLE_DEVICES: [&str; 6] = ["cdrom", "cdrw", "dvd", "fd", "scd", "sr"];

impl Volumes {
    /// What is on the disk.
    pub fn new(volumes: Vec<Volume>) -> Self {
        Self { volumes }
    }

    /// What is on a disk with this layout.
    pub fn on(layout: &Layout) -> Self {
        Self::new(layout.partitions.iter().map(Volume::from).collect())
    }

    /// The identifiers of the file systems as `fstab` sources, such as `UUID=…`.
    pub fn sources(&self) -> Vec<String> {
        let mut sources = Vec::new();
        for volume in &self.volumes {
            for (tag, value) in [
                ("UUID", &volume.uuid),
                ("LABEL", &volume.label),
                ("PARTUUID", &volume.partuuid),
                ("PARTLABEL", &volume.partlabel),
            ] {
                sources.extend(value.iter().map(|value| format!("{tag}={value}")));
            }
        }
        sources
    }

    /// Whether any volume is of this type.
    pub(crate) fn hold(&self, fs_type: &str) -> bool {
        let mut volumes = self.volumes.iter();
        volumes.any(|volume| volume.fs_type.as_deref() == Some(fs_type))
    }

    /// Whether any volume of this type has a UUID that begins so, whatever its digits are parted by.
    pub(crate) fn hold_uuid(&self, fs_type: &str, uuid: &str) -> bool {
        let digits = |uuid: &str| -> String {
            let digits = uuid.chars().filter(char::is_ascii_hexdigit);
            digits.map(|c| c.to_ascii_lowercase()).collect()
        };
        let wanted = digits(uuid);
        self.volumes.iter().any(|volume| {
            let own = volume.uuid.as_deref().map(digits);
            volume.fs_type.as_deref() == Some(fs_type)
                && own.is_some_and(|own| own.starts_with(&wanted))
        })
    }

    /// What the source of an `fstab` entry, or the value of `root=`, means.
    pub(crate) fn find(&self, spec: &str, own: &OwnDisk) -> Resolution<'_> {
        let spec = spec.trim_matches('"');
        if let Some((tag, value)) = spec.split_once('=')
            && let Some(found) = self.tagged(tag, value.trim_matches(['"', '\'']))
        {
            return found;
        }
        let Some(device) = spec.strip_prefix("/dev/") else {
            return Resolution::NotABlockDevice;
        };
        if let Some((tag, value)) = device
            .strip_prefix("disk/by-")
            .and_then(|link| link.split_once('/'))
            && let Some(found) = self.tagged(&tag.to_ascii_uppercase(), &unescape(value))
        {
            return found;
        }
        if let Some(name) = DeviceName::parse(spec) {
            return match own.whose(&name) {
                Whose::Own => self.numbered(name.partition.unwrap_or(0)),
                Whose::Other => Resolution::Elsewhere,
                Whose::Unknown => Resolution::Unknown,
            };
        }
        let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
        if VIRTUAL_DEVICES.contains(&stem) {
            Resolution::NotABlockDevice
        } else if REMOVABLE_DEVICES.contains(&stem) {
            Resolution::Elsewhere
        } else {
            Resolution::Unknown
        }
    }

    /// What an identifier means; `None` where the tag is no such thing.
    fn tagged(&self, tag: &str, value: &str) -> Option<Resolution<'_>> {
        let same_id = |own: &Option<String>| {
            own.as_ref()
                .is_some_and(|own| own.eq_ignore_ascii_case(value))
        };
        let same_name = |own: &Option<String>| own.as_deref() == Some(value);
        let found = match tag {
            "UUID" => self.volumes.iter().find(|volume| same_id(&volume.uuid)),
            "PARTUUID" => self.volumes.iter().find(|volume| same_id(&volume.partuuid)),
            "LABEL" => self.volumes.iter().find(|volume| same_name(&volume.label)),
            "PARTLABEL" => self
                .volumes
                .iter()
                .find(|volume| same_name(&volume.partlabel)),
            _ => return None,
        };
        let inside =
            matches!(tag, "UUID" | "LABEL") && self.volumes.iter().any(Volume::is_container);
        Some(match found {
            Some(volume) => Resolution::Here(volume),
            None if inside => Resolution::Unknown,
            None => Resolution::Elsewhere,
        })
    }

    fn numbered(&self, number: u32) -> Resolution<'_> {
        self.volumes
            .iter()
            .find(|volume| volume.number == number)
            .map_or(Resolution::Elsewhere, Resolution::Here)
    }
}

/// Reads the `\x20` by which udev writes what a name cannot hold.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest
            .strip_prefix(b"\\x")
            .and_then(|code| code.get(..2))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Volume;

    /// A volume with a UUID.
    pub(crate) fn volume(number: u32, fs_type: &str, uuid: &str) -> Volume {
        Volume {
            number,
            fs_type: Some(fs_type.into()),
            uuid: Some(uuid.into()),
            ..Volume::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::volume;
    use super::*;

    #[test]
    fn names_are_resolved() {
        let volumes = Volumes::new(vec![
            Volume {
                label: Some("my root".into()),
                partuuid: Some("5f3c9a1e-01".into()),
                ..volume(1, "ext4", "c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42")
            },
            Volume {
                partlabel: Some("EFI System".into()),
                ..volume(2, "vfat", "ABCD-1234")
            },
        ]);
        let own = OwnDisk::default();
        let here = Some;
        for (spec, expected) in [
            ("UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42", here(1)),
            ("UUID=C1A7E0DE-2F3B-4A55-8D10-6B1F0C9E7D42", here(1)),
            ("UUID=\"abcd-1234\"", here(2)),
            ("LABEL=my root", here(1)),
            ("PARTUUID=5f3c9a1e-01", here(1)),
            ("PARTLABEL='EFI System'", here(2)),
            ("/dev/disk/by-uuid/abcd-1234", here(2)),
            ("/dev/disk/by-label/my\\x20root", here(1)),
            ("/dev/disk/by-partuuid/5f3c9a1e-01", here(1)),
            ("/dev/sda1", here(1)),
            ("/dev/nvme0n1p2", here(2)),
        ] {
            let found = match volumes.find(spec, &own) {
                Resolution::Here(volume) => Some(volume.number),
                _ => None,
            };
            assert_eq!(found, expected, "{spec}");
        }
        for (spec, expected) in [
            ("UUID=00000000-0000", Resolution::Elsewhere),
            ("LABEL=other", Resolution::Elsewhere),
            ("/dev/sda7", Resolution::Elsewhere),
            ("/dev/sdb1", Resolution::Elsewhere),
            (
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1",
                Resolution::Elsewhere,
            ),
            ("/dev/cdrom", Resolution::Elsewhere),
            ("/dev/sr0", Resolution::Elsewhere),
            ("/dev/fd0", Resolution::Elsewhere),
            ("/dev/mapper/vg-root", Resolution::Unknown),
            ("/dev/vg/root", Resolution::Unknown),
            ("/dev/md0", Resolution::Unknown),
            ("/dev/disk/by-id/wwn-0x5-part1", Resolution::Unknown),
            ("tmpfs", Resolution::NotABlockDevice),
            ("none", Resolution::NotABlockDevice),
            ("nas:/export", Resolution::NotABlockDevice),
            ("//nas/share", Resolution::NotABlockDevice),
            ("/swapfile", Resolution::NotABlockDevice),
            ("/dev/zram0", Resolution::NotABlockDevice),
            ("ZFS=tank/root", Resolution::NotABlockDevice),
            ("", Resolution::NotABlockDevice),
        ] {
            assert_eq!(volumes.find(spec, &own), expected, "{spec}");
        }
    }

    #[test]
    fn what_may_be_inside_a_container_is_unknown() {
        let volumes = Volumes::new(vec![volume(1, "LVM2_member", "x")]);
        for (spec, expected) in [
            ("UUID=y", Resolution::Unknown),
            ("LABEL=y", Resolution::Unknown),
            ("PARTUUID=y", Resolution::Elsewhere),
        ] {
            assert_eq!(volumes.find(spec, &OwnDisk::default()), expected, "{spec}");
        }
    }
}
