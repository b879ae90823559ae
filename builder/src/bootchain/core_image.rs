//! `boot/core-image`: what GRUB 2's boot sector loads.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::Chain;
use super::places::{Device, Located, Mounted, device};
use crate::layout::{ContentKind, Slot};
use crate::loader::script::{self, FileName};
use crate::loader::{CoreFault, CoreImage};

/// The rule.
#[derive(Debug)]
pub struct BootCoreImage {
    chain: Rc<Chain>,
}

const DISK: &str = "disk";
const INSTALL: &str = "run grub-install /dev/sdX in the guest before the export";

impl BootCoreImage {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }

    /// What keeps a whole image from finding the rest of GRUB.
    fn judge(&self, guest: &Guest<'_>, core: &CoreImage) -> Result<Vec<Defect>, Error> {
        let mut defects: Vec<Defect> = self.exposed(core).into_iter().collect();
        let world = Mounted {
            places: &self.chain.places,
            guest,
        };
        let embedded = core.area.config.as_deref();
        let (prefix, _) = script::run(&world, &Chain::prefix(core), embedded)?;
        let evidence = match embedded {
            Some(_) => format!("prefix {prefix}, as the embedded configuration sets it"),
            None => format!("prefix {}", core.area.prefix),
        };
        let defect = |message: String| {
            Defect::of(DISK, message)
                .evidence(evidence.clone())
                .hint(INSTALL)
        };
        if core.area.memdisk {
            return Ok(defects);
        }
        let lacking = self.lacking(core, &prefix);
        if !lacking.is_empty() {
            defects.push(defect(format!(
                "GRUB's core image cannot read its files: it lacks the module {}",
                lacking.join(" and ")
            )));
        }
        match device(&prefix.device) {
            Device::Elsewhere => {
                defects.push(defect(
                    "GRUB looks for its files on a device that is not this disk".to_owned(),
                ));
                return Ok(defects);
            }
            Device::Partition(number) if self.chain.places.layout().partition(number).is_none() => {
                defects.push(defect(format!(
                    "GRUB looks for its files on partition {number}, which is not there"
                )));
                return Ok(defects);
            }
            Device::Partition(_) | Device::Stacked => {}
        }
        if core.area.has("normal") {
            return Ok(defects);
        }
        let normal = FileName {
            device: prefix.device.clone(),
            path: format!("{}/i386-pc/normal.mod", prefix.path),
        };
        match self.chain.places.locate(guest, &normal)? {
            Located::Here(_) => {}
            Located::Missing => defects.push(defect(
                "GRUB's files are not where its core image looks: there is no i386-pc/normal.mod"
                    .to_owned(),
            )),
            Located::Unseen => defects.push(
                defect("whether GRUB's files are where it looks was not seen".to_owned())
                    .hint("let the boot test decide")
                    .severity(Severity::Note),
            ),
        }
        Ok(defects)
    }

    /// Whether a file system may move what GRUB loads by the numbers of sectors.
    fn exposed(&self, core: &CoreImage) -> Option<Defect> {
        let partitions = &self.chain.places.layout().partitions;
        let within = partitions.iter().find(|partition| {
            partition.slot != Slot::Extended
                && partition.content.kind.is_known()
                // Btrfs leaves its first 64 KiB to boot loaders.
                && partition.content.kind != ContentKind::Btrfs
                && core.blocks.iter().any(|block| partition.range.overlaps(*block))
        })?;
        let defect = Defect::of(
            format!("partition {}", within.number),
            "GRUB's core image lies within a file system, which may move it",
        )
        .evidence(format!("{} in {}", core.at, within.content.kind.name()))
        .hint(INSTALL)
        .severity(Severity::Warning);
        Some(defect)
    }

    /// The modules that it would need to read a device, and does not have.
    fn lacking(&self, core: &CoreImage, prefix: &FileName) -> Vec<&'static str> {
        let mut needed: Vec<&[&'static str]> = vec![&["biosdisk", "ahci", "ata", "pata"]];
        let name = prefix.device.as_str();
        match device(name) {
            Device::Partition(number) => {
                let partition = self.chain.places.layout().partition(number);
                needed.push(match partition.map(|partition| partition.slot) {
                    Some(Slot::Gpt) => &["part_gpt"],
                    _ => &["part_msdos"],
                });
                let kind = partition.map(|partition| partition.content.kind);
                needed.push(match kind {
                    Some(ContentKind::Ext2 | ContentKind::Ext3 | ContentKind::Ext4) => &["ext2"],
                    Some(ContentKind::Xfs) => &["xfs"],
                    Some(ContentKind::Btrfs) => &["btrfs"],
                    Some(ContentKind::Vfat) => &["fat"],
                    _ => &[],
                });
            }
            Device::Stacked if name.starts_with("lvm") => needed.push(&["lvm"]),
            Device::Stacked if name.starts_with("md") => needed.push(&["mdraid1x", "mdraid09"]),
            Device::Stacked | Device::Elsewhere => {}
        }
        needed
            .into_iter()
            .filter(|any| !any.is_empty() && !any.iter().any(|module| core.area.has(module)))
            .map(|any| any[0])
            .collect()
    }
}

