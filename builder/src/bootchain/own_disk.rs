//! Which disk the guest boots from, by its own configuration.

use std::collections::BTreeSet;

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::kernel_cmdline;
use byoi_agent::parse::fstab;

use super::table::FSTAB;
use crate::volumes::OwnDisk;

/// Takes the names that `/` has in `fstab` and on the kernel command lines, as they are on the
/// disk: a draft that replaces one of them takes nothing from what the others mean.
///
/// # Errors
///
/// The guest could not be read.
pub(super) fn own_disk(guest: &Guest<'_>) -> Result<OwnDisk, Error> {
    let guest = &Guest::new(guest.root(), guest.facts());
    let mut roots = Vec::new();
    if let Some(text) = guest.text(&FSTAB.into())? {
        roots.extend(
            fstab::entries(text.as_str())
                .into_iter()
                .filter(|entry| entry.target == "/")
                .map(|entry| entry.source),
        );
    }
    // The first entry of a file is the guest's own; others may be of another system.
    let mut seen = BTreeSet::new();
    for copy in kernel_cmdline::copies(guest)? {
        if let Some(root) = copy.value("root")
            && seen.insert(copy.path.clone())
        {
            roots.push(root.to_owned());
        }
    }
    Ok(OwnDisk::of(roots.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::{DeviceName, Whose};

    #[test]
    fn the_root_is_named_in_several_files() {
        let whose = |files: &[(&str, &str)], device: &str| {
            let fixture = Fixture::new(files);
            let own = own_disk(&fixture.guest()).unwrap();
            own.whose(&DeviceName::parse(device).unwrap())
        };
        let by_path = "/dev/disk/by-path/pci-0-part1";
        let fstab = |source: &str| format!("{source} / ext4 defaults 0 1\n");
        for (files, device, expected) in [
            (vec![], "/dev/sda1", Whose::Own),
            (vec![], "/dev/vda1", Whose::Own),
            (vec![], "/dev/sdb1", Whose::Other),
            (vec![], by_path, Whose::Unknown),
            (
                vec![("/etc/fstab", fstab("/dev/sdb1"))],
                "/dev/sdb5",
                Whose::Own,
            ),
            (
                vec![("/etc/fstab", fstab("/dev/sdb1"))],
                "/dev/sda1",
                Whose::Other,
            ),
            (
                vec![("/etc/fstab", fstab("UUID=x"))],
                "/dev/sda5",
                Whose::Own,
            ),
            (
                vec![("/etc/fstab", fstab(by_path))],
                "/dev/disk/by-path/pci-0-part2",
                Whose::Own,
            ),
            (
                vec![("/etc/kernel/cmdline", "root=/dev/vdc1\n".into())],
                "/dev/vdc2",
                Whose::Own,
            ),
            (
                vec![(
                    "/boot/grub/grub.cfg",
                    "linux /vmlinuz root=UUID=x\nlinux /other root=/dev/sdb1\n".into(),
                )],
                "/dev/sdb1",
                Whose::Other,
            ),
        ] {
            let files: Vec<(&str, &str)> = files
                .iter()
                .map(|(path, text)| (*path, text.as_str()))
                .collect();
            assert_eq!(whose(&files, device), expected, "{files:?} {device}");
        }
    }
}
