//! `boot/config`: the boot loader's menu and the entry that starts by itself.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::chain::{Chain, Config, Kind};
use crate::loader::script::{Entry, Menu};

/// The rule. It does not apply to a root without anything in `/boot`.
#[derive(Debug)]
pub struct BootConfig {
    chain: Rc<Chain>,
}

const REBUILD: &str = "make the boot loader's configuration anew in the guest (update-grub, \
                       grub2-mkconfig)";

impl BootConfig {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }

    fn judge(&self, guest: &Guest<'_>, kind: Kind, menu: &Menu) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        let first = menu.entries.first();
        if let Some((file, line)) = &menu.fault {
            defects.push(
                Defect::of(
                    self.chain.shown(guest, file)?,
                    "the configuration has a syntax error, and GRUB may refuse it",
                )
                .at_line(*line)
                .hint(REBUILD)
                .severity(Severity::Warning),
            );
        }
        if menu.endless {
            defects.push(
                Defect::of("boot menu", "the configuration never comes to its end")
                    .evidence("it loops, or sources itself")
                    .hint(REBUILD)
                    .severity(Severity::Warning),
            );
        }
        let Some(first) = first else {
            defects
                .push(Defect::of("boot menu", "the boot loader's menu has no entry").hint(REBUILD));
            return Ok(defects);
        };
        if let Some(wanted) = &menu.missing_default {
            let defect = Defect::of(
                self.chain.shown(guest, &first.file)?,
                match kind {
                    Kind::Syslinux => "the default entry of the boot menu does not exist",
                    Kind::Grub2 | Kind::GrubLegacy => {
                        "the default entry of the boot menu does not exist: the first one starts"
                    }
                },
            )
            .evidence(wanted.clone())
            .hint("set the default to an entry that is there (grub-set-default)");
            defects.push(match kind {
                // It tries the name as a kernel's and then waits at its prompt.
                Kind::Syslinux => defect,
                Kind::Grub2 | Kind::GrubLegacy => defect.severity(Severity::Warning),
            });
        }
        if let Some(entry) = menu.default.and_then(|index| menu.entries.get(index)) {
            defects.extend(self.idle(guest, entry)?);
        }
        Ok(defects)
    }

    /// Whether an entry starts no kernel.
    fn idle(&self, guest: &Guest<'_>, entry: &Entry) -> Result<Option<Defect>, Error> {
        if entry.kernel.is_some() {
            return Ok(None);
        }
        let defect = Defect::of(
            self.chain.shown(guest, &entry.file)?,
            if entry.chained {
                "the default entry starts another boot loader, which was not followed"
            } else {
                "the default entry of the boot menu starts no kernel"
            },
        )
        .evidence(entry.title.clone())
        .hint("make the entry of the guest's own kernel the default");
        Ok(Some(if entry.chained {
            defect.severity(Severity::Warning)
        } else {
            defect
        }))
    }
}

impl Rule for BootConfig {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/config",
            severity: Severity::Blocker,
            title: "A boot menu that is missing, empty, or has no default entry",
            why: "Nobody sits at the console of an instance: what does not start by itself does not \
                  start.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        if guest.list(&"/boot".into())?.is_empty() {
            return Ok(Vec::new());
        }
        match self.chain.config(guest)? {
            Config::Unseen => Ok(Vec::new()),
            Config::None { wanted } => Ok(vec![
                Defect::of(wanted, "the boot loader has no configuration").hint(REBUILD),
            ]),
            Config::Menu { kind, menu } => self.judge(guest, kind, &menu),
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
    use crate::layout::BootCode;
    use crate::loader::{BiosLoader, Loader, Next};
    use crate::units::Lba;

    const CFG: &str = "/boot/grub/grub.cfg";

    fn found(loader: Loader, files: &[(&str, &str)]) -> Vec<(Severity, String)> {
        let rule = BootConfig::new(Rc::new(chain(loader)));
        let severity = rule.meta().severity;
        let defects = rule.check(&Fixture::new(files).guest()).unwrap();
        defects
            .into_iter()
            .map(|defect| (defect.severity.unwrap_or(severity), defect.message))
            .collect()
    }

    fn grub2(text: &str) -> Vec<(Severity, String)> {
        let loader = core("(,msdos1)/boot/grub", None, &[]);
        found(loader, &[(CFG, text)])
    }

    #[test]
    fn a_menu_is_judged_by_its_default() {
        let entry = "menuentry 'Debian' --id d {\n linux /vmlinuz root=x\n}\n";
        assert_eq!(grub2(entry), []);
        assert_eq!(grub2(&format!("set default=d\n{entry}")), []);
        for (text, severity, expected) in [
            ("set x=y\n".to_owned(), Severity::Blocker, "has no entry"),
            (
                format!("set default=e\n{entry}"),
                Severity::Warning,
                "does not exist",
            ),
            (
                format!("menuentry 'x' {{ true }}\n{entry}"),
                Severity::Blocker,
                "starts no kernel",
            ),
            (
                format!("menuentry 'x' {{ chainloader +1 }}\n{entry}"),
                Severity::Warning,
                "another boot loader",
            ),
            (
                format!("{entry}if true; then\n"),
                Severity::Warning,
                "syntax error",
            ),
            (
                format!("{entry}while true; do true; done\n"),
                Severity::Warning,
                "never comes to its end",
            ),
        ] {
            let found = grub2(&text);
            assert_eq!(found.len(), 1, "{text} {found:?}");
            assert_eq!(found[0].0, severity, "{text}");
            assert!(found[0].1.contains(expected), "{found:?}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_there_blocks() {
        let blocker = "the boot loader has no configuration";
        let of = |code, next| Loader {
            bios: Some(BiosLoader { code, next }),
            efi: Vec::new(),
        };
        let stage2 = Next::Stage2 {
            at: Lba::new(1),
            is_there: true,
        };
        for (loader, expected) in [
            (core("(,msdos1)/boot/grub", None, &[]), Some(blocker)),
            (of(BootCode::GrubLegacy, stage2), Some(blocker)),
            // Its partition is not mounted.
            (core("(,msdos2)/grub", None, &[]), None),
            (of(BootCode::Unknown, Next::Unseen), None),
        ] {
            let found = found(loader, &[("/boot/vmlinuz", "")]);
            let message = found.first().map(|(_, message)| message.as_str());
            assert_eq!(message, expected);
        }
        let bare = core("(,msdos1)/boot/grub", None, &[]);
        assert_eq!(found(bare, &[("/etc/fstab", "")]), []);
    }

    #[test]
    fn an_unknown_loader_is_judged_by_what_is_there() {
        let loader = Loader {
            bios: Some(BiosLoader {
                code: BootCode::Unknown,
                next: Next::Unseen,
            }),
            efi: Vec::new(),
        };
        let menu = "default 0\ntitle a\nkernel /vmlinuz\n";
        assert_eq!(found(loader, &[("/boot/grub/menu.lst", menu)]), []);
    }
}
