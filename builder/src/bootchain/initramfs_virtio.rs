//! `boot/initramfs-virtio`: a paravirtualized instance has its disk on virtio-scsi.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::initramfs::modules::Modules;
use byoi_agent::root::GuestPath;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::initramfs_images::{InitramfsImages, Kernel, can_rebuild, rebuild};

/// The rule, for a root file system of a known type.
#[derive(Debug)]
pub struct InitramfsVirtio {
    images: Rc<InitramfsImages>,
    root_fs_type: &'static str,
}

impl InitramfsVirtio {
    /// The rule, on images that are shared with other rules; `root_fs_type` is the module of the
    /// root file system.
    pub fn new(images: Rc<InitramfsImages>, root_fs_type: &'static str) -> Self {
        Self {
            images,
            root_fs_type,
        }
    }

    fn defect(&self, guest: &Guest<'_>, kernel: &Kernel) -> Result<Option<Defect>, Error> {
        let Some(image) = self.images.get(guest, &kernel.initramfs)? else {
            return Ok(Some(
                Defect::in_file(
                    &kernel.initramfs,
                    format!("kernel {} has no initramfs", kernel.version),
                )
                .hint("build it with the guest's own tool, virtio_scsi included"),
            ));
        };
        let image = match &*image {
            Ok(image) => image,
            Err(error) => {
                return Ok(Some(
                    Defect::in_file(&kernel.initramfs, "the initramfs cannot be read to its end")
                        .evidence(error.to_string())
                        .hint("build it anew with the guest's own tool"),
                ));
            }
        };
        let modules = Modules::new(image, &kernel.version, &builtin(guest, &kernel.version)?);
        let missing = modules.missing_for_boot(&[self.root_fs_type]);
        if missing.is_empty() {
            return Ok(None);
        }
        Ok(Some(
            Defect::in_file(
                &kernel.initramfs,
                format!(
                    "kernel {} does not find its root on OCI: the initramfs lacks drivers",
                    kernel.version
                ),
            )
            .evidence(missing.join(" "))
            .hint("build the initramfs with all modules, not for the present machine alone"),
        ))
    }
}

impl Rule for InitramfsVirtio {
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
        let mut defects = Vec::new();
        for kernel in InitramfsImages::kernels(guest) {
            defects.extend(self.defect(guest, &kernel)?);
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if !can_rebuild(guest)? {
            return Ok(());
        }
        for kernel in InitramfsImages::kernels(guest) {
            if self.defect(guest, &kernel)?.is_some() {
                rebuild(guest, &kernel)?;
            }
        }
        Ok(())
    }
}

/// The modules that are part of the kernel itself.
fn builtin(guest: &Guest<'_>, version: &str) -> Result<String, Error> {
    let path = GuestPath::new(format!("/lib/modules/{version}/modules.builtin"));
    Ok(guest
        .text(&path)?
        .map_or_else(String::new, |text| text.as_str().to_owned()))
}
