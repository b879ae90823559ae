//! `boot/root-by-device`: the root file system on the kernel command line, and the volumes that it
//! names beside it.

use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::kernel_cmdline::{self, Role, value_of};
use byoi_agent::parse::edit::{self, Edit};
use byoi_agent::parse::kargs::ArgEdit;
use byoi_agent::parse::shell_vars::{self, Assignment};
use byoi_agent::root::GuestPath;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::named_volumes;
use super::own_disk::own_disk;
use crate::volumes::{DeviceName, Resolution, Volume, Volumes};

/// The rule.
#[derive(Debug)]
pub struct RootByDevice {
    volumes: Arc<Volumes>,
}

/// Set to `true`, it makes `grub-mkconfig` write device names.
const DISABLE_UUID: &str = "GRUB_DISABLE_LINUX_UUID";

impl RootByDevice {
    /// The rule for a disk with these volumes.
    pub fn new(volumes: Arc<Volumes>) -> Self {
        Self { volumes }
    }
}

impl Rule for RootByDevice {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/root-by-device",
            severity: Severity::Blocker,
            title: "A root file system that the kernel command line names by the device, or that is not \
                    on this disk",
            why: "Disks have other names on OCI, and the kernel does not find its root.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let own = own_disk(guest)?;
        let initrd = has_initrd(guest)?;
        let copies = kernel_cmdline::copies(guest)?;
        let some_entry_boots = copies.iter().any(|copy| {
            copy.role == Role::Entry
                && copy
                    .value("root")
                    .is_some_and(|root| self.volumes.find(root, &own) != Resolution::Elsewhere)
        });
        let mut defects = Vec::new();
        for copy in copies {
            for arg in &copy.kargs.args {
                if let Some(what) = named_volumes::missing(&arg.text, &self.volumes, &own) {
                    let defect = Defect::in_file(
                        &copy.path,
                        format!("the boot waits for {what} that is not on this disk"),
                    )
                    .at_line(arg.line)
                    .evidence(arg.text.trim_matches('"'))
                    .hint("remove the argument");
                    defects.push(match copy.role {
                        Role::Entry => defect,
                        Role::Defaults => defect.severity(Severity::Warning),
                    });
                }
                let Some(root) = value_of(&arg.text, "root") else {
                    continue;
                };
                let (message, severity, hint) = match self.volumes.find(root, &own) {
                    Resolution::Here(volume) if is_unstable(root, volume) => (
                        "the root file system is named by a device that OCI names differently",
                        Severity::Blocker,
                        match name(volume, initrd) {
                            Some(name) => format!("write root={name}"),
                            None => "give the file system a UUID, and name it by that".into(),
                        },
                    ),
                    Resolution::Elsewhere => (
                        "the root file system is not on this disk",
                        // Entries for other systems come with os-prober.
                        if some_entry_boots {
                            Severity::Warning
                        } else {
                            Severity::Blocker
                        },
                        "name the root file system that is on this disk, and rebuild the boot \
                         loader's configuration"
                            .into(),
                    ),
                    _ => continue,
                };
                let defect = Defect::in_file(&copy.path, message)
                    .at_line(arg.line)
                    .evidence(&arg.text)
                    .hint(hint)
                    .severity(severity);
                defects.push(defect);
            }
        }
        for path in grub_defaults(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            for assignment in shell_vars::assignments(text.as_str()) {
                if disables_uuid(&assignment) {
                    let defect = Defect::in_file(
                        &path,
                        "the next update of the boot loader will name the root by its device again",
                    )
                    .at_line(assignment.line)
                    .evidence(format!("{DISABLE_UUID}=true"))
                    .hint("remove the line")
                    .severity(Severity::Warning);
                    defects.push(defect);
                }
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let own = own_disk(guest)?;
        let initrd = has_initrd(guest)?;
        kernel_cmdline::edit(guest, &mut |arg| {
            if named_volumes::missing(&arg.text, &self.volumes, &own).is_some() {
                return ArgEdit::Remove;
            }
            let stable =
                value_of(&arg.text, "root").and_then(|root| match self.volumes.find(root, &own) {
                    Resolution::Here(volume) if is_unstable(root, volume) => name(volume, initrd),
                    _ => None,
                });
            match stable {
                Some(name) => ArgEdit::Replace(format!("root={name}")),
                None => ArgEdit::Keep,
            }
        })?;
        for path in grub_defaults(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let edits: Vec<Edit> = shell_vars::assignments(text.as_str())
                .into_iter()
                .filter(disables_uuid)
                .map(|assignment| Edit::remove(assignment.lines))
                .collect();
            if !edits.is_empty() {
                guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
            }
        }
        Ok(())
    }
}

/// Whether a volume will have this name no more.
fn is_unstable(root: &str, volume: &Volume) -> bool {
    DeviceName::parse(root).is_some() || volume.was_called(root)
}

fn disables_uuid(assignment: &Assignment) -> bool {
    assignment.name == DISABLE_UUID && assignment.value.as_str() == "true"
}

/// The name of a root file system. Without an initial ramdisk the kernel finds partitions alone.
fn name(volume: &Volume, initrd: bool) -> Option<String> {
    match &volume.partuuid {
        Some(partuuid) if !initrd => Some(format!("PARTUUID={partuuid}")),
        _ => volume.stable_name(),
    }
}

/// Whether the kernels boot with an initial ramdisk: all that have one in `/boot` do.
fn has_initrd(guest: &Guest<'_>) -> Result<bool, Error> {
    let boot = guest.list(&"/boot".into())?;
    Ok(guest.facts().kernels.is_empty()
        || boot
            .iter()
            .any(|path| path.name().to_string_lossy().starts_with("init")))
}

/// The files that `grub-mkconfig` reads.
fn grub_defaults(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = vec![GuestPath::from("/etc/default/grub")];
    let more = guest.list(&"/etc/default/grub.d".into())?;
    files.extend(more.into_iter().filter(|path| path.has_suffix(".cfg")));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::testing::volume;

    const GRUB: &str = "/etc/default/grub";
    const GRUB_CFG: &str = "/boot/grub/grub.cfg";

    fn rule() -> RootByDevice {
        RootByDevice::new(Arc::new(Volumes::new(vec![Volume {
            partuuid: Some("5f3c9a1e-01".into()),
            ..volume(1, "ext4", "c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42")
        }])))
    }

    #[test]
    fn the_root_gets_an_identifier_everywhere() {
        let fixture = Fixture::new(&[
            (
                GRUB,
                "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n\
                 # Uncomment if you don't want GRUB to pass \"root=UUID=xxx\" parameter to Linux\n\
                 GRUB_DISABLE_LINUX_UUID=true\n\
                 #GRUB_DISABLE_RECOVERY=\"true\"\n",
            ),
            (
                GRUB_CFG,
                "menuentry 'Debian' {\n\
                 \tset root='hd0,msdos1'\n\
                 \tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1 ro  console=ttyS0\n\
                 \tinitrd\t/boot/initrd.img-6.1\n}\n",
            ),
            ("/boot/grub/menu.lst", "# kopt=root=/dev/hda1 ro\n"),
        ]);
        assert_eq!(
            fixture.found(&rule()),
            [
                "/boot/grub/grub.cfg:3 root=/dev/sda1",
                "/boot/grub/menu.lst:1 root=/dev/hda1",
                "/etc/default/grub:3 GRUB_DISABLE_LINUX_UUID=true",
            ]
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[GRUB_CFG],
            "menuentry 'Debian' {\n\
             \tset root='hd0,msdos1'\n\
             \tlinux\t/boot/vmlinuz-6.1 root=UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42 ro  console=ttyS0\n\
             \tinitrd\t/boot/initrd.img-6.1\n}\n"
        );
        assert_eq!(
            drafts["/boot/grub/menu.lst"],
            "# kopt=root=UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42 ro\n"
        );
        assert_eq!(
            drafts[GRUB],
            "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n\
             # Uncomment if you don't want GRUB to pass \"root=UUID=xxx\" parameter to Linux\n\
             #GRUB_DISABLE_RECOVERY=\"true\"\n"
        );
    }

    #[test]
    fn what_dracut_would_wait_for_goes() {
        let fixture = Fixture::new(&[(
            GRUB_CFG,
            "linux /vmlinuz root=PARTUUID=5f3c9a1e-01 rd.lvm.lv=ol/swap rd.luks.uuid=luks-x ro\n",
        )]);
        assert_eq!(
            fixture.found(&rule()),
            [
                "/boot/grub/grub.cfg:1 rd.lvm.lv=ol/swap",
                "/boot/grub/grub.cfg:1 rd.luks.uuid=luks-x",
            ]
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[GRUB_CFG],
            "linux /vmlinuz root=PARTUUID=5f3c9a1e-01 ro\n"
        );
    }

    #[test]
    fn only_a_root_that_is_here_is_renamed() {
        for (arg, found) in [
            ("root=UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42", 0),
            ("root=PARTUUID=5f3c9a1e-01", 0),
            ("root=/dev/mapper/vg-root", 0),
            ("root=/dev/nfs", 0),
            ("root=UUID=00000000-1111-2222-3333-444444444444", 1),
            ("root=/dev/sda2", 1),
        ] {
            let line = format!("linux /vmlinuz {arg} ro\n");
            let fixture = Fixture::new(&[(GRUB_CFG, &line)]);
            assert_eq!(fixture.found(&rule()).len(), found, "{arg}");
            let (drafts, left) = fixture.fixed(&rule());
            assert!(drafts.is_empty(), "{arg}");
            assert_eq!(left.len(), found, "{arg}");
        }
    }

    #[test]
    fn an_entry_of_another_system_blocks_only_alone() {
        let own = "linux /vmlinuz root=UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42\n";
        let other = "linux /vmlinuz root=UUID=0000\n";
        for (text, expected) in [
            (format!("{own}{other}"), Severity::Warning),
            (other.into(), Severity::Blocker),
        ] {
            let fixture = Fixture::new(&[(GRUB_CFG, &text)]);
            let defects = rule().check(&fixture.guest()).unwrap();
            assert_eq!(defects.len(), 1, "{text}");
            assert_eq!(defects[0].severity, Some(expected), "{text}");
        }
    }

    #[test]
    fn a_kernel_without_a_ramdisk_gets_the_partition() {
        let mut fixture = Fixture::new(&[(GRUB_CFG, "linux /vmlinuz root=/dev/sda1\n")]);
        fixture.facts.kernels = vec!["6.1-custom".into()];
        let (drafts, _) = fixture.fixed(&rule());
        assert_eq!(
            drafts[GRUB_CFG],
            "linux /vmlinuz root=PARTUUID=5f3c9a1e-01\n"
        );
    }
}
