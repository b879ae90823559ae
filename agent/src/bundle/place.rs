//! Where a file of the running system really is: on which disks, in memory, or elsewhere.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::root::{GuestPath, GuestRoot};

/// The largest mount table that is read, in bytes.
const TABLE_LIMIT: u64 = 16 << 20;
/// How deep block devices may be stacked.
const MAX_STACK: usize = 16;
/// What a running system boots from and is on.
const BOOT_VOLUME: [&str; 6] = ["/", "/boot", "/boot/efi", "/etc", "/usr", "/var"];
/// File systems that are in memory.
const IN_MEMORY: [&str; 4] = ["tmpfs", "ramfs", "devtmpfs", "rootfs"];

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// `major:minor` of the device; the major is 0 where there is none.
    number: String,
    point: PathBuf,
    kind: String,
    source: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (mount, device) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let number = fields.nth(2)?.to_owned();
        let point = unescape(fields.nth(1)?);
        let mut fields = device.split(' ');
        Some(Self {
            number,
            point,
            kind: fields.next()?.to_owned(),
            source: fields.next()?.to_owned(),
        })
    }

    /// What holds the file system where that is no device: of a dataset of ZFS, its pool.
    fn volume(&self) -> (&str, &str) {
        let source = match self.source.split_once('/') {
            Some((pool, _)) if self.kind == "zfs" => pool,
            _ => &self.source,
        };
        (&self.kind, source)
    }
}

/// What is mounted on the running system.
#[derive(Debug)]
pub(super) struct Mounts<'a> {
    host: &'a GuestRoot,
    mounts: Vec<Mount>,
}

impl<'a> Mounts<'a> {
    /// Reads the mount table.
    pub(super) fn read(host: &'a GuestRoot) -> Result<Self, Error> {
        let table = host.read(&"/proc/self/mountinfo".into(), TABLE_LIMIT)?;
        let table = String::from_utf8_lossy(&table.unwrap_or_default()).into_owned();
        Ok(Self {
            host,
            mounts: table.lines().filter_map(Mount::parse).collect(),
        })
    }

    /// Why what is written to a directory would be captured with the boot volume, or lost; `None`
    /// where it is safe.
    pub(super) fn objection(&self, dir: &Path) -> Result<Option<String>, Error> {
        let Some(mount) = self.holding(dir) else {
            return Ok(Some("nobody can tell on which volume it is".into()));
        };
        if IN_MEMORY.contains(&mount.kind.as_str()) {
            return Ok(Some(
                "it is in memory, which is lost when the machine stops; name a file on another \
                 volume, or `-` for standard output"
                    .into(),
            ));
        }
        let disks = self.disks(mount)?;
        if disks.iter().any(|disk| disk.is_iscsi) {
            return Ok(Some(
                "it is on an iSCSI volume, which is detached; name a file elsewhere, or `-` for \
                 standard output"
                    .into(),
            ));
        }
        for point in BOOT_VOLUME {
            let Some(boot) = self.holding(Path::new(point)) else {
                continue;
            };
            let same = boot.number == mount.number
                || (disks.is_empty() && boot.volume() == mount.volume())
                || !self.disks(boot)?.is_disjoint(&disks);
            if same || mount.kind == "overlay" {
                return Ok(Some(format!(
                    "it is on the disk that has {point}, and would be captured with it; name a \
                     file on another volume, or `-` for standard output"
                )));
            }
        }
        Ok(None)
    }

    /// The UUID of the file system that holds a directory; `None` where that cannot be told.
    pub(super) fn uuid_of(&self, dir: &Path) -> Result<Option<String>, Error> {
        let Some(device) = self.holding(dir).map(|mount| self.device(mount)) else {
            return Ok(None);
        };
        let Some(device) = device? else {
            return Ok(None);
        };
        let uuids = GuestPath::from("/dev/disk/by-uuid");
        for uuid in self.host.list(&uuids)? {
            if self.host.resolve(&uuids.join(&uuid))?.name() == device.name() {
                return Ok(uuid.into_string().ok());
            }
        }
        Ok(None)
    }

    /// The mount that a directory, its links followed, is in.
    fn holding(&self, dir: &Path) -> Option<&Mount> {
        self.mounts
            .iter()
            .filter(|mount| dir.starts_with(&mount.point))
            // Of those at one place, the last covers the others.
            .max_by_key(|mount| mount.point.components().count())
    }

    /// The block device of a mount, below `/sys/devices`.
    fn device(&self, mount: &Mount) -> Result<Option<GuestPath>, Error> {
        let device = if mount.number.starts_with("0:") {
            // btrfs has a number of its own.
            if !mount.source.starts_with("/dev/") {
                return Ok(None);
            }
            let node = self.host.resolve(&GuestPath::new(&mount.source))?;
            GuestPath::from("/sys/class/block").join(node.name())
        } else {
            GuestPath::from("/sys/dev/block").join(&mount.number)
        };
        let device = self.host.resolve(&device)?;
        Ok(self.host.kind(&device)?.map(|_| device))
    }

