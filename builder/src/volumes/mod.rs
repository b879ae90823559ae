//! What is on the disk, and whether a name in the guest's configuration means a part of it.
//!
//! A device name such as `/dev/sda1` depends on the controller and on the order in which disks are
//! found; an identifier of the file system does not.

mod device_name;

pub(crate) use device_name::{DeviceName, OwnDisk, Whose};

use crate::layout::{FormerName, Layout, LogicalName, LogicalVolume, Part, PartId, VolumeGroup};

/// A partition or logical volume of the disk and what it holds. Identifiers are written as `blkid`
/// writes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The number of the partition, from 1; 0 for a file system on the bare disk. That of a logical
    /// volume is the number of the partition that it begins on.
    pub number: u32,
    /// The name of a logical volume.
    pub logical: Option<LogicalName>,
    /// Whether a part of it is on another disk.
    pub partial: bool,
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
    /// What the partition was called before its table was converted.
    pub former: Option<FormerName>,
}

impl From<Part<'_>> for Volume {
    fn from(part: Part<'_>) -> Self {
        let content = part.content();
        let mut volume = Self {
            number: part.partition(),
            fs_type: Some(content.kind.name().to_owned()),
            uuid: content.uuid.clone(),
            label: content.label.clone(),
            ..Self::default()
        };
        match (part, part.id()) {
            (Part::Partition(partition), _) => {
                volume.partuuid = Some(partition.part_uuid.clone());
                volume.partlabel.clone_from(&partition.part_label);
                volume.former.clone_from(&partition.former);
            }
            (Part::Logical(_, logical), PartId::Logical(name)) => {
                volume.logical = Some(name);
                volume.partial = logical.is_partial();
            }
            (Part::Logical(..), PartId::Partition(_)) => {}
        }
        volume
    }
}

impl Volume {
    /// Which part of the disk it is.
    pub(crate) fn id(&self) -> PartId {
        match &self.logical {
            Some(name) => PartId::Logical(name.clone()),
            None => PartId::Partition(self.number),
        }
    }

    /// A name that stays the same on every machine, as `fstab` and `root=` take it.
    pub(crate) fn stable_name(&self) -> Option<String> {
        match (&self.uuid, &self.partuuid) {
            (Some(uuid), _) => Some(format!("UUID={uuid}")),
            (None, Some(partuuid)) => Some(format!("PARTUUID={partuuid}")),
            (None, None) => None,
        }
    }

    /// Whether this is a name that the partition lost with its old table.
    pub(crate) fn was_called(&self, spec: &str) -> bool {
        let Some((tag, value)) = identifier(spec) else {
            return false;
        };
        self.former
            .as_ref()
            .is_some_and(|former| match tag.as_str() {
                "PARTUUID" => former.part_uuid.eq_ignore_ascii_case(&value),
                "PARTLABEL" => former.part_label.as_ref() == Some(&value),
                _ => false,
            })
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
    /// Whether there may be volumes that are not listed.
    opaque: bool,
    /// The volume groups; `None` where nobody looked for them.
    groups: Option<Vec<Group>>,
}

/// A volume group of which a part is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    uuid: String,
    /// The UUIDs of the volumes that are listed, by their names.
    volumes: Vec<(String, String)>,
}

impl From<&VolumeGroup> for Group {
    fn from(group: &VolumeGroup) -> Self {
        let visible = group.logical_volumes.iter().filter(|volume| volume.visible);
        Self {
            name: group.name.clone(),
            uuid: group.uuid.clone(),
            volumes: visible
                .map(|volume| (volume.name.clone(), volume.uuid.clone()))
                .collect(),
        }
    }
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
    /// What is on the disk, nobody having looked for logical volumes.
    pub fn new(volumes: Vec<Volume>) -> Self {
        Self {
            opaque: volumes.iter().any(Volume::is_container),
            volumes,
            groups: None,
        }
    }

