//! Which drivers lead from the disk to the root file system.

use crate::error::Error;
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::fstab;

/// File systems that a root may have and whose driver is named like them.
const FILE_SYSTEMS: [&str; 7] = ["btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "xfs"];

/// The drivers for the root file system, as far as the guest's configuration tells, and those that
/// are `known` from the disk itself. Each once, sorted.
///
/// # Errors
///
/// The guest could not be read.
pub fn root_drivers(guest: &Guest<'_>, known: &[&'static str]) -> Result<Vec<&'static str>, Error> {
    let mut drivers: Vec<&'static str> = known.to_vec();
    drivers.retain(|driver| !driver.is_empty());
    let mut sources = Vec::new();
    if let Some(text) = guest.text(&"/etc/fstab".into())? {
        for entry in fstab::entries(text.as_str()) {
            if entry.target == "/" {
                // The disk knows better than the table.
                if known.iter().all(|known| !FILE_SYSTEMS.contains(known)) {
                    let driver = FILE_SYSTEMS.iter().find(|name| **name == entry.fs_type);
                    drivers.extend(driver);
                }
                sources.push(entry.source);
            }
        }
    }
    for copy in kernel_cmdline::copies(guest)? {
        sources.extend(copy.value("root").map(str::to_owned));
        let args = &copy.kargs.args;
        if args.iter().any(|arg| names_mapped_device(&arg.text)) {
            drivers.push("dm_mod");
        }
    }
    drivers.extend(sources.iter().filter_map(|source| below(source)));
    drivers.sort_unstable();
    drivers.dedup();
    Ok(drivers)
}

/// The driver that a block device of this name needs beside that of the disk.
fn below(source: &str) -> Option<&'static str> {
    let name = source.strip_prefix("/dev/")?;
    if name.starts_with("mapper/") {
        return Some("dm_mod");
    }
    if name.starts_with("md") {
        return Some("md_mod");
    }
    // `/dev/GROUP/VOLUME` is LVM; udev's own directories are not.
    let (dir, _) = name.split_once('/')?;
    let of_udev = matches!(dir, "disk" | "block" | "cciss" | "ida" | "xvd" | "xvda");
    (!of_udev).then_some("dm_mod")
}

fn names_mapped_device(arg: &str) -> bool {
    [
        "rd.lvm.lv=",
        "rd_LVM_LV=",
        "rd.lvm.vg=",
        "rd.luks.uuid=",
        "rd_LUKS_UUID=",
    ]
    .iter()
    .any(|name| arg.trim_matches('"').starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn the_way_to_the_root() {
        for (fstab, cmdline, known, expected) in [
            ("UUID=x / xfs defaults 0 0\n", "ro", vec![], vec!["xfs"]),
            ("UUID=x / auto defaults 0 0\n", "ro", vec![], vec![]),
            (
                "UUID=x / auto defaults 0 0\n",
                "ro",
                vec!["ext4"],
                vec!["ext4"],
            ),
            (
                "UUID=x / ext3 defaults 0 0\n",
                "ro",
                vec!["ext4"],
                vec!["ext4"],
            ),
            (
                "/dev/mapper/ol-root / xfs defaults 0 0\n",
                "",
                vec![],
                vec!["dm_mod", "xfs"],
            ),
            (
                "/dev/VolGroup00/LogVol00 / ext3 defaults 1 1\n",
                "",
                vec![],
                vec!["dm_mod", "ext3"],
            ),
            (
                "UUID=x / btrfs subvol=@ 0 0\n",
                "rd.lvm.lv=vg/root",
                vec![],
                vec!["btrfs", "dm_mod"],
            ),
            (
                "UUID=x / ext4 a 0 0\n",
                "root=/dev/md0",
                vec![],
                vec!["ext4", "md_mod"],
            ),
            (
                "/dev/disk/by-uuid/x / ext4 a 0 0\n",
                "root=/dev/sda1",
                vec![],
                vec!["ext4"],
            ),
            ("/dev/mapper/vg-var /var xfs a 0 0\n", "", vec![], vec![]),
        ] {
            let fixture = Fixture::new(&[("/etc/fstab", fstab), ("/etc/kernel/cmdline", cmdline)]);
            let found = fixture.with(|guest| root_drivers(guest, &known).unwrap());
            assert_eq!(found, expected, "{fstab}{cmdline}");
        }
    }
}