    /// The disks that a mount is on in the end.
    fn disks(&self, mount: &Mount) -> Result<BTreeSet<Disk>, Error> {
        let mut disks = BTreeSet::new();
        let mut pending: Vec<(GuestPath, usize)> = self
            .device(mount)?
            .map(|device| (device, 0))
            .into_iter()
            .collect();
        while let Some((device, depth)) = pending.pop() {
            let whole = match device.parent() {
                Some(disk) if self.host.kind(&device.join("partition"))?.is_some() => disk,
                _ => device,
            };
            let slaves = whole.join("slaves");
            let below = self.host.list(&slaves)?;
            if below.is_empty() || depth == MAX_STACK {
                disks.insert(Disk {
                    is_iscsi: whole.as_path().iter().any(|part| {
                        part.to_string_lossy()
                            .strip_prefix("session")
                            .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
                    }),
                    name: whole.name().to_owned(),
                });
            }
            for name in below {
                pending.push((self.host.resolve(&slaves.join(name))?, depth + 1));
            }
        }
        Ok(disks)
    }
}

/// A disk.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Disk {
    name: OsString,
    is_iscsi: bool,
}

/// A mount point as it is; the table has blanks and the like as octal digits.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(octal) if byte == b'\\' => {
                bytes.push(octal);
                rest = &after[3..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const TABLE: &str = "\
21 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
22 21 8:1 / /boot rw - ext4 /dev/sda1 rw
23 21 0:21 / /proc rw - proc proc rw
24 21 0:24 / /run rw,nosuid shared:5 master:1 - tmpfs tmpfs rw
25 21 8:17 / /srv/my\\040data rw - xfs /dev/sdb1 rw
26 21 0:40 / /mnt/btrfs rw - btrfs /dev/sdb2 rw
27 21 0:41 / /mnt/nfs rw - nfs4 server:/export rw
28 21 8:32 / /mnt/iscsi rw - ext4 /dev/sdc rw
29 21 8:3 / /home rw - ext4 /dev/sda3 rw
30 21 0:50 / /mnt/overlay rw - overlay overlay rw
31 21 0:60 / /usr rw - zfs rpool/ROOT/usr rw
32 21 0:61 / /mnt/zfs rw - zfs rpool/data rw
33 21 0:62 / /mnt/tank rw - zfs tank/data rw
";

    fn host() -> Fixture {
        let pci = "/sys/devices/pci0000:00";
        let iscsi = "/sys/devices/platform/host3/session1/target3:0:0/block/sdc";
        let files: Vec<(String, &str)> = [
            format!("{pci}/block/sda/sda1/partition"),
            format!("{pci}/block/sda/sda2/partition"),
            format!("{pci}/block/sda/sda3/partition"),
            format!("{pci}/block/sdb/sdb1/partition"),
            format!("{pci}/block/sdb/sdb2/partition"),
            format!("{iscsi}/size"),
            "/sys/devices/virtual/block/dm-0/size".to_owned(),
            "/dev/sdb2".to_owned(),
            "/dev/dm-0".to_owned(),
        ]
        .map(|path| (path, "1"))
        .into();
        let mut files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), *text))
            .collect();
        files.push(("/proc/self/mountinfo", TABLE));
        let fixture = Fixture::debian(&files);
        for (number, device) in [
            ("253:0", "/sys/devices/virtual/block/dm-0".to_owned()),
            ("8:1", format!("{pci}/block/sda/sda1")),
            ("8:3", format!("{pci}/block/sda/sda3")),
            ("8:17", format!("{pci}/block/sdb/sdb1")),
            ("8:32", iscsi.to_owned()),
        ] {
            fixture.link(&format!("/sys/dev/block/{number}"), &device);
        }
        let sda2 = format!("{pci}/block/sda/sda2");
        fixture.link("/sys/devices/virtual/block/dm-0/slaves/sda2", &sda2);
        fixture.link("/sys/class/block/sdb2", &format!("{pci}/block/sdb/sdb2"));
        fixture.link("/dev/disk/by-uuid/6e1d-0cc5", "../../dm-0");
        fixture
    }

    #[test]
    fn what_would_be_captured_or_lost_is_objected_to() {
        let host = host();
        let guest = host.guest();
        let mounts = Mounts::read(guest.root()).unwrap();
        for (dir, expected) in [
            ("/root", Some("the disk that has /,")),
            ("/home/opc", Some("the disk that has /,")),
            ("/boot", Some("the disk that has /,")),
            ("/mnt/overlay", Some("the disk that has /,")),
            ("/run/user/0", Some("in memory")),
            ("/mnt/iscsi", Some("an iSCSI volume")),
            ("/srv/my data/bundles", None),
            ("/mnt/btrfs", None),
            ("/mnt/nfs", None),
            ("/mnt/zfs", Some("the disk that has /usr,")),
            ("/mnt/tank", None),
        ] {
            let objection = mounts.objection(Path::new(dir)).unwrap();
            match expected {
                None => assert_eq!(objection, None, "{dir}"),
                Some(words) => {
                    let said = objection.unwrap_or_default();
                    assert!(said.contains(words), "{dir}: {said}");
                }
            }
        }
        let uuid = |dir: &str| mounts.uuid_of(Path::new(dir)).unwrap();
        assert_eq!(uuid("/etc").as_deref(), Some("6e1d-0cc5"));
        assert_eq!(uuid("/srv/my data"), None);
    }
}