    /// What is on a disk with this layout.
    pub fn on(layout: &Layout) -> Self {
        let mut volumes = Self::new(layout.parts().map(Volume::from).collect());
        let groups = &layout.volume_groups;
        let opened = |volume: &Volume| {
            let members = groups.iter().flat_map(|group| &group.physical_volumes);
            volume.fs_type.as_deref() == Some("LVM2_member")
                && members
                    .map(|member| member.partition)
                    .any(|at| at == Some(volume.number))
        };
        volumes.opaque = volumes
            .volumes
            .iter()
            .any(|volume| volume.is_container() && !opened(volume))
            || !layout.lvm_faults.is_empty()
            || groups.iter().any(|group| {
                let logical = group.logical_volumes.iter();
                logical
                    .filter(|volume| volume.visible)
                    .any(|volume| !volume.is_looked_into() && !is_pool(volume))
            });
        volumes.groups = Some(groups.iter().map(Group::from).collect());
        volumes
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
            if let Some(name) = &volume.logical {
                sources.push(format!("/dev/mapper/{}", name.mapper()));
                sources.push(format!("/dev/{name}"));
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
        if let Some((tag, value)) = identifier(spec)
            && let Some(found) = self.tagged(&tag, &value)
        {
            return match found {
                Resolution::Elsewhere => self.formerly(spec).unwrap_or(found),
                found => found,
            };
        }
        let Some(device) = spec.strip_prefix("/dev/") else {
            return Resolution::NotABlockDevice;
        };
        if let Some(found) = self.logical(device) {
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
        let inside = matches!(tag, "UUID" | "LABEL") && self.opaque;
        Some(match found {
            Some(volume) => Resolution::Here(volume),
            None if inside => Resolution::Unknown,
            None => Resolution::Elsewhere,
        })
    }

    /// What a name below `/dev` means that LVM or the device mapper gives; `None` where it is no
    /// such name.
    fn logical(&self, device: &str) -> Option<Resolution<'_>> {
        let groups = self.groups.as_deref()?;
        if let Some(id) = device.strip_prefix("disk/by-id/dm-uuid-LVM-") {
            let plain = |uuid: &str| uuid.replace('-', "");
            let found = groups.iter().find_map(|group| {
                let volume = id.strip_prefix(&plain(&group.uuid))?;
                let (name, _) = group
                    .volumes
                    .iter()
                    .find(|(_, uuid)| plain(uuid) == volume)?;
                self.named(&group.name, name)
            });
            return Some(found.unwrap_or(Resolution::Unknown));
        }
        let mapper = device
            .strip_prefix("mapper/")
            .or_else(|| device.strip_prefix("disk/by-id/dm-name-"));
        let (group, volume) = match mapper {
            Some(name) => split_mapper(name)?,
            None => device
                .split_once('/')
                .filter(|(group, name)| !is_directory(group) && !name.contains('/'))
                .map(|(group, name)| (group.to_owned(), name.to_owned()))?,
        };
        if let Some(found) = self.named(&group, &volume) {
            return Some(found);
        }
        let here = groups.iter().any(|own| own.name == group);
        let partition_of_multipath = volume
            .strip_prefix("part")
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        Some(if here || (!self.opaque && !partition_of_multipath) {
            Resolution::Elsewhere
        } else {
            Resolution::Unknown
        })
    }

    /// The logical volume of this name.
    fn named(&self, group: &str, volume: &str) -> Option<Resolution<'_>> {
        let mut found = self.volumes.iter().filter(|own| {
            own.logical
                .as_ref()
                .is_some_and(|name| name.group == group && name.volume == volume)
        });
        match (found.next(), found.next()) {
            (None, _) => None,
            (Some(volume), None) => Some(Resolution::Here(volume)),
            // Two groups have the same name.
            (Some(_), Some(_)) => Some(Resolution::Unknown),
        }
    }

    /// The volume that lost this name with its old table.
    fn formerly(&self, spec: &str) -> Option<Resolution<'_>> {
        let mut volumes = self.volumes.iter();
        volumes
            .find(|volume| volume.was_called(spec))
            .map(Resolution::Here)
    }

    /// The partition of this number, which is what the guest calls it: the one before its table was
    /// converted.
    fn numbered(&self, number: u32) -> Resolution<'_> {
        let own = |volume: &Volume| {
            let former = volume.former.as_ref();
            former.map_or(volume.number, |former| former.number)
        };
        self.volumes
            .iter()
            .find(|volume| own(volume) == number && volume.logical.is_none())
            .map_or(Resolution::Elsewhere, Resolution::Here)
    }
}

