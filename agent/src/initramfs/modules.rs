//! Which kernel modules an initramfs can load, and whether they are enough to reach the root.
//!
//! A driver is there when it is built into the kernel, as [`KernelModules`] says, or when its file is
//! under `lib/modules/VERSION` of the image, and so is, in one of the two ways, every module that it
//! needs.

use std::collections::{BTreeSet, HashSet};

use super::kernel_modules::{KernelModules, canonical};
use super::{Initramfs, Kind};

/// What finds the boot volume of a paravirtualized OCI instance: virtio SCSI on PCI, and SCSI disks.
pub const BOOT_VOLUME: [&str; 3] = ["virtio_pci", "virtio_scsi", "sd_mod"];
/// What finds it in emulated launch mode, for kernels that have no virtio SCSI: one of these.
const EMULATED_DISK: [&str; 3] = ["ata_piix", "ata_generic", "piix"];

/// How modules are named, bare and compressed.
const SUFFIXES: [&str; 4] = [".ko", ".ko.xz", ".ko.gz", ".ko.zst"];

/// Where a driver comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provision {
    /// The kernel has it built in.
    BuiltIn,
    /// The image has the module.
    Module,
    /// It is in neither.
    Missing,
}

/// The drivers that one kernel has before the root file system is mounted.
#[derive(Debug, Clone)]
pub struct Modules<'a> {
    kernel: &'a KernelModules,
    loadable: HashSet<String>,
}

impl<'a> Modules<'a> {
    /// What the kernel has by itself, and its modules in `image`.
    pub fn new(image: Option<&Initramfs>, version: &str, kernel: &'a KernelModules) -> Self {
        let loadable = image
            .into_iter()
            .flat_map(Initramfs::iter)
            .filter(|(_, entry)| matches!(entry.kind, Kind::File | Kind::Symlink(_)))
            .filter_map(|(path, _)| below_modules(path))
            .filter(|(of, _)| *of == version)
            .filter_map(|(_, file)| module_name(file))
            .collect();
        Self { kernel, loadable }
    }

    /// Where the driver of this name comes from.
    pub fn provides(&self, module: &str) -> Provision {
        if self.kernel.is_builtin(module) {
            Provision::BuiltIn
        } else if self.loadable.contains(&canonical(module)) {
            Provision::Module
        } else {
            Provision::Missing
        }
    }

    /// What is missing for a paravirtualized boot on OCI: of the drivers for the boot volume, and of
    /// those for the way to the root file system (`ext4`, `xfs`, `btrfs`; `dm_mod` for LVM), and of
    /// the modules that these need. Sorted as they are asked for, each once.
    pub fn missing_for_boot<T: AsRef<str>>(&self, root: &[T]) -> Vec<String> {
        self.missing(
            BOOT_VOLUME
                .into_iter()
                .chain(root.iter().map(AsRef::as_ref)),
        )
    }

    /// The same for a boot in emulated launch mode, on an IDE disk.
    pub fn missing_for_emulated_boot<T: AsRef<str>>(&self, root: &[T]) -> Vec<String> {
        let mut missing =
            self.missing(["sd_mod"].into_iter().chain(root.iter().map(AsRef::as_ref)));
        if !EMULATED_DISK.iter().any(|module| self.has(module)) {
            missing.insert(0, EMULATED_DISK[0].to_owned());
        }
        missing
    }

    /// Whether this kernel cannot see the boot volume of a paravirtualized instance, whatever the
    /// image holds: it is older than virtio SCSI.
    pub fn predates_virtio_scsi(&self) -> bool {
        let has = |module| self.kernel.is_builtin(module) || self.kernel.is_loadable(module);
        self.kernel.lists_modules() && !BOOT_VOLUME.into_iter().all(has)
    }

    fn missing<'b>(&self, wanted: impl Iterator<Item = &'b str>) -> Vec<String> {
        let mut missing: Vec<String> = Vec::new();
        let mut add = |module: &str| {
            if missing.iter().all(|known| known != module) {
                missing.push(module.to_owned());
            }
        };
        for module in wanted {
            // The ext4 driver also mounts its predecessors.
            let module = match module {
                "ext2" | "ext3" if !self.has(module) && self.has("ext4") => "ext4",
                module => module,
            };
            match self.provides(module) {
                Provision::BuiltIn => {}
                Provision::Missing => add(module),
                Provision::Module => self
                    .kernel
                    .needs(module)
                    .iter()
                    .filter(|needed| !self.has(needed))
                    .for_each(|needed| add(needed)),
            }
        }
        missing
    }

    fn has(&self, module: &str) -> bool {
        self.provides(module) != Provision::Missing
    }
}

/// The kernel versions that the image has modules for.
pub fn kernel_versions(image: &Initramfs) -> BTreeSet<&str> {
    image
        .iter()
        .filter_map(|(path, _)| below_modules(path))
        .filter(|(_, file)| module_name(file).is_some())
        .map(|(version, _)| version)
        .collect()
}

/// Splits `usr/lib/modules/VERSION/FILE` and `lib/modules/VERSION/FILE` into version and file.
fn below_modules(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("usr/")
        .unwrap_or(path)
        .strip_prefix("lib/modules/")?
        .split_once('/')
}

/// The name of the module in this file.
pub(super) fn module_name(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    SUFFIXES
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .map(|name| name.replace('-', "_"))
}
