//! `boot/kernel-version`: kernels older than OCI's paravirtualized launch mode.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::facts;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::Chain;
use super::kernel_missing::examine;
use super::places::Located;
use crate::loader::bzimage::{Kernel, major_minor};
use crate::loader::script::Entry;

/// The rule. It is a warning: such a kernel boots in emulated launch mode, and where it lacks the
/// drivers for that as well, `boot/initramfs-virtio` blocks.
#[derive(Debug)]
pub struct BootKernelVersion {
    chain: Rc<Chain>,
}

/// The oldest that OCI supports in paravirtualized launch mode.
const OLDEST: (u32, u32) = (3, 4);
/// The driver of the boot volume in that mode.
const DRIVER: &str = "/virtio_scsi.ko";

impl BootKernelVersion {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }

    /// Whether the vendor has put the driver into the old kernel.
    fn has_driver(&self, guest: &Guest<'_>, entry: &Entry) -> Result<bool, Error> {
        for file in &entry.initramfs {
            if let Located::Here(path) = self.chain.places.locate(guest, file)?
                && let Some(image) = self.chain.images.get(guest.root(), &path)?
                && let Ok(image) = image.as_ref()
                && image.iter().any(|(path, _)| path.contains(DRIVER))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Rule for BootKernelVersion {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/kernel-version",
            severity: Severity::Warning,
            title: "A kernel older than 3.4",
            why: "OCI's paravirtualized launch mode asks for Linux 3.4; older kernels boot in \
                  emulated launch mode alone, which is slow.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let Some(entry) = self.chain.default_entry(guest)? else {
            return Ok(Vec::new());
        };
        let Some(kernel) = &entry.kernel else {
            return Ok(Vec::new());
        };
        let Located::Here(path) = self.chain.places.locate(guest, kernel)? else {
            return Ok(Vec::new());
        };
        let said = match examine(guest, &path)? {
            Some(Kernel::Whole(version)) => version,
            _ => None,
        };
        let name = path.name().to_string_lossy();
        let named = facts::kernel_version(&name).map(str::to_owned);
        let Some(version) = said.or(named) else {
            return Ok(Vec::new());
        };
        if major_minor(&version).is_none_or(|version| version >= OLDEST) {
            return Ok(Vec::new());
        }
        let defect = if self.has_driver(guest, &entry)? {
            Defect::in_file(
                &path,
                "the kernel is older than OCI supports, although it has virtio_scsi",
            )
            .hint("try the launch mode PARAVIRTUALIZED, and EMULATED where it fails")
            .severity(Severity::Note)
        } else {
            Defect::in_file(
                &path,
                "the kernel is too old for OCI's paravirtualized launch mode",
            )
            .hint("choose the launch mode EMULATED when importing the image")
        };
        Ok(vec![defect.evidence(version)])
    }

    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, chain, core};
    use super::*;
    use crate::loader::bzimage::testing::kernel;

    #[test]
    fn old_kernels_are_told_by_their_headers_or_names() {
        for (file, content, expected) in [
            ("vmlinuz-6.1.0", kernel("6.1.0-50"), None),
            ("vmlinuz", kernel("3.4.0"), None),
            ("vmlinuz", kernel("2.6.32-754.el6"), Some("2.6.32-754.el6")),
            (
                "vmlinuz-3.2.0-4-amd64",
                b"x".to_vec(),
                Some("3.2.0-4-amd64"),
            ),
            ("linux", b"x".to_vec(), None),
        ] {
            let cfg = format!("menuentry a {{\n linux /boot/{file} root=x\n}}\n");
            let fixture = Fixture::new(&[("/boot/grub/grub.cfg", &cfg)]);
            fixture.write(&format!("/boot/{file}"), &content);
            let core = core("(,msdos1)/boot/grub", None, &[]);
            let rule = BootKernelVersion::new(Rc::new(chain(core)));
            let defects = rule.check(&fixture.guest()).unwrap();
            let evidence = defects.first().map(|defect| defect.evidence.as_str());
            assert_eq!(evidence, expected, "{file}");
        }
    }
}