/// The tag and value of an identifier, as `TAG=value` or a link below `/dev/disk`.
fn identifier(spec: &str) -> Option<(String, String)> {
    if let Some(link) = spec.strip_prefix("/dev/disk/by-") {
        let (tag, value) = link.split_once('/')?;
        return Some((tag.to_ascii_uppercase(), unescape(value)));
    }
    let (tag, value) = spec.split_once('=')?;
    Some((tag.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
}

/// Whether a logical volume holds other ones, all of which are listed.
fn is_pool(volume: &LogicalVolume) -> bool {
    use crate::layout::VolumeKind::{CachePool, ThinPool, VdoPool};
    matches!(volume.kind, CachePool | ThinPool | VdoPool)
}

/// Directories below `/dev` that are no volume groups.
fn is_directory(name: &str) -> bool {
    matches!(
        name,
        "block"
            | "bsg"
            | "bus"
            | "char"
            | "cpu"
            | "disk"
            | "dma_heap"
            | "dri"
            | "fd"
            | "input"
            | "md"
            | "mapper"
            | "mqueue"
            | "net"
            | "pts"
            | "shm"
            | "snd"
            | "vfio"
            | "zvol"
    )
}

/// Parts `vg-lv` as the device mapper has it: hyphens within a name are doubled.
fn split_mapper(name: &str) -> Option<(String, String)> {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'-', Some(b'-')) => at += 2,
            (b'-', _) => {
                let (group, volume) = (name.get(..at)?, name.get(at + 1..)?);
                let whole = !group.is_empty() && !volume.is_empty();
                let single = volume.replace("--", "").contains('-');
                return (whole && !single)
                    .then(|| (group.replace("--", "-"), volume.replace("--", "-")));
            }
            _ => at += 1,
        }
    }
    None
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

    /// A disk with two partitions' worth of logical volumes.
    fn with_groups(opaque: bool) -> Volumes {
        let logical = |group: &str, name: &str, uuid: &str| Volume {
            logical: Some(LogicalName {
                group: group.into(),
                volume: name.into(),
            }),
            ..volume(2, "xfs", uuid)
        };
        Volumes {
            volumes: vec![
                volume(1, "ext4", "b007"),
                volume(2, "LVM2_member", "pv"),
                logical("my-vg", "ro-ot", "4007"),
                logical("data", "home", "40e3"),
            ],
            opaque,
            groups: Some(vec![
                Group {
                    name: "my-vg".into(),
                    uuid: "nn1yI2-Bo9G".into(),
                    volumes: vec![("ro-ot".into(), "446fIC-WCrZ".into())],
                },
                Group {
                    name: "data".into(),
                    uuid: "x".into(),
                    volumes: vec![("home".into(), "y".into())],
                },
            ]),
        }
    }

    #[test]
    fn logical_volumes_are_resolved() {
        let volumes = with_groups(false);
        for (spec, expected) in [
            ("/dev/mapper/my--vg-ro--ot", "4007"),
            ("/dev/my-vg/ro-ot", "4007"),
            ("/dev/disk/by-id/dm-name-my--vg-ro--ot", "4007"),
            ("/dev/disk/by-id/dm-uuid-LVM-nn1yI2Bo9G446fICWCrZ", "4007"),
            ("UUID=4007", "4007"),
            ("/dev/mapper/data-home", "40e3"),
            ("/dev/sda1", "b007"),
            ("/dev/sda2", "pv"),
        ] {
            match volumes.find(spec, &OwnDisk::default()) {
                Resolution::Here(volume) => assert_eq!(volume.uuid.as_deref(), Some(expected)),
                other => panic!("{spec}: {other:?}"),
            }
        }
        for (spec, expected, if_opaque) in [
            // The group is here, and has no such volume.
            (
                "/dev/mapper/data-gone",
                Resolution::Elsewhere,
                Resolution::Elsewhere,
            ),
            (
                "/dev/data/gone",
                Resolution::Elsewhere,
                Resolution::Elsewhere,
            ),
            (
                "/dev/mapper/vg2-var",
                Resolution::Elsewhere,
                Resolution::Unknown,
            ),
            ("/dev/vg2/var", Resolution::Elsewhere, Resolution::Unknown),
            ("UUID=dead", Resolution::Elsewhere, Resolution::Unknown),
            (
                "/dev/mapper/mpatha-part1",
                Resolution::Unknown,
                Resolution::Unknown,
            ),
            (
                "/dev/mapper/cryptroot",
                Resolution::Unknown,
                Resolution::Unknown,
            ),
            (
                "/dev/mapper/luks-a-b-c",
                Resolution::Unknown,
                Resolution::Unknown,
            ),
            ("/dev/dm-3", Resolution::Unknown, Resolution::Unknown),
            ("/dev/md/root", Resolution::Unknown, Resolution::Unknown),
        ] {
            let own = OwnDisk::default();
            assert_eq!(volumes.find(spec, &own), expected, "{spec}");
            assert_eq!(with_groups(true).find(spec, &own), if_opaque, "{spec}");
        }
        assert!(
            volumes
                .sources()
                .contains(&"/dev/mapper/my--vg-ro--ot".into())
        );
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
