//! `iscsi/root`: the system itself on an iSCSI target elsewhere.
//!
//! Told by `fstab`, by the kernel command line (dracut.cmdline(7), `root=`, `netroot=` and the
//! arguments that name a target) and by what Debian's initial ramdisk takes in,
//! `/etc/iscsi/iscsi.initramfs`. OCI's own boot volume, at 169.254.0.2 with the name
//! `iqn.2015-02.oracle.boot…`, and a target that the firmware names are right. On the running system
//! the kernel is asked as well. Nothing can be fixed here: the disk that the image is made of is not
//! the one that boots. So that the system boots again, the other rules leave what it does so with:
//! credentials, its name, the records of its target, its command line, the initramfs.

mod system;
mod target;

use std::rc::Rc;

use super::{DOC_CUSTOM_IMAGES, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

pub use system::{STAYS, System};

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiRoot {
    disk: Rc<KnownDisk>,
}

const INITRAMFS: &str = "/etc/iscsi/iscsi.initramfs";

impl IscsiRoot {
    /// The rule, with what is known of the guest's disk.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }
}

impl Rule for IscsiRoot {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/root",
            severity: Severity::Blocker,
            title: "A system on an iSCSI target elsewhere",
            why: "OCI starts the instance from a volume of its own, and the target of the old \
                  network is out of reach.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        Ok(System::look(guest, &self.disk)?.into_defects().collect())
    }

    /// The disk that the image is made of is not the one that boots.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const BY_PATH: &str = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1";

    #[test]
    fn a_system_elsewhere_is_known() {
        let cmdline = "/etc/kernel/cmdline";
        for (path, content, expected) in [
            (
                "/etc/fstab",
                format!("{BY_PATH}-part1 / ext4 defaults 0 1\n"),
                1,
            ),
            (
                "/etc/fstab",
                format!("{BY_PATH}-part1 /srv ext4 _netdev 0 1\n"),
                0,
            ),
            (
                "/etc/fstab",
                "UUID=x / xfs defaults,_netdev 0 0\n".to_owned(),
                0,
            ),
            (cmdline, format!("root={BY_PATH}-part1 ro\n"), 1),
            (cmdline, "root=iscsi:192.0.2.5::::iqn.x ro\n".to_owned(), 1),
            (
                cmdline,
                "netroot=iscsi:u:p@192.0.2.5::::iqn.x root=UUID=x\n".to_owned(),
                1,
            ),
            (
                cmdline,
                "netroot=iscsi:169.254.0.2:::1:iqn.2015-02.oracle.boot:uefi rd.iscsi.firmware=1\n"
                    .to_owned(),
                0,
            ),
            (cmdline, "netroot=iscsi rd.iscsi.firmware=1\n".to_owned(), 0),
            (
                cmdline,
                "root=UUID=x iscsi_target_ip=192.0.2.5 ISCSI_TARGET_NAME=iqn.x\n".to_owned(),
                2,
            ),
            (
                cmdline,
                "root=UUID=x rd.iscsi.target.name=iqn.x\n".to_owned(),
                1,
            ),
            (
                cmdline,
                "iscsi_target_ip=169.254.0.2 iscsi_target_name=iqn.2015-02.oracle.boot:uefi\n"
                    .to_owned(),
                0,
            ),
            (INITRAMFS, "ISCSI_TARGET_IP=192.0.2.5\n".to_owned(), 1),
            (
                INITRAMFS,
                "ISCSI_TARGET_IP=\"\"\nISCSI_TARGET_NAME=\n".to_owned(),
                0,
            ),
            (
                INITRAMFS,
                "ISCSI_AUTO=yes\n#ISCSI_TARGET_IP=192.0.2.5\n".to_owned(),
                0,
            ),
        ] {
            let fixture = Fixture::new(&[(path, &content)]);
            let rule = IscsiRoot::default();
            fixture.fix_once(&[&rule]);
            assert_eq!(fixture.text(path).as_deref(), Some(content.as_str()));
            let found = fixture.check(&rule);
            assert_eq!(found.len(), expected, "{content}");
            assert!(found.iter().all(|defect| !defect.evidence.contains(":p@")));
        }
    }
}
