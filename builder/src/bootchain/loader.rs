//! `boot/loader`: a boot sector that starts nothing.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::Chain;
use crate::layout::BootCode;
use crate::loader::{Active, Next};

/// The rule. GRUB 2's core image is left to `boot/core-image`, a disk for UEFI firmware alone to
/// `boot/efi-fallback`.
#[derive(Debug)]
pub struct BootLoader {
    chain: Rc<Chain>,
}

const DISK: &str = "disk";
const INSTALL: &str = "install the boot loader on the whole disk (grub-install /dev/sdX) in the \
                       guest before the export";

impl BootLoader {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }
}

impl Rule for BootLoader {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/loader",
            severity: Severity::Blocker,
            title: "A boot sector that starts nothing",
            why: "OCI boots an imported image as a BIOS does, and a machine whose boot sector leads \
                  nowhere stays silent.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, _guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let Some(bios) = &self.chain.loader.bios else {
            return Ok(Vec::new());
        };
        if self.chain.loader.is_efi_only() {
            return Ok(Vec::new());
        }
        let found = judge(DISK, bios.code, &bios.next);
        Ok(found.into_iter().collect())
    }

    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn judge(subject: &str, code: BootCode, next: &Next) -> Option<Defect> {
    let defect = |message: &str, evidence: String| {
        Defect::of(subject, message)
            .evidence(evidence)
            .hint(INSTALL)
    };
    let name = code.name();
    Some(match next {
        Next::Core(_) | Next::Stage2 { is_there: true, .. } => return None,
        Next::Nothing => defect("there is no boot loader", "no code".to_owned()),
        Next::Stage2 { at, .. } => defect(
            "GRUB 0.97 has lost the part that its first sector loads",
            format!("{at} is empty or behind the end of the disk"),
        ),
        Next::Unseen => {
            let (message, hint) = unseen(code)?;
            defect(message, name.to_owned())
                .hint(hint)
                .severity(Severity::Note)
        }
        Next::Active(Active::None) => defect(
            "the boot code starts the active partition, and none is active",
            format!("boot code: {name}"),
        )
        .hint("mark the partition with the boot loader active (sfdisk --activate)"),
        Next::Active(Active::Many(numbers)) => {
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            defect(
                "the boot code starts the active partition, and several are active",
                format!("boot code: {name}; active: {}", numbers.join(", ")),
            )
            .hint("leave only the partition with the boot loader active (sfdisk --activate)")
        }
        Next::Active(Active::One {
            partition,
            code,
            next,
        }) => return judge(&format!("partition {partition}"), *code, next),
    })
}

/// What is worth knowing of code that was not followed, and what to do about it.
fn unseen(code: BootCode) -> Option<(&'static str, &'static str)> {
    match code {
        BootCode::Lilo => Some((
            "LILO starts sectors by their numbers, and whether the kernel is there was not looked at",
            "run lilo once more after the last update of the kernel",
        )),
        BootCode::Windows => Some((
            "the active partition starts Windows",
            "let the boot test decide",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, chain};
    use super::*;
    use crate::loader::{BiosLoader, Loader, SystemPartition};
    use crate::units::Lba;

    fn severity(code: BootCode, next: Next, efi: bool) -> Option<Severity> {
        let esp = SystemPartition {
            partition: 1,
            fallback: None,
            vendors: Vec::new(),
            is_readable: true,
        };
        let loader = Loader {
            bios: Some(BiosLoader { code, next }),
            efi: if efi { vec![esp] } else { Vec::new() },
        };
        let rule = BootLoader::new(Rc::new(chain(loader)));
        let defects = rule.check(&Fixture::new(&[]).guest()).unwrap();
        defects
            .first()
            .map(|defect| defect.severity.unwrap_or(rule.meta().severity))
    }

    #[test]
    fn what_leads_nowhere_blocks() {
        let at = Lba::new(1);
        let active = |code, next| {
            Next::Active(Active::One {
                partition: 1,
                code,
                next: Box::new(next),
            })
        };
        let (grub, syslinux) = (BootCode::GrubLegacy, BootCode::Syslinux);
        let blocker = Some(Severity::Blocker);
        for (code, next, efi, expected) in [
            (BootCode::None, Next::Nothing, false, blocker),
            (BootCode::None, Next::Nothing, true, None),
            (grub, Next::Stage2 { at, is_there: true }, false, None),
            (
                grub,
                Next::Stage2 {
                    at,
                    is_there: false,
                },
                false,
                blocker,
            ),
            (BootCode::Unknown, Next::Unseen, false, None),
            (BootCode::Lilo, Next::Unseen, false, Some(Severity::Note)),
            (syslinux, Next::Active(Active::None), false, blocker),
            (
                syslinux,
                Next::Active(Active::Many(vec![1, 2])),
                false,
                blocker,
            ),
            (syslinux, active(syslinux, Next::Unseen), false, None),
            (
                syslinux,
                active(BootCode::None, Next::Nothing),
                false,
                blocker,
            ),
            (
                BootCode::Windows,
                active(BootCode::Windows, Next::Unseen),
                false,
                Some(Severity::Note),
            ),
        ] {
            let shown = format!("{code:?} {next:?}");
            assert_eq!(severity(code, next, efi), expected, "{shown}");
        }
    }
}
