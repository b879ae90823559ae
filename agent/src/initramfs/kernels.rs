//! The kernels that a guest can boot, and the initramfs of each.
//!
//! The boot loader's entry decides where there is one; otherwise the distribution's way of naming
//! does. Images for crash dumps (`initramfs-*kdump.img`) belong to no boot and are in neither.

use super::kernel_modules::{modules_dir, version_of_package};
use super::loader::{self, Pairing};
use super::tool::Tool;
use crate::error::Error;
use crate::facts::{self, Family};
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath, GuestRoot};

/// What a kernel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A kernel of the guest with its modules.
    Installed,
    /// Red Hat's rescue entry, `0-rescue-MACHINE`: a copy of some kernel, for people alone.
    Rescue,
    /// A file without modules in the guest, beside others that have theirs.
    Leftover,
}

/// A kernel and the place of its initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its version, as in `/lib/modules`.
    pub version: String,
    /// What it is for.
    pub role: Role,
    /// Its initramfs; it need not exist.
    pub initramfs: GuestPath,
}

/// The kernels, in the order of the names of their files.
///
/// # Errors
///
/// The guest could not be read.
pub fn bootable(guest: &Guest<'_>) -> Result<Vec<Kernel>, Error> {
    let root = guest.root();
    let pairings = loader::pairings(guest)?;
    let mut names: Vec<String> = guest.facts().kernels.clone();
    for name in pairings
        .iter()
        .filter_map(|pairing| name_of(&pairing.kernel))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut kernels = Vec::new();
    for name in names {
        let (version, role) = if name.starts_with("0-rescue") {
            (name.clone(), Role::Rescue)
        } else if modules_dir(root, &name)?.is_some() {
            (name.clone(), Role::Installed)
        } else if let Some(version) = version_of_package(root, &name)? {
            (version, Role::Installed)
        } else {
            (name.clone(), Role::Leftover)
        };
        let initramfs = match paired(&pairings, &name) {
            Some(initramfs) => initramfs.clone(),
            None => by_name(guest, &name)?,
        };
        kernels.push(Kernel {
            version,
            role,
            initramfs,
        });
    }
    if kernels.iter().all(|kernel| kernel.role != Role::Installed) {
        for kernel in &mut kernels {
            if kernel.role == Role::Leftover {
                kernel.role = Role::Installed;
            }
        }
    }
    Ok(kernels)
}

/// What is told apart by a kernel's file: its version, or where the Boot Loader Specification keeps
/// it, `VERSION/linux`, the name of the directory.
fn name_of(kernel: &GuestPath) -> Option<String> {
    let file = kernel.name().to_str()?;
    if file == "linux" {
        return kernel.parent()?.name().to_str().map(str::to_owned);
    }
    facts::kernel_version(file).map(str::to_owned)
}

fn paired<'a>(pairings: &'a [Pairing], name: &str) -> Option<&'a GuestPath> {
    pairings
        .iter()
        .find(|pairing| name_of(&pairing.kernel).as_deref() == Some(name))
        .map(|pairing| &pairing.initramfs)
}

/// The image that is there under one of the usual names, or that the guest's tool would make.
fn by_name(guest: &Guest<'_>, name: &str) -> Result<GuestPath, Error> {
    let usual = usual_name(guest)?;
    let names: [&dyn Fn(&str) -> String; 5] = [
        &usual,
        &debian_name,
        &red_hat_name,
        &suse_name,
        &red_hat_5_name,
    ];
    for image in names {
        let path = GuestPath::from("/boot").join(image(name));
        if is_file(guest.root(), &path)? {
            return Ok(path);
        }
    }
    Ok(GuestPath::from("/boot").join(usual(name)))
}

/// How the guest's distribution names images.
fn usual_name(guest: &Guest<'_>) -> Result<fn(&str) -> String, Error> {
    Ok(match (guest.facts().family, Tool::of(guest)?) {
        (Family::Debian, _) | (_, Some(Tool::InitramfsTools { .. })) => debian_name,
        (Family::Suse, _) | (_, Some(Tool::SuseMkinitrd { .. })) => suse_name,
        (_, Some(Tool::Mkinitrd { .. })) => red_hat_5_name,
        _ => red_hat_name,
    })
}

fn debian_name(version: &str) -> String {
    format!("initrd.img-{version}")
}

