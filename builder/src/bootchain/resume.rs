//! `boot/resume`: a hibernation area that the next boot waits for.

use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::kernel_cmdline::{self, value_of};
use byoi_agent::parse::edit::{self, Edit};
use byoi_agent::parse::kargs::ArgEdit;
use byoi_agent::parse::shell_vars;
use byoi_agent::root::GuestPath;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::own_disk::own_disk;
use crate::volumes::{OwnDisk, Resolution, Volumes};

/// The rule. It is a warning: initramfs-tools waits half a minute and goes on, systemd a minute and
/// a half.
#[derive(Debug)]
pub struct BootResume {
    volumes: Arc<Volumes>,
}

/// Where initramfs-tools is told, each a shell assignment of this variable.
const PLACES: [&str; 2] = [
    "/etc/initramfs-tools/conf.d",
    "/etc/initramfs-tools/initramfs.conf",
];
const VARIABLE: &str = "RESUME";

impl BootResume {
    /// The rule for a disk with these volumes.
    pub fn new(volumes: Arc<Volumes>) -> Self {
        Self { volumes }
    }

    /// Whether a name is that of a swap area of another disk, or of none.
    fn is_missing(&self, name: &str, own: &OwnDisk) -> bool {
        match self.volumes.find(name, own) {
            Resolution::Elsewhere => true,
            Resolution::Here(volume) => volume.fs_type.as_deref() == Some("empty"),
            Resolution::Unknown | Resolution::NotABlockDevice => false,
        }
    }
}

impl Rule for BootResume {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/resume",
            severity: Severity::Warning,
            title: "A hibernation area that is not on this disk",
            why: "The boot waits for the swap area to appear before it goes on.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let own = own_disk(guest)?;
        let mut defects = Vec::new();
        for copy in kernel_cmdline::copies(guest)? {
            for arg in &copy.kargs.args {
                if value_of(&arg.text, "resume").is_some_and(|name| self.is_missing(name, &own)) {
                    let defect = Defect::in_file(
                        &copy.path,
                        "the kernel is to resume from a swap area that is not on this disk",
                    )
                    .at_line(arg.line)
                    .evidence(arg.text.trim_matches('"'))
                    .hint("remove the argument");
                    defects.push(defect);
                }
            }
        }
        for path in places(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            for assignment in shell_vars::assignments(text.as_str()) {
                let name = assignment.value.as_str();
                if assignment.name == VARIABLE && self.is_missing(name, &own) {
                    let defect = Defect::in_file(
                        &path,
                        "the initramfs is to resume from a swap area that is not on this disk",
                    )
                    .at_line(assignment.line)
                    .evidence(format!("{VARIABLE}={name}"))
                    .hint("write RESUME=none, and build the initramfs anew");
                    defects.push(defect);
                }
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let own = own_disk(guest)?;
        let mut removed = false;
        kernel_cmdline::edit(guest, &mut |arg| {
            let missing =
                value_of(&arg.text, "resume").is_some_and(|name| self.is_missing(name, &own));
            removed |= missing;
            if missing {
                ArgEdit::Remove
            } else {
                ArgEdit::Keep
            }
        })?;
        if removed {
            // It means nothing without the other one.
            kernel_cmdline::edit(
                guest,
                &mut |arg| match value_of(&arg.text, "resume_offset") {
                    Some(_) => ArgEdit::Remove,
                    None => ArgEdit::Keep,
                },
            )?;
        }
        for path in places(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let edits: Vec<Edit> = shell_vars::assignments(text.as_str())
                .into_iter()
                .filter(|assignment| {
                    assignment.name == VARIABLE && self.is_missing(assignment.value.as_str(), &own)
                })
                .map(|assignment| Edit::replace(assignment.raw, "none"))
                .collect();
            if !edits.is_empty() {
                guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
            }
        }
        Ok(())
    }
}

/// The files of initramfs-tools.
fn places(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = guest.list(&PLACES[0].into())?;
    files.push(PLACES[1].into());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::testing::volume;

    const CFG: &str = "/boot/grub/grub.cfg";
    const CONF: &str = "/etc/initramfs-tools/conf.d/resume";

    fn rule() -> BootResume {
        BootResume::new(Arc::new(Volumes::new(vec![
            volume(1, "ext4", "c1a7"),
            volume(5, "swap", "5a5a"),
        ])))
    }

    #[test]
    fn a_swap_area_elsewhere_is_given_up() {
        let fixture = Fixture::new(&[
            (
                CFG,
                "linux /vmlinuz root=UUID=c1a7 resume=UUID=dead resume_offset=9 quiet\n",
            ),
            (CONF, "RESUME=UUID=dead\n"),
        ]);
        assert_eq!(
            fixture.found(&rule()),
            [
                format!("{CFG}:1 resume=UUID=dead"),
                format!("{CONF}:1 RESUME=UUID=dead"),
            ]
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(drafts[CFG], "linux /vmlinuz root=UUID=c1a7 quiet\n");
        assert_eq!(drafts[CONF], "RESUME=none\n");
    }

    #[test]
    fn a_swap_area_of_this_disk_stays() {
        for (cfg, conf) in [
            ("linux /v resume=UUID=5a5a\n", "RESUME=UUID=5a5a\n"),
            ("linux /v resume=/dev/sda5\n", "RESUME=auto\n"),
            ("linux /v noresume\n", "RESUME=none\n"),
            (
                "linux /v resume=/dev/mapper/vg-swap\n",
                "#RESUME=UUID=dead\n",
            ),
        ] {
            let fixture = Fixture::new(&[(CFG, cfg), (CONF, conf)]);
            assert_eq!(fixture.found(&rule()), Vec::<String>::new(), "{cfg}");
            assert!(fixture.fixed(&rule()).0.is_empty(), "{cfg}");
        }
    }
}
