//! `boot/initramfs-virtio`: a paravirtualized instance has its disk on virtio-scsi.
//!
//! Every kernel that the guest can boot is judged, by the modules in its initramfs, what it has
//! built in, and what its modules need. A rescue kernel and one whose modules are gone are not in
//! the way. A kernel older than virtio SCSI boots in emulated launch mode, on an IDE disk. Where the
//! system is on an iSCSI target elsewhere, the image that it boots with stays: see `iscsi/root`.

use std::rc::Rc;

use super::iscsi_root::{STAYS, System};
use super::{DOC_IMPORT_LINUX, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::initramfs::InitramfsError;
use crate::initramfs::images::Images;
use crate::initramfs::kernel_modules::KernelModules;
use crate::initramfs::kernels::{self, Kernel, Role};
use crate::initramfs::modules::{self, Modules};
use crate::initramfs::rebuild::{self, NEW};
use crate::initramfs::root_drivers::root_drivers;
use crate::root::{COPY, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct BootInitramfsVirtio {
    images: Rc<Images>,
    disk: Rc<KnownDisk>,
}

/// A defect of an image, and whether building it anew helps.
struct Judgement {
    defect: Defect,
    rebuild: bool,
}

impl BootInitramfsVirtio {
    /// The rule, on images that are shared with other rules, with what is known of the guest's disk.
    pub fn new(images: Rc<Images>, disk: Rc<KnownDisk>) -> Self {
        Self { images, disk }
    }

    fn judge(
        &self,
        guest: &Guest<'_>,
        kernel: &Kernel,
        root: &[&'static str],
    ) -> Result<Option<Judgement>, Error> {
        let image = self.images.get(guest.root(), &kernel.initramfs)?;
        let image = match image.as_deref() {
            None => None,
            Some(Ok(image)) => Some(image),
            Some(Err(error)) => return unreadable(guest, kernel, root, error).map(Some),
        };
        let version = match (kernel.role, image) {
            // It has the name of the rescue entry, and the modules of the kernel it was made from.
            (Role::Rescue, Some(image)) => modules::kernel_versions(image).last().copied(),
            _ => None,
        };
        let version = version.unwrap_or(&kernel.version);
        let known = KernelModules::read(guest.root(), version)?;
        let modules = Modules::new(image, version, &known);
        let paravirtualized = modules.missing_for_boot(root);
        if paravirtualized.is_empty() {
            return Ok(None);
        }
        let emulated = modules.missing_for_emulated_boot(root);
        if modules.predates_virtio_scsi() && emulated.is_empty() {
            let defect = Defect::in_file(
                &kernel.initramfs,
                format!(
                    "kernel {} has no virtio_scsi and boots in emulated launch mode alone",
                    kernel.version
                ),
            )
            .evidence(paravirtualized.join(" "))
            .hint("choose the launch mode EMULATED when importing the image")
            .severity(Severity::Warning);
            return Ok(Some(Judgement {
                defect,
                rebuild: false,
            }));
        }
        let missing = if modules.predates_virtio_scsi() {
            emulated
        } else {
            paravirtualized
        };
        let message = match image {
            None => format!("kernel {} has no initramfs", kernel.version),
            Some(_) => format!(
                "kernel {} does not find its root on OCI: the initramfs lacks drivers",
                kernel.version
            ),
        };
        let defect = Defect::in_file(&kernel.initramfs, message)
            .evidence(missing.join(" "))
            .hint(rebuild::hint(guest, kernel, root)?);
        Ok(Some(Judgement {
            defect: mild(defect, kernel),
            rebuild: true,
        }))
    }
}

/// What is said of an image that cannot be read.
fn unreadable(
    guest: &Guest<'_>,
    kernel: &Kernel,
    root: &[&'static str],
    error: &InitramfsError,
) -> Result<Judgement, Error> {
    let not_judged = |message: &str, hint: &str| Judgement {
        defect: Defect::in_file(&kernel.initramfs, message)
            .evidence(error.to_string())
            .hint(hint)
            .severity(Severity::Warning),
        rebuild: false,
    };
    Ok(match error {
        InitramfsError::Read { .. } => not_judged(
            "the initramfs could not be read and was not judged",
            "run the check as root",
        ),
        InitramfsError::Unsupported { .. } => not_judged(
            "the initramfs is in a format that is not read, and was not judged",
            "compress it with gzip, xz or zstd",
        ),
        _ => Judgement {
            defect: mild(
                Defect::in_file(&kernel.initramfs, "the initramfs cannot be read to its end")
                    .evidence(error.to_string())
                    .hint(rebuild::hint(guest, kernel, root)?),
                kernel,
            ),
            rebuild: true,
        },
    })
}

/// A kernel that nobody boots by default blocks nothing.
fn mild(defect: Defect, kernel: &Kernel) -> Defect {
    match kernel.role {
        Role::Installed => defect,
        Role::Rescue | Role::Leftover => defect.severity(Severity::Warning),
    }
}

/// What a run that was cut off left beside an image.
fn leftovers(guest: &Guest<'_>, kernel: &Kernel) -> Result<Vec<GuestPath>, Error> {
    let mut found = Vec::new();
    for suffix in [NEW, COPY] {
        let path = GuestPath::new(format!("{}{suffix}", kernel.initramfs));
        if guest.kind(&path)?.is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

impl Rule for BootInitramfsVirtio {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/initramfs-virtio",
            severity: Severity::Blocker,
            title: "An initramfs without virtio_scsi or the driver of the root file system",
            why: "OCI attaches the boot volume through virtio-scsi; a kernel that cannot see it \
                  stops in the initramfs.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let root = root_drivers(guest, &self.disk.root_drivers)?;
        let is_elsewhere = System::look(guest, &self.disk)?.is_elsewhere();
        let mut defects = Vec::new();
        for kernel in kernels::bootable(guest)? {
            let judgement = self.judge(guest, &kernel, &root)?;
            defects.extend(judgement.map(|judgement| {
                if judgement.rebuild && is_elsewhere {
                    judgement.defect.hint(STAYS)
                } else {
                    judgement.defect
                }
            }));
            defects.extend(leftovers(guest, &kernel)?.iter().map(|path| {
                Defect::in_file(path, "a run that was cut off left a copy of the initramfs")
                    .hint("remove it")
                    .severity(Severity::Warning)
            }));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let root = root_drivers(guest, &self.disk.root_drivers)?;
        let is_elsewhere = System::look(guest, &self.disk)?.is_elsewhere();
        for kernel in kernels::bootable(guest)? {
            match self.judge(guest, &kernel, &root)? {
                Some(judgement) if judgement.rebuild && is_elsewhere => {}
                Some(judgement) if judgement.rebuild => {
                    let image = self.images.get(guest.root(), &kernel.initramfs)?;
                    let image = image.as_deref().and_then(|image| image.as_ref().ok());
                    rebuild::draft(guest, &kernel, image, &root)?;
                }
                // The copy of an image that is bad may be the better one.
                _ => {
                    for path in leftovers(guest, &kernel)? {
                        guest.remove(&path)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
