//! Names of disks and partitions that another machine gives differently, and which of them mean
//! the disk that the guest boots from.

/// What the first disk is called when nothing in the guest tells.
const FIRST_DISKS: [&str; 6] = ["sda", "vda", "hda", "xvda", "nvme0n1", "mmcblk0"];

/// A name below `/dev` that hangs on controllers and on the order of disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceName<'a> {
    /// The disk: `sda`, or `disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0`.
    pub disk: &'a str,
    /// The partition; `None` for the whole disk.
    pub partition: Option<u32>,
}

impl<'a> DeviceName<'a> {
    /// Reads `/dev/sda1`, `/dev/nvme0n1p1`, `/dev/disk/by-path/…-part1` and their kind; `None` for
    /// anything else.
    pub fn parse(device: &'a str) -> Option<Self> {
        let name = device.strip_prefix("/dev/")?;
        if name.starts_with("disk/by-path/") || name.starts_with("disk/by-id/") {
            return Some(match name.rsplit_once("-part") {
                Some((disk, number)) if is_number(number) => Self {
                    disk,
                    partition: number.parse().ok(),
                },
                _ => Self {
                    disk: name,
                    partition: None,
                },
            });
        }
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (stem, number) = name.split_at(name.len() - digits);
        if let Some(letters) = ["sd", "vd", "hd", "xvd"]
            .iter()
            .find_map(|prefix| stem.strip_prefix(prefix))
        {
            let valid = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_lowercase());
            return valid.then(|| Self {
                disk: stem,
                partition: number.parse().ok(),
            });
        }
        if let Some(disk) = stem.strip_suffix('p').filter(|disk| is_numbered_disk(disk)) {
            return Some(Self {
                disk,
                partition: number.parse().ok(),
            });
        }
        is_numbered_disk(name).then_some(Self {
            disk: name,
            partition: None,
        })
    }

    fn is_link(&self) -> bool {
        self.disk.starts_with("disk/")
    }
}

/// Whether this is a disk of a kind whose partitions have a `p`: `nvme0n1`, `mmcblk0`.
fn is_numbered_disk(name: &str) -> bool {
    let is_nvme = name
        .strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, space)| is_number(controller) && is_number(space));
    is_nvme || name.strip_prefix("mmcblk").is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a device is on the disk that the guest boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    Other,
    Unknown,
}

/// The names of the disk that the guest boots from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnDisk {
    kernel: Vec<String>,
    links: Vec<String>,
}

impl OwnDisk {
    /// The disk that these devices, each a name that `/` has, are on.
    pub fn of<'a>(roots: impl IntoIterator<Item = &'a str>) -> Self {
        let mut own = Self::default();
        for device in roots {
            own.add(device);
        }
        own
    }

    fn add(&mut self, device: &str) {
        if let Some(name) = DeviceName::parse(device) {
            let names = if name.is_link() {
                &mut self.links
            } else {
                &mut self.kernel
            };
            names.push(name.disk.to_owned());
        }
    }

    pub fn whose(&self, name: &DeviceName<'_>) -> Whose {
        if name.is_link() {
            if self.links.iter().any(|link| link == name.disk) {
                Whose::Own
            } else if name.disk.contains("-iscsi-") {
                Whose::Other
            } else {
                Whose::Unknown
            }
        } else if self.kernel.iter().any(|disk| disk == name.disk)
            || (self.kernel.is_empty() && FIRST_DISKS.contains(&name.disk))
        {
            Whose::Own
        } else {
            Whose::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (device, expected) in [
            ("/dev/sda1", Some(("sda", Some(1)))),
            ("/dev/sdab12", Some(("sdab", Some(12)))),
            ("/dev/xvda", Some(("xvda", None))),
            ("/dev/nvme0n1p2", Some(("nvme0n1", Some(2)))),
            ("/dev/nvme0n1", Some(("nvme0n1", None))),
            ("/dev/mmcblk0p1", Some(("mmcblk0", Some(1)))),
            (
                "/dev/disk/by-path/pci-0-part3",
                Some(("disk/by-path/pci-0", Some(3))),
            ),
            (
                "/dev/disk/by-id/wwn-0x5",
                Some(("disk/by-id/wwn-0x5", None)),
            ),
            ("/dev/sda99999999999", Some(("sda", None))),
            ("/dev/mapper/vg-root", None),
            ("/dev/disk/by-uuid/x", None),
            ("/dev/sd1", None),
            ("/dev/md0", None),
            ("/dev/sr0", None),
            ("/dev/nvmep1", None),
            ("UUID=x", None),
        ] {
            let found = DeviceName::parse(device).map(|name| (name.disk, name.partition));
            assert_eq!(found, expected, "{device}");
        }
    }

    #[test]
    fn the_own_disk_is_the_one_with_the_root() {
        let by_path = "/dev/disk/by-path/pci-0-part1";
        for (root, device, expected) in [
            ("UUID=x", "/dev/sda5", Whose::Own),
            ("UUID=x", "/dev/vda1", Whose::Own),
            ("UUID=x", "/dev/sdb1", Whose::Other),
            ("UUID=x", by_path, Whose::Unknown),
            ("/dev/sdb1", "/dev/sdb5", Whose::Own),
            ("/dev/sdb1", "/dev/sda1", Whose::Other),
            (by_path, "/dev/disk/by-path/pci-0-part2", Whose::Own),
            (
                by_path,
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1",
                Whose::Other,
            ),
        ] {
            let own = OwnDisk::of([root]);
            let name = DeviceName::parse(device).unwrap();
            assert_eq!(own.whose(&name), expected, "{root} {device}");
        }
    }
}
