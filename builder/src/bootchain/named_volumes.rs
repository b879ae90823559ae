//! Volumes that the kernel command line asks dracut to assemble before the root is mounted:
//! `rd.lvm.lv=`, `rd.lvm.vg=`, `rd.md.uuid=`, `rd.luks.uuid=` (dracut.cmdline(7)).

use byoi_agent::kernel_cmdline::value_of;

use crate::volumes::{OwnDisk, Resolution, Volumes};

/// What an argument names that is not on the disk: said for a message.
pub(super) fn missing(arg: &str, volumes: &Volumes, own: &OwnDisk) -> Option<&'static str> {
    if let Some(name) = value_of(arg, "rd.lvm.lv") {
        let found = volumes.find(&format!("/dev/{name}"), own);
        let here = match found {
            Resolution::Here(_) => true,
            // Physical volumes are there; which volumes they hold is not known.
            Resolution::Unknown => volumes.hold("LVM2_member"),
            Resolution::Elsewhere | Resolution::NotABlockDevice => false,
        };
        return (!here).then_some("a logical volume");
    }
    if value_of(arg, "rd.lvm.vg").is_some() {
        return (!volumes.hold("LVM2_member")).then_some("a volume group");
    }
    if let Some(uuid) = value_of(arg, "rd.md.uuid") {
        return (!volumes.hold_uuid("linux_raid_member", uuid)).then_some("an array");
    }
    let uuid = value_of(arg, "rd.luks.uuid")?;
    let uuid = uuid.strip_prefix("luks-").unwrap_or(uuid);
    (!volumes.hold_uuid("crypto_LUKS", uuid)).then_some("an encrypted volume")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::testing::volume;

    #[test]
    fn what_is_named_has_to_be_there() {
        let plain = Volumes::new(vec![volume(1, "ext4", "c1a7")]);
        let stacked = Volumes::new(vec![
            volume(1, "LVM2_member", "x"),
            volume(
                2,
                "linux_raid_member",
                "0123abcd-0123-abcd-0123-abcd01234567",
            ),
            volume(3, "crypto_LUKS", "5f3c9a1e-2f3b-4a55-8d10-6b1f0c9e7d42"),
        ]);
        for (arg, expected) in [
            ("rd.lvm.lv=vg/root", Some("a logical volume")),
            ("rd.lvm.vg=vg", Some("a volume group")),
            (
                "rd.md.uuid=0123abcd:0123abcd:0123abcd:01234567",
                Some("an array"),
            ),
            (
                "rd.luks.uuid=luks-5f3c9a1e-2f3b-4a55-8d10-6b1f0c9e7d42",
                Some("an encrypted volume"),
            ),
            ("root=UUID=dead", None),
            ("rd.md=0", None),
        ] {
            let own = OwnDisk::default();
            assert_eq!(missing(arg, &plain, &own), expected, "{arg}");
            assert_eq!(missing(arg, &stacked, &own), None, "{arg}");
        }
    }
}
