//! Which modules a kernel of the guest has, apart from any initramfs: `/lib/modules/VERSION`.
//!
//! depmod(8) lists in `modules.builtin` what is part of the kernel itself, and in `modules.dep`
//! each module with all that it needs. Kernels before 2.6.33 have no `modules.builtin`; there the
//! configuration that the kernel was built with, `/boot/config-VERSION`, says it.

use std::collections::{HashMap, HashSet};

use super::modules::module_name;
use crate::error::Error;
use crate::guest::CONFIG_LIMIT;
use crate::root::{FileKind, GuestPath, GuestRoot};

/// Where modules are; one is a link to the other wherever `/usr` is merged.
const MODULE_DIRS: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];
/// The options that build a driver into the kernel, for kernels without `modules.builtin`.
const OPTIONS: [(&str, &str); 18] = [
    ("CONFIG_ATA", "libata"),
    ("CONFIG_ATA_PIIX", "ata_piix"),
    ("CONFIG_BLK_DEV_DM", "dm_mod"),
    ("CONFIG_BLK_DEV_MD", "md_mod"),
    ("CONFIG_BLK_DEV_PIIX", "piix"),
    ("CONFIG_BLK_DEV_SD", "sd_mod"),
    ("CONFIG_BTRFS_FS", "btrfs"),
    ("CONFIG_EXT2_FS", "ext2"),
    ("CONFIG_EXT3_FS", "ext3"),
    ("CONFIG_EXT4_FS", "ext4"),
    ("CONFIG_SCSI", "scsi_mod"),
    ("CONFIG_SCSI_VIRTIO", "virtio_scsi"),
    ("CONFIG_VIRTIO", "virtio"),
    ("CONFIG_VIRTIO_BLK", "virtio_blk"),
    ("CONFIG_VIRTIO_NET", "virtio_net"),
    ("CONFIG_VIRTIO_PCI", "virtio_pci"),
    ("CONFIG_VIRTIO_RING", "virtio_ring"),
    ("CONFIG_XFS_FS", "xfs"),
];

/// The modules of one kernel, by name; `-` is `_` in all of them.
#[derive(Debug, Clone, Default)]
pub struct KernelModules {
    builtin: HashSet<String>,
    loadable: HashMap<String, Vec<String>>,
}

impl KernelModules {
    /// Reads the texts of `modules.builtin` and `modules.dep`.
    pub fn parse(builtin: &str, dep: &str) -> Self {
        Self {
            builtin: builtin.lines().filter_map(module_name).collect(),
            loadable: dep
                .lines()
                .filter_map(|line| {
                    let (module, needs) = line.split_once(':')?;
                    let needs = needs.split_whitespace().filter_map(module_name);
                    Some((module_name(module)?, needs.collect()))
                })
                .collect(),
        }
    }

    /// Reads what the guest says of a kernel; nothing where it says nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(root: &GuestRoot, version: &str) -> Result<Self, Error> {
        let text = |path: &GuestPath| -> Result<Option<String>, Error> {
            let bytes = root.read(path, CONFIG_LIMIT)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let Some(dir) = modules_dir(root, version)? else {
            return Ok(Self::default());
        };
        let dep = text(&dir.join("modules.dep"))?.unwrap_or_default();
        if let Some(builtin) = text(&dir.join("modules.builtin"))? {
            return Ok(Self::parse(&builtin, &dep));
        }
        let config = text(&GuestPath::new(format!("/boot/config-{version}")))?;
        let mut modules = Self::parse("", &dep);
        modules.builtin = built_by(&config.unwrap_or_default());
        Ok(modules)
    }

    /// Whether it is known which modules this kernel has.
    pub fn lists_modules(&self) -> bool {
        !self.loadable.is_empty()
    }

    /// Whether the kernel itself has the driver.
    pub fn is_builtin(&self, module: &str) -> bool {
        self.builtin.contains(&canonical(module))
    }

    /// Whether the driver is a module of this kernel.
    pub fn is_loadable(&self, module: &str) -> bool {
        self.loadable.contains_key(&canonical(module))
    }

    /// Everything that a module needs to be loaded first.
    pub fn needs(&self, module: &str) -> &[String] {
        self.loadable
            .get(&canonical(module))
            .map_or(&[], Vec::as_slice)
    }
}

