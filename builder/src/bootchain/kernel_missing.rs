//! `boot/kernel-missing`: the files that the default entry starts.

use std::collections::BTreeSet;
use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::initramfs::InitramfsError;
use byoi_agent::root::GuestPath;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::{Chain, Config};
use super::places::Located;
use crate::loader::bzimage::{self, Kernel};
use crate::loader::script::{Entry, FileName};

/// The rule.
#[derive(Debug)]
pub struct BootKernelMissing {
    chain: Rc<Chain>,
}

/// The most entries beside the default one that are told.
const MAX_OTHERS: usize = 20;
const REINSTALL: &str = "install the guest's kernel package once more before the export";

impl BootKernelMissing {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }

    fn default_entry(&self, guest: &Guest<'_>, entry: &Entry) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        let at = self.chain.shown(guest, &entry.file)?;
        let not_there = |what: &str, file: &FileName| {
            Defect::of(&at, format!("the {what} of the default entry is not there"))
                .at_line(entry.line)
                .evidence(file.to_string())
                .hint(REINSTALL)
        };
        let unseen = |what: &str, file: &FileName| {
            Defect::of(
                &at,
                format!("whether the {what} of the default entry is there was not seen"),
            )
            .at_line(entry.line)
            .evidence(file.to_string())
            .hint("let the boot test decide")
            .severity(Severity::Note)
        };
        if let Some(kernel) = &entry.kernel {
            match self.chain.places.locate(guest, kernel)? {
                Located::Here(path) => defects.extend(damaged_kernel(guest, &path)?),
                Located::Missing => defects.push(not_there("kernel", kernel)),
                Located::Unseen => defects.push(unseen("kernel", kernel)),
            }
        }
        for image in &entry.initramfs {
            match self.chain.places.locate(guest, image)? {
                Located::Here(path) => defects.extend(self.damaged_image(guest, &path)?),
                Located::Missing => defects.push(not_there("initramfs", image)),
                Located::Unseen => defects.push(unseen("initramfs", image)),
            }
        }
        Ok(defects)
    }

    fn damaged_image(&self, guest: &Guest<'_>, path: &GuestPath) -> Result<Option<Defect>, Error> {
        let image = self.chain.images.get(guest.root(), path)?;
        Ok(match image.as_deref() {
            None => Some(
                Defect::in_file(path, "the initramfs of the default entry is no file")
                    .hint(REINSTALL),
            ),
            Some(
                Ok(_)
                | Err(
                    InitramfsError::Read { .. }
                    | InitramfsError::Unsupported { .. }
                    | InitramfsError::TooLarge { .. }
                    | InitramfsError::Interrupted { .. },
                ),
            ) => None,
            Some(Err(error)) => Some(
                Defect::in_file(path, "the initramfs of the default entry is damaged")
                    .evidence(error.to_string())
                    .hint("build it anew in the guest before the export"),
            ),
        })
    }

    /// Entries that nobody starts by default and that lead nowhere.
    fn others(&self, guest: &Guest<'_>, entries: &[&Entry]) -> Result<Vec<Defect>, Error> {
        let mut told = BTreeSet::new();
        let mut defects = Vec::new();
        for entry in entries {
            for file in entry.kernel.iter().chain(&entry.initramfs) {
                if defects.len() < MAX_OTHERS
                    && self.chain.places.locate(guest, file)? == Located::Missing
                    && told.insert(file.clone())
                {
                    let defect = Defect::of(
                        self.chain.shown(guest, &entry.file)?,
                        "an entry of the boot menu names a file that is not there",
                    )
                    .at_line(entry.line)
                    .evidence(format!("{}: {file}", entry.title))
                    .hint("make the boot loader's configuration anew")
                    .severity(Severity::Note);
                    defects.push(defect);
                }
            }
        }
        Ok(defects)
    }
}

fn damaged_kernel(guest: &Guest<'_>, path: &GuestPath) -> Result<Option<Defect>, Error> {
    let (message, evidence) = match examine(guest, path)? {
        None => ("the kernel of the default entry is no file", String::new()),
        Some(Kernel::Empty) => (
            "the kernel of the default entry is empty",
            "no byte but zeros".to_owned(),
        ),
        Some(Kernel::Truncated { needed, len }) => (
            "the kernel of the default entry is cut off",
            format!("{len} bytes of {needed}"),
        ),
        Some(Kernel::Whole(_) | Kernel::Unknown) => return Ok(None),
    };
    Ok(Some(
        Defect::in_file(path, message)
            .evidence(evidence)
            .hint(REINSTALL),
    ))
}

