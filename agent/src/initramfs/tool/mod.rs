//! The program of the guest that builds its initramfs images.
//!
//! Each distribution has its own, with its own idea of what belongs inside: most of them look at the
//! machine they run on. Here they are told to look at no machine, by options for the image at hand
//! and by their configuration for those that the next kernel brings.

mod dracut;
mod initramfs_tools;
mod mkinitcpio;
mod mkinitrd;

use super::kernels::Kernel;
use crate::error::Error;
use crate::guest::Guest;
use crate::root::GuestPath;

use dracut::Dracut;

/// A tool that builds images, and its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// initramfs-tools: Debian, Ubuntu.
    InitramfsTools {
        /// `update-initramfs`.
        program: GuestPath,
    },
    /// dracut: Red Hat since 6, SUSE since 12, and whoever chose it.
    Dracut(Dracut),
    /// mkinitrd of Red Hat 5.
    Mkinitrd {
        /// `mkinitrd`.
        program: GuestPath,
    },
    /// mkinitrd of SUSE up to 11.
    SuseMkinitrd {
        /// `mkinitrd`.
        program: GuestPath,
    },
    /// mkinitcpio: Arch.
    Mkinitcpio {
        /// `mkinitcpio`.
        program: GuestPath,
    },
}

/// Where distributions keep the programs.
const PROGRAM_DIRS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/sbin", "/bin"];
/// What makes a new kernel get its image from initramfs-tools, where dracut is there as well.
const INITRAMFS_TOOLS_HOOK: &str = "/etc/kernel/postinst.d/initramfs-tools";
/// Where the mkinitrd of SUSE has its scripts.
const SUSE_MKINITRD: &str = "/lib/mkinitrd";

impl Tool {
    /// The tool that builds the guest's images; `None` where there is none that is known.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(guest: &Guest<'_>) -> Result<Option<Self>, Error> {
        let dracut = program(guest, "dracut")?;
        if let Some(program) = program(guest, "update-initramfs")?
            && (dracut.is_none() || guest.exists(&INITRAMFS_TOOLS_HOOK.into())?)
        {
            return Ok(Some(Self::InitramfsTools { program }));
        }
        // Wherever there is dracut, mkinitrd is a wrapper around it.
        if let Some(program) = dracut {
            return Dracut::probe(guest, program).map(|dracut| Some(Self::Dracut(dracut)));
        }
        if let Some(program) = program(guest, "mkinitcpio")? {
            return Ok(Some(Self::Mkinitcpio { program }));
        }
        let Some(program) = program(guest, "mkinitrd")? else {
            return Ok(None);
        };
        Ok(Some(if guest.exists(&SUSE_MKINITRD.into())? {
            Self::SuseMkinitrd { program }
        } else {
            Self::Mkinitrd { program }
        }))
    }

    /// Whether it can write a kernel's image nowhere but to the place of the old one.
    pub fn writes_in_place(&self) -> bool {
        matches!(
            self,
            Self::InitramfsTools { .. } | Self::SuseMkinitrd { .. }
        )
    }

    /// The command line that builds a kernel's image at `image`, with these modules of the kernel
    /// and every other that some machine needs.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn command(
        &self,
        guest: &Guest<'_>,
        kernel: &Kernel,
        image: &GuestPath,
        modules: &[String],
    ) -> Result<Vec<String>, Error> {
        let version = &kernel.version;
        Ok(match self {
            Self::InitramfsTools { program } => {
                initramfs_tools::command(guest, program, version, image)?
            }
            Self::Dracut(dracut) => dracut.command(version, image, modules),
            Self::Mkinitrd { program } => mkinitrd::command(program, version, image, modules),
            Self::SuseMkinitrd { program } => mkinitrd::suse_command(program, version, image),
            Self::Mkinitcpio { program } => mkinitcpio::command(program, version, image),
        })
    }

    /// Drafts the configuration that makes every later image as general. `kept` are arguments of
    /// the kernel that the old image held and that the root is found by.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn configure(
        &self,
        guest: &mut Guest<'_>,
        modules: &[String],
        kept: &[String],
    ) -> Result<(), Error> {
        match self {
            Self::InitramfsTools { .. } => initramfs_tools::configure(guest),
            Self::Dracut(dracut) => dracut.configure(guest, modules, kept),
            // It has no configuration of its own; its images hold what the options ask for.
            Self::Mkinitrd { .. } => Ok(()),
            Self::SuseMkinitrd { .. } => mkinitrd::configure_suse(guest, modules),
            Self::Mkinitcpio { .. } => mkinitcpio::configure(guest),
        }
    }
}