/// The directory of a kernel's modules; `None` where there is none.
///
/// # Errors
///
/// The guest could not be read.
pub fn modules_dir(root: &GuestRoot, version: &str) -> Result<Option<GuestPath>, Error> {
    for dir in MODULE_DIRS {
        let dir = root.resolve(&GuestPath::from(dir).join(version))?;
        if root.kind(&dir)? == Some(FileKind::Directory) {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

/// The version of the kernel that a package calls by its own name, as Arch does: `linux`, said in
/// `/usr/lib/modules/VERSION/pkgbase`.
///
/// # Errors
///
/// The guest could not be read.
pub fn version_of_package(root: &GuestRoot, package: &str) -> Result<Option<String>, Error> {
    for dir in MODULE_DIRS {
        let dir = root.resolve(&dir.into())?;
        for name in root.list(&dir)? {
            let pkgbase = root.read(&dir.join(&name).join("pkgbase"), CONFIG_LIMIT)?;
            if pkgbase.is_some_and(|text| text.trim_ascii() == package.as_bytes()) {
                return Ok(name.to_str().map(str::to_owned));
            }
        }
    }
    Ok(None)
}

/// As modprobe reads a name.
pub(super) fn canonical(module: &str) -> String {
    module.replace('-', "_")
}

/// The drivers that a kernel's configuration builds in.
fn built_by(config: &str) -> HashSet<String> {
    config
        .lines()
        .filter_map(|line| line.strip_suffix("=y"))
        .filter_map(|set| OPTIONS.iter().find(|(option, _)| *option == set))
        .map(|(_, module)| (*module).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn names_are_read_in_every_form() {
        for (builtin, dep, module, expected) in [
            (
                "kernel/drivers/scsi/sd_mod.ko\n",
                "",
                "sd_mod",
                (true, false),
            ),
            ("kernel/drivers/md/dm-mod.ko\n", "", "dm_mod", (true, false)),
            (
                "",
                "kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz\n",
                "xfs",
                (false, true),
            ),
            ("", "kernel/fs/xfs/xfs.ko.zst:\n", "xfs", (false, true)),
            (
                "",
                "/lib/modules/2.6.18-8.el5/kernel/drivers/scsi/sd_mod.ko: /x/scsi_mod.ko\n",
                "sd-mod",
                (false, true),
            ),
            ("", "kernel/fs/xfs/xfs.ko.gz\n", "xfs", (false, false)),
        ] {
            let modules = KernelModules::parse(builtin, dep);
            assert_eq!(
                (modules.is_builtin(module), modules.is_loadable(module)),
                expected,
                "{builtin}{dep}"
            );
        }
    }

    #[test]
    fn what_a_module_needs() {
        let modules = KernelModules::parse(
            "",
            "a/virtio_pci.ko.xz: a/virtio_pci_legacy_dev.ko.xz a/virtio-ring.ko.xz\n",
        );
        assert_eq!(
            modules.needs("virtio-pci"),
            ["virtio_pci_legacy_dev", "virtio_ring"]
        );
        assert!(modules.needs("xfs").is_empty());
    }

    #[test]
    fn an_old_kernel_tells_by_its_configuration() {
        let fixture = Fixture::new(&[
            (
                "/lib/modules/2.6.18/modules.dep",
                "/lib/modules/2.6.18/virtio_pci.ko:\n",
            ),
            (
                "/boot/config-2.6.18",
                "CONFIG_EXT3_FS=y\n# CONFIG_XFS_FS is not set\nCONFIG_BLK_DEV_SD=m\n",
            ),
            ("/usr/lib/modules/6.9.1-arch1-1/pkgbase", "linux\n"),
        ]);
        fixture.with(|guest| {
            let modules = KernelModules::read(guest.root(), "2.6.18").unwrap();
            assert!(modules.is_builtin("ext3") && modules.is_loadable("virtio_pci"));
            assert!(!modules.is_builtin("xfs") && !modules.is_builtin("sd_mod"));
            assert!(
                !KernelModules::read(guest.root(), "9")
                    .unwrap()
                    .lists_modules()
            );
            assert_eq!(
                version_of_package(guest.root(), "linux")
                    .unwrap()
                    .as_deref(),
                Some("6.9.1-arch1-1")
            );
        });
    }
}