/// What a kernel's header says; `None` where the path is no regular file.
pub(super) fn examine(guest: &Guest<'_>, path: &GuestPath) -> Result<Option<Kernel>, Error> {
    let Some(file) = guest.root().open_file(path)? else {
        return Ok(None);
    };
    let len = guest.size(path)?.unwrap_or(0);
    bzimage::examine(file, len)
        .map(Some)
        .map_err(Error::io("reading", path))
}

impl Rule for BootKernelMissing {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/kernel-missing",
            severity: Severity::Blocker,
            title: "A kernel or initramfs of the default entry that is missing or damaged",
            why: "The boot loader stops with an error that nobody reads.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let Config::Menu { menu, .. } = self.chain.config(guest)? else {
            return Ok(Vec::new());
        };
        let mut defects = Vec::new();
        let mut others = Vec::new();
        for (index, entry) in menu.entries.iter().enumerate() {
            if menu.default == Some(index) {
                defects.extend(self.default_entry(guest, entry)?);
            } else {
                others.push(entry);
            }
        }
        defects.extend(self.others(guest, &others)?);
        Ok(defects)
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

    const CFG: &str = "menuentry a {\n linux /boot/vmlinuz root=x\n initrd /boot/initrd.img\n}\n\
                       menuentry b {\n linux /boot/old\n}\n";
    /// An archive with nothing but its end.
    fn archive() -> Vec<u8> {
        let zeros = "0".repeat(32);
        let text = format!(
            "070701{zeros}00000001{:048}0000000B00000000TRAILER!!!\0\0\0\0",
            0
        );
        text.into_bytes()
    }

    fn found(kernel: Option<&[u8]>, initramfs: Option<&[u8]>) -> Vec<(Severity, String)> {
        let fixture = Fixture::new(&[("/boot/grub/grub.cfg", CFG)]);
        for (path, content) in [("/boot/vmlinuz", kernel), ("/boot/initrd.img", initramfs)] {
            if let Some(content) = content {
                fixture.write(path, content);
            }
        }
        let rule = BootKernelMissing::new(Rc::new(chain(core("(,msdos1)/boot/grub", None, &[]))));
        let severity = rule.meta().severity;
        rule.check(&fixture.guest())
            .unwrap()
            .into_iter()
            .map(|defect| (defect.severity.unwrap_or(severity), defect.message))
            .collect()
    }

    #[test]
    fn what_the_default_entry_starts_has_to_be_whole() {
        let whole = kernel("6.1.0");
        let archive = archive();
        let archive = archive.as_slice();
        for (kernel, initramfs, expected) in [
            (Some(&whole[..]), Some(archive), None),
            (
                None,
                Some(archive),
                Some("the kernel of the default entry is not there"),
            ),
            (Some(&whole[..1500]), Some(archive), Some("is cut off")),
            (Some(&[]), Some(archive), Some("is empty")),
            (
                Some(&whole[..]),
                None,
                Some("the initramfs of the default entry is not there"),
            ),
            (
                Some(&whole[..]),
                Some(&archive[..40]),
                Some("initramfs of the default entry is damaged"),
            ),
            (
                Some(&whole[..]),
                Some(b""),
                Some("initramfs of the default entry is damaged"),
            ),
        ] {
            let found = found(kernel, initramfs);
            let blockers: Vec<&str> = found
                .iter()
                .filter(|(severity, _)| *severity == Severity::Blocker)
                .map(|(_, message)| message.as_str())
                .collect();
            assert_eq!(blockers.len(), usize::from(expected.is_some()), "{found:?}");
            if let Some(expected) = expected {
                assert!(blockers[0].contains(expected), "{found:?}");
            }
            // The other entry has no kernel.
            assert!(
                found
                    .iter()
                    .any(|(severity, _)| *severity == Severity::Note)
            );
        }
    }
}