fn program(guest: &Guest<'_>, name: &str) -> Result<Option<GuestPath>, Error> {
    for dir in PROGRAM_DIRS {
        let path = GuestPath::from(dir).join(name);
        if guest.exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initramfs::kernels::Role;
    use crate::rules::fixture::Fixture;

    const MODERN: &str =
        "#!/bin/bash\n--long no-hostonly --long no-hostonly-cmdline --long add-drivers:\n";
    const EL6: &str = "#!/bin/bash\n--add-drivers) --force) --hostonly)\n";

    fn kernel(initramfs: &str) -> Kernel {
        Kernel {
            version: "6.1".into(),
            role: Role::Installed,
            initramfs: initramfs.into(),
        }
    }

    #[test]
    fn each_family_has_its_tool() {
        for (files, image, expected) in [
            (vec![("/boot/vmlinuz-6.1", "")], "/boot/x", None),
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    ("/boot/initrd.img-6.1", ""),
                ],
                "/boot/initrd.img-6.1",
                Some("/usr/sbin/update-initramfs -u -k 6.1"),
            ),
            (
                vec![("/usr/sbin/update-initramfs", "")],
                "/boot/initrd.img-6.1",
                Some("/usr/sbin/update-initramfs -c -k 6.1"),
            ),
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    ("/boot/initrd.img-6.1", ""),
                    (
                        "/etc/initramfs-tools/update-initramfs.conf",
                        "update_initramfs=no\n",
                    ),
                ],
                "/boot/initrd.img-6.1",
                Some("mkinitramfs -o /boot/initrd.img-6.1 6.1"),
            ),
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    ("/usr/bin/dracut", MODERN),
                    ("/boot/initrd.img-6.1", ""),
                    ("/etc/kernel/postinst.d/initramfs-tools", ""),
                ],
                "/boot/initrd.img-6.1",
                Some("/usr/sbin/update-initramfs -u -k 6.1"),
            ),
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    ("/usr/bin/dracut", MODERN),
                ],
                "/boot/initrd.img-6.1",
                Some(
                    "/usr/bin/dracut --force --no-hostonly --no-hostonly-cmdline --add-drivers virtio_pci sd_mod /boot/initrd.img-6.1 6.1",
                ),
            ),
            (
                vec![("/sbin/dracut", EL6), ("/sbin/mkinitrd", "")],
                "/boot/initramfs-6.1.img",
                Some(
                    "/sbin/dracut --force --add-drivers virtio_pci sd_mod /boot/initramfs-6.1.img 6.1",
                ),
            ),
            (
                vec![("/sbin/mkinitrd", "")],
                "/boot/initrd-6.1.img",
                Some("/sbin/mkinitrd -f --with=virtio_pci --with=sd_mod /boot/initrd-6.1.img 6.1"),
            ),
            (
                vec![("/sbin/mkinitrd", ""), ("/lib/mkinitrd/scripts/x.sh", "")],
                "/boot/initrd-6.1",
                Some("/sbin/mkinitrd -B -k vmlinuz-6.1 -i initrd-6.1"),
            ),
            (
                vec![("/usr/bin/mkinitcpio", "")],
                "/boot/initramfs-linux.img",
                Some("/usr/bin/mkinitcpio -k 6.1 -g /boot/initramfs-linux.img -S autodetect"),
            ),
        ] {
            let command = Fixture::new(&files).with(|guest| {
                let modules = words(&["virtio_pci", "sd_mod"]);
                Tool::of(guest).unwrap().map(|tool| {
                    tool.command(guest, &kernel(image), &image.into(), &modules)
                        .unwrap()
                        .join(" ")
                })
            });
            assert_eq!(command.as_deref(), expected, "{files:?}");
        }
    }

    #[test]
    fn later_images_are_general_too() {
        for (files, path, expected) in [
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    (
                        "/etc/initramfs-tools/initramfs.conf",
                        "# MODULES: [ most | netboot | dep | list ]\nMODULES=dep\nBUSYBOX=auto\n",
                    ),
                ],
                "/etc/initramfs-tools/initramfs.conf",
                "# MODULES: [ most | netboot | dep | list ]\nMODULES=most\nBUSYBOX=auto\n",
            ),
            (
                vec![
                    ("/usr/sbin/update-initramfs", ""),
                    (
                        "/etc/initramfs-tools/conf.d/driver-policy",
                        "MODULES=\"dep\"\n",
                    ),
                ],
                "/etc/initramfs-tools/conf.d/driver-policy",
                "MODULES=most\n",
            ),
            (
                vec![("/usr/bin/dracut", MODERN)],
                "/etc/dracut.conf.d/zz-byoi.conf",
                "# Images have to boot on other machines than the one they are built on.\n\
                 hostonly=\"no\"\nkernel_cmdline+=\" rd.lvm.lv=system/root \"\n",
            ),
            (
                vec![
                    ("/usr/bin/dracut", MODERN),
                    (
                        "/etc/dracut.conf.d/omit.conf",
                        "omit_drivers+=\" floppy virtio_scsi .*/virtio/.* nouveau \" # c\nhostonly=yes\n",
                    ),
                ],
                "/etc/dracut.conf.d/omit.conf",
                "omit_drivers+=\" floppy nouveau \" # c\nhostonly=yes\n",
            ),
            (
                vec![
                    ("/sbin/dracut", EL6),
                    (
                        "/etc/dracut.conf",
                        "# x\nhostonly=\"yes\"\nmdadmconf=\"yes\"\n",
                    ),
                ],
                "/etc/dracut.conf",
                "# x\nmdadmconf=\"yes\"\n",
            ),
            (
                vec![
                    ("/sbin/mkinitrd", ""),
                    ("/lib/mkinitrd/scripts/x.sh", ""),
                    (
                        "/etc/sysconfig/kernel",
                        "# m\nINITRD_MODULES=\"ata_piix virtio_pci\"\nX=y\n",
                    ),
                ],
                "/etc/sysconfig/kernel",
                "# m\nINITRD_MODULES=\"ata_piix virtio_pci sd_mod\"\nX=y\n",
            ),
            (
                vec![
                    ("/usr/bin/mkinitcpio", ""),
                    (
                        "/etc/mkinitcpio.conf",
                        "# HOOKS=(base autodetect)\nMODULES=()\nHOOKS=(base udev autodetect\n  block autodetector)\n",
                    ),
                ],
                "/etc/mkinitcpio.conf",
                "# HOOKS=(base autodetect)\nMODULES=()\nHOOKS=(base udev\n  block autodetector)\n",
            ),
        ] {
            let fixture = Fixture::new(&files);
            let drafts = fixture.with(|guest| {
                let tool = Tool::of(guest).unwrap().unwrap();
                let modules = words(&["virtio_pci", "sd_mod"]);
                let kept = words(&["rd.lvm.lv=system/root"]);
                tool.configure(guest, &modules, &kept).unwrap();
                let once = guest.drafts().clone();
                tool.configure(guest, &modules, &kept).unwrap();
                assert_eq!(*guest.drafts(), once, "{path}");
                guest.text(&path.into()).unwrap()
            });
            assert_eq!(drafts.unwrap().as_str(), expected, "{path}");
        }
    }
}