fn red_hat_name(version: &str) -> String {
    format!("initramfs-{version}.img")
}

fn suse_name(version: &str) -> String {
    format!("initrd-{version}")
}

fn red_hat_5_name(version: &str) -> String {
    format!("initrd-{version}.img")
}

fn is_file(root: &GuestRoot, path: &GuestPath) -> Result<bool, Error> {
    let path = root.resolve(path)?;
    Ok(root.kind(&path)? == Some(FileKind::Regular))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    fn shown(files: &[(&str, &str)]) -> Vec<String> {
        Fixture::new(files).with(|guest| {
            bootable(guest)
                .unwrap()
                .iter()
                .map(|kernel| format!("{} {:?} {}", kernel.version, kernel.role, kernel.initramfs))
                .collect()
        })
    }

    #[test]
    fn images_go_by_the_names_of_the_distribution() {
        let debian = ("/etc/os-release", "ID=debian\n");
        let red_hat = ("/etc/os-release", "ID=\"ol\"\nID_LIKE=\"fedora\"\n");
        let suse = ("/etc/os-release", "ID=sles\n");
        for (files, expected) in [
            (vec![debian], vec![]),
            (
                vec![
                    debian,
                    ("/boot/vmlinuz-6.1", ""),
                    ("/lib/modules/6.1/modules.dep", ""),
                ],
                vec!["6.1 Installed /boot/initrd.img-6.1"],
            ),
            (
                vec![
                    red_hat,
                    ("/boot/vmlinuz-5.14", ""),
                    ("/boot/vmlinuz-0-rescue-8d0a", ""),
                    ("/boot/initramfs-5.14kdump.img", ""),
                    ("/boot/vmlinuz-4.18", ""),
                    ("/lib/modules/5.14/modules.dep", ""),
                ],
                vec![
                    "0-rescue-8d0a Rescue /boot/initramfs-0-rescue-8d0a.img",
                    "4.18 Leftover /boot/initramfs-4.18.img",
                    "5.14 Installed /boot/initramfs-5.14.img",
                ],
            ),
            (
                vec![
                    suse,
                    (
                        "/boot/vmlinuz-5.3-default",
                        "-> ../usr/lib/modules/5.3-default/vmlinuz",
                    ),
                    ("/boot/vmlinux-5.3-default.gz", ""),
                    ("/usr/lib/modules/5.3-default/vmlinuz", ""),
                ],
                vec!["5.3-default Installed /boot/initrd-5.3-default"],
            ),
            (
                // RHEL 5: the image that is there, though no tool is.
                vec![
                    ("/etc/redhat-release", ""),
                    ("/boot/vmlinuz-2.6.18-8.el5", ""),
                    ("/boot/initrd-2.6.18-8.el5.img", ""),
                ],
                vec!["2.6.18-8.el5 Installed /boot/initrd-2.6.18-8.el5.img"],
            ),
            (
                vec![
                    ("/boot/vmlinuz-linux", ""),
                    ("/usr/lib/modules/6.9.1-arch1-1/pkgbase", "linux\n"),
                ],
                vec!["6.9.1-arch1-1 Installed /boot/initramfs-linux.img"],
            ),
            (
                // The entry decides.
                vec![
                    red_hat,
                    ("/boot/vmlinuz-5.14", ""),
                    ("/boot/special.img", ""),
                    ("/boot/initramfs-5.14.img", ""),
                    (
                        "/boot/loader/entries/x.conf",
                        "linux /vmlinuz-5.14\ninitrd /special.img\n",
                    ),
                    ("/lib/modules/5.14/modules.dep", ""),
                ],
                vec!["5.14 Installed /boot/special.img"],
            ),
            (
                vec![
                    red_hat,
                    ("/boot/8d0a/6.9/linux", ""),
                    ("/boot/8d0a/6.9/initrd", ""),
                    (
                        "/boot/loader/entries/x.conf",
                        "linux /8d0a/6.9/linux\ninitrd /8d0a/6.9/initrd\n",
                    ),
                    ("/lib/modules/6.9/modules.dep", ""),
                ],
                vec!["6.9 Installed /boot/8d0a/6.9/initrd"],
            ),
        ] {
            assert_eq!(shown(&files), expected, "{files:?}");
        }
    }
}
