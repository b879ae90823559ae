//! `boot/efi-fallback`: what UEFI firmware starts on a machine that has never seen the disk.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Finding, Severity, Status};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::Chain;
use crate::loader::efi::{FALLBACK, Program};
use crate::loader::{Loader, SystemPartition};

/// The name of the rule.
pub const EFI_FALLBACK: &str = "boot/efi-fallback";

/// The rule. It is a note where the disk also boots by BIOS, as OCI boots it at first.
#[derive(Debug)]
pub struct BootEfiFallback {
    chain: Rc<Chain>,
}

impl BootEfiFallback {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }
}

impl Rule for BootEfiFallback {
    fn meta(&self) -> RuleMeta {
        META
    }

    fn check(&self, _guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        Ok(defect(&self.chain.loader).into_iter().collect())
    }

    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

const META: RuleMeta = RuleMeta {
    id: EFI_FALLBACK,
    severity: Severity::Warning,
    title: "An EFI system partition without a loader for new machines",
    why: "The firmware of a new machine has no boot entries and starts EFI/BOOT/BOOTX64.EFI.",
    doc: DOC_IMPORT_LINUX,
};

/// What the rule finds on a disk where this starts.
pub fn finding(loader: &Loader) -> Option<Finding> {
    defect(loader).map(|defect| Finding::new(&META, defect, Status::Open))
}

fn defect(loader: &Loader) -> Option<Defect> {
    let fit = loader
        .efi
        .iter()
        .any(|esp| esp.fallback == Some(Program::Fit));
    // One that holds nothing for any firmware was never used.
    let used = loader
        .efi
        .iter()
        .find(|esp| esp.fallback.is_some() || !esp.vendors.is_empty())
        .or_else(|| loader.efi.first().filter(|_| loader.is_efi_only()));
    let defect = judge(used.filter(|_| !fit)?);
    Some(if loader.is_efi_only() {
        defect
    } else {
        defect.severity(Severity::Note)
    })
}

fn judge(esp: &SystemPartition) -> Defect {
    let message = match esp.fallback {
        _ if !esp.is_readable => "the EFI system partition holds no FAT file system",
        None => "the EFI system partition has no loader where new machines look",
        Some(Program::OtherMachine) => "the loader for new machines is for another processor",
        Some(Program::Damaged | Program::Fit) => "the loader for new machines is damaged",
    };
    let hint = match esp.vendors.first() {
        Some(vendor) => format!("copy {vendor}, and what is beside it, to {FALLBACK}"),
        None => "install the boot loader with grub-install --removable".to_owned(),
    };
    Defect::of(format!("partition {}", esp.partition), message)
        .evidence(FALLBACK)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, chain, core};
    use super::*;

    fn severity(fallback: Option<Program>, vendors: &[&str], bios: bool) -> Option<Severity> {
        let esp = SystemPartition {
            partition: 1,
            fallback,
            vendors: vendors.iter().map(|&vendor| vendor.to_owned()).collect(),
            is_readable: true,
        };
        let mut loader = if bios {
            core("(,msdos1)/boot/grub", None, &[])
        } else {
            Loader::default()
        };
        loader.efi.push(esp);
        let rule = BootEfiFallback::new(Rc::new(chain(loader)));
        let defects = rule.check(&Fixture::new(&[]).guest()).unwrap();
        defects
            .first()
            .map(|defect| defect.severity.unwrap_or(rule.meta().severity))
    }

    #[test]
    fn a_loader_has_to_be_where_new_machines_look() {
        let shim = ["EFI/debian/shimx64.efi"];
        let (warning, note) = (Some(Severity::Warning), Some(Severity::Note));
        for (fallback, vendors, bios, expected) in [
            (Some(Program::Fit), &[][..], false, None),
            (Some(Program::OtherMachine), &[], false, warning),
            (Some(Program::Damaged), &[], true, note),
            (None, &shim, false, warning),
            (None, &shim, true, note),
            (None, &[], false, warning),
            (None, &[], true, None),
        ] {
            assert_eq!(severity(fallback, vendors, bios), expected, "{fallback:?}");
        }
    }
}
