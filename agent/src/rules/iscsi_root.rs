//! `iscsi/root`: the system itself on an iSCSI target elsewhere.
//!
//! Told by `fstab`, by the kernel command line (dracut.cmdline(7), `root=` and `netroot=`) and by
//! what Debian's initial ramdisk takes in, `/etc/iscsi/iscsi.initramfs`. OCI's own boot volume, at
//! 169.254.0.2 with the name `iqn.2015-02.oracle.boot…`, and a target that the firmware names are
//! right. On the running system the kernel is asked as well. Nothing can be fixed here: the disk that the image is made of is not the one that boots.

use super::iscsi_mount::{essential, is_iscsi_path};
use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::kernel_cmdline::{self, value_of};
use crate::live::kernel::Kernel;
use crate::live::survey::{BOOT_VOLUME, Role, Survey};
use crate::parse::iscsi_record;

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiRoot {
    local: Vec<String>,
    is_running: bool,
}

const INITRAMFS: &str = "/etc/iscsi/iscsi.initramfs";
/// What to do.
const HINT: &str = "move the file system to a local disk and make the image of that: OCI does not reach the target";

impl IscsiRoot {
    /// The rule, with the `fstab` sources of the file systems on the guest's own disk, such as
    /// `UUID=…`, and whether the guest is the running system.
    pub fn new(local: Vec<String>, is_running: bool) -> Self {
        Self { local, is_running }
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
        let mut defects: Vec<Defect> = essential(guest, &self.local)?
            .into_iter()
            .map(|entry| {
                Defect::in_file(
                    &"/etc/fstab".into(),
                    format!("{} is on a volume that iSCSI attached", entry.target),
                )
                .at_line(entry.line)
                .evidence(entry.text.trim())
                .hint(HINT)
            })
            .collect();
        for (copy, line, name) in arguments(guest)? {
            defects.push(
                Defect::in_file(
                    &copy,
                    "the root file system is on an iSCSI target elsewhere",
                )
                .at_line(line)
                // The value may hold a password.
                .evidence(format!("{name}=(redacted)"))
                .hint(HINT),
            );
        }
        if let Some(text) = guest.text(&INITRAMFS.into())? {
            defects.extend(
                iscsi_record::settings(text.as_str())
                    .filter(|setting| {
                        matches!(setting.key, "ISCSI_TARGET_IP" | "ISCSI_TARGET_NAME")
                            && !is_boot_volume(setting.value)
                    })
                    .map(|setting| {
                        Defect::in_file(
                            &INITRAMFS.into(),
                            "the initial ramdisk logs in to an iSCSI target elsewhere",
                        )
                        .at_line(setting.line)
                        .evidence(format!("{}={}", setting.key, setting.value))
                        .hint(HINT)
                    }),
            );
        }
        if self.is_running {
            defects.extend(sessions(guest)?);
        }
        Ok(defects)
    }

    /// The disk that the image is made of is not the one that boots.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// The sessions that the running system is on.
fn sessions(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let Some(survey) = Survey::read(Kernel(guest.root()))? else {
        return Ok(Vec::new());
    };
    let system = survey
        .sessions
        .iter()
        .filter(|attached| attached.role == Role::System);
    Ok(system
        .map(|attached| {
            Defect::of(
                attached.session.to_string(),
                "the running system is on an iSCSI target elsewhere",
            )
            .evidence(survey.uses(attached))
            .hint(HINT)
        })
        .collect())
}

/// Whether a kernel command line puts the root file system on a target elsewhere.
///
/// # Errors
///
/// The guest could not be read.
pub fn is_elsewhere(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(!arguments(guest)?.is_empty())
}

/// The arguments that put it there: the file, the line and the argument's name.
fn arguments(
    guest: &Guest<'_>,
) -> Result<Vec<(crate::root::GuestPath, usize, &'static str)>, Error> {
    let mut found = Vec::new();
    for copy in kernel_cmdline::copies(guest)? {
        for arg in &copy.kargs.args {
            for name in ["root", "netroot"] {
                let is_target = |value: &str| {
                    (value.starts_with("iscsi:") && !is_boot_volume(value)) || is_iscsi_path(value)
                };
                if value_of(&arg.text, name).is_some_and(is_target) {
                    found.push((copy.path.clone(), arg.line, name));
                }
            }
        }
    }
    Ok(found)
}

fn is_boot_volume(value: &str) -> bool {
    BOOT_VOLUME.iter().any(|own| value.contains(own))
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
            (INITRAMFS, "ISCSI_TARGET_IP=192.0.2.5\n".to_owned(), 1),
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
