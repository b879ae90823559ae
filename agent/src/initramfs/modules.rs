//! Which kernel modules an initramfs can load, and whether they are enough to reach the root.
//!
//! A driver is there when it is built into the kernel, as `modules.builtin` of that kernel says, or
//! when its file is under `lib/modules/VERSION` of the image. In names, `-` and `_` are the same, as
//! for modprobe. Whether a module's own dependencies came along is not examined: the tools that
//! build images copy them with it.

use std::collections::{BTreeSet, HashSet};

use super::{Initramfs, Kind};

/// What finds the boot volume of a paravirtualized OCI instance: virtio SCSI on PCI, and SCSI disks.
const BOOT_VOLUME: [&str; 3] = ["virtio_pci", "virtio_scsi", "sd_mod"];

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
pub struct Modules {
    builtin: HashSet<String>,
    loadable: HashSet<String>,
}

impl Modules {
    /// The modules for the kernel `version` in `image`, and those named in `builtin`: the text of
    /// that kernel's `modules.builtin`, one path a line.
    pub fn new(image: &Initramfs, version: &str, builtin: &str) -> Self {
        let loadable = image
            .iter()
            .filter(|(_, entry)| matches!(entry.kind, Kind::File | Kind::Symlink(_)))
            .filter_map(|(path, _)| below_modules(path))
            .filter(|(of, _)| *of == version)
            .filter_map(|(_, file)| module_name(file))
            .collect();
        Self {
            builtin: builtin.lines().filter_map(module_name).collect(),
            loadable,
        }
    }

    /// Where the driver of this name comes from.
    pub fn provides(&self, module: &str) -> Provision {
        let name = module.replace('-', "_");
        if self.builtin.contains(&name) {
            Provision::BuiltIn
        } else if self.loadable.contains(&name) {
            Provision::Module
        } else {
            Provision::Missing
        }
    }

    /// What is missing for a paravirtualized boot on OCI: of the drivers for the boot volume, and of
    /// those for the way to the root file system (`ext4`, `xfs`, `btrfs`; `dm_mod` for LVM).
    pub fn missing_for_boot(&self, root: &[&str]) -> Vec<String> {
        BOOT_VOLUME
            .iter()
            .chain(root)
            .filter(|module| !self.can_serve(module))
            .map(|module| (*module).to_owned())
            .collect()
    }

    fn can_serve(&self, module: &str) -> bool {
        let provided = |name| self.provides(name) != Provision::Missing;
        // The ext4 driver also mounts its predecessors.
        provided(module) || (matches!(module, "ext2" | "ext3") && provided("ext4"))
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

/// Whether this path of an image is a `modules.builtin`, to be wanted when the image is read.
pub fn is_builtin_list(path: &str) -> bool {
    below_modules(path).is_some_and(|(_, file)| file == "modules.builtin")
}

/// Splits `usr/lib/modules/VERSION/FILE` and `lib/modules/VERSION/FILE` into version and file.
fn below_modules(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("usr/")
        .unwrap_or(path)
        .strip_prefix("lib/modules/")?
        .split_once('/')
}

/// The name of the module in this file.
fn module_name(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    SUFFIXES
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))
        .map(|name| name.replace('-', "_"))
}