impl Rule for BootCoreImage {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/core-image",
            severity: Severity::Blocker,
            title: "A core image of GRUB 2 that is damaged or does not find GRUB's files",
            why: "The boot sector holds no more than the place of the core image; without it the \
                  machine stops before any menu.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        match self.chain.loader.core() {
            None => Ok(Vec::new()),
            Some(Ok(core)) => self.judge(guest, core),
            Some(Err(fault)) => {
                let defect = Defect::of(DISK, "GRUB's core image cannot be started")
                    .evidence(fault.to_string())
                    .hint(INSTALL);
                Ok(vec![match fault {
                    CoreFault::UnknownForm => Defect {
                        message: "GRUB's core image was not looked into".to_owned(),
                        ..defect
                    }
                    .hint("let the boot test decide")
                    .severity(Severity::Note),
                    _ => defect,
                }])
            }
        }
    }

    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, chain, core};
    use super::*;
    use crate::units::Lba;

    const NORMAL: (&str, &str) = ("/boot/grub/i386-pc/normal.mod", "x");
    const MODULES: [&str; 3] = ["biosdisk", "part_msdos", "ext2"];

    fn found(
        prefix: &str,
        config: Option<&str>,
        modules: &[&str],
        files: &[(&str, &str)],
    ) -> Vec<(Severity, String)> {
        let rule = BootCoreImage::new(Rc::new(chain(core(prefix, config, modules))));
        let defects = rule.check(&Fixture::new(files).guest()).unwrap();
        let severity = rule.meta().severity;
        defects
            .into_iter()
            .map(|defect| (defect.severity.unwrap_or(severity), defect.message))
            .collect()
    }

    #[test]
    fn an_image_that_finds_its_files_is_right() {
        for (prefix, config, modules) in [
            ("(,msdos1)/boot/grub", None, MODULES.to_vec()),
            ("(hd0,1)/boot/grub", None, MODULES.to_vec()),
            (
                "(hd0)/boot/grub",
                Some("search.fs_uuid C1A7 root\nset prefix=($root)'/boot/grub'\n"),
                [&MODULES[..], &["search_fs_uuid"]].concat(),
            ),
            ("(lvmid/a/b)/boot/grub", None, vec!["biosdisk", "lvm"]),
        ] {
            assert_eq!(found(prefix, config, &modules, &[NORMAL]), [], "{prefix}");
        }
    }

    #[test]
    fn what_is_not_found_blocks() {
        for (prefix, config, modules, files, expected) in [
            (
                "(,msdos1)/boot/grub",
                None,
                MODULES.to_vec(),
                vec![],
                "normal.mod",
            ),
            (
                "(,msdos7)/boot/grub",
                None,
                MODULES.to_vec(),
                vec![NORMAL],
                "partition 7",
            ),
            (
                "(hd1,msdos1)/boot/grub",
                None,
                MODULES.to_vec(),
                vec![NORMAL],
                "not this disk",
            ),
            (
                "(hd0)/boot/grub",
                Some("search.fs_uuid dead root\nset prefix=($root)/boot/grub\n"),
                MODULES.to_vec(),
                vec![NORMAL],
                "not this disk",
            ),
            (
                "(,msdos1)/boot/grub",
                None,
                vec!["biosdisk", "part_msdos", "xfs"],
                vec![NORMAL],
                "lacks the module ext2",
            ),
            (
                "(,msdos1)/boot/grub",
                None,
                vec!["ext2"],
                vec![NORMAL],
                "lacks the module biosdisk and part_msdos",
            ),
            (
                "(lvmid/a/b)/boot/grub",
                None,
                vec!["biosdisk"],
                vec![NORMAL],
                "lvm",
            ),
        ] {
            let found = found(prefix, config, &modules, &files);
            assert!(
                found
                    .iter()
                    .any(|(severity, message)| *severity == Severity::Blocker
                        && message.contains(expected)),
                "{prefix} {found:?}"
            );
        }
    }

    #[test]
    fn what_was_not_seen_is_a_note() {
        let found = found("(,msdos2)/grub", None, &MODULES, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Severity::Note);
    }

    #[test]
    fn a_fault_is_told() {
        for (fault, expected) in [
            (CoreFault::UnknownForm, Severity::Note),
            (CoreFault::Empty { at: Lba::new(1) }, Severity::Blocker),
        ] {
            let mut loader = core("(,msdos1)/boot/grub", None, &[]);
            if let Some(bios) = &mut loader.bios {
                bios.next = crate::loader::Next::Core(Err(fault));
            }
            let rule = BootCoreImage::new(Rc::new(chain(loader)));
            let defects = rule.check(&Fixture::new(&[]).guest()).unwrap();
            assert_eq!(defects[0].severity.unwrap_or(Severity::Blocker), expected);
        }
    }
}
