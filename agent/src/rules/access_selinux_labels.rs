//! `access/selinux-labels`: every file that the guest needs has a SELinux label.
//!
//! A file without a label is `unlabeled_t`, which hardly any service may read. What is edited keeps
//! its label and what is made gets one that fits its place; but a file may have had none, and a
//! running SELinux whose policy does not know the guest's labels neither shows nor sets them. The
//! guest then labels all its files at the next boot (selinux(8), `/.autorelabel`), and reboots
//! once.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::{Drafted, Guest};
use crate::kernel_cmdline::{self, Role};
use crate::parse::shell_vars;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct AccessSelinuxLabels;

const CONFIG: &str = "/etc/selinux/config";
const AUTORELABEL: &str = "/.autorelabel";
/// What labels all files when it is asked to.
const FIXFILES: [&str; 2] = ["/sbin/fixfiles", "/usr/sbin/fixfiles"];
/// Where the configuration is that a boot needs.
const DIRS: [&str; 14] = [
    "/etc",
    "/etc/ssh",
    "/etc/sysconfig",
    "/etc/sysconfig/network-scripts",
    "/etc/sysconfig/network",
    "/etc/network",
    "/etc/netplan",
    "/etc/NetworkManager",
    "/etc/NetworkManager/conf.d",
    "/etc/NetworkManager/system-connections",
    "/etc/systemd",
    "/etc/systemd/network",
    "/etc/systemd/system",
    "/etc/iscsi",
];
/// The type of what has no label, or one that this system's policy does not know.
const UNLABELLED: &[u8] = b":unlabeled_t:";

/// What SELinux does with an access that the policy forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disabled,
    Permissive,
    Enforcing,
}

impl Rule for AccessSelinuxLabels {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/selinux-labels",
            severity: Severity::Warning,
            title: "Configuration without SELinux labels",
            why: "Services may not read it, so that the network or SSH stays down.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mode = mode(guest)?;
        if mode == Mode::Disabled || guest.exists(&AUTORELABEL.into())? {
            return Ok(Vec::new());
        }
        let unlabelled = unlabelled(guest)?;
        let Some(first) = unlabelled.first() else {
            return Ok(Vec::new());
        };
        let hint = if can_relabel(guest)? {
            "make /.autorelabel: the guest labels its files at the next boot and reboots once"
        } else {
            "label the files in the guest, with restorecon -R /etc"
        };
        let defect = Defect::in_file(first, "files without a SELinux label, of which this is one")
            .evidence(format!("{} without a label", unlabelled.len()))
            .hint(hint);
        Ok(vec![if mode == Mode::Enforcing {
            defect
        } else {
            defect.severity(Severity::Note)
        }])
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if mode(guest)? != Mode::Disabled
            && can_relabel(guest)?
            && !guest.exists(&AUTORELABEL.into())?
            && !unlabelled(guest)?.is_empty()
        {
            guest.write(&AUTORELABEL.into(), Vec::new())?;
        }
        Ok(())
    }
}

fn mode(guest: &Guest<'_>) -> Result<Mode, Error> {
    let text = guest.text(&CONFIG.into())?;
    let Some(text) = text else {
        return Ok(Mode::Disabled);
    };
    let off = kernel_cmdline::copies(guest)?
        .iter()
        .any(|copy| copy.role == Role::Entry && copy.value("selinux") == Some("0"));
    let settings = shell_vars::assignments(text.as_str());
    let set = settings.iter().rev().find(|set| set.name == "SELINUX");
    Ok(match set.map(|set| set.value.as_str()) {
        _ if off => Mode::Disabled,
        Some("enforcing") => Mode::Enforcing,
        Some("permissive") => Mode::Permissive,
        _ => Mode::Disabled,
    })
}

fn can_relabel(guest: &Guest<'_>) -> Result<bool, Error> {
    for path in FIXFILES {
        if guest.exists(&path.into())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The configuration that has no label, or will have none once it is written.
fn unlabelled(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut unlabelled = Vec::new();
    for dir in DIRS {
        for path in guest.list(&dir.into())? {
            let is_drafted = guest.drafts().contains_key(&path);
            if !is_drafted
                && guest.kind(&path)? == Some(FileKind::Regular)
                && lacks(guest.root().label(&path)?)
            {
                unlabelled.push(path);
            }
        }
    }
    for (path, draft) in guest.drafts() {
        let label = match draft {
            Drafted::Removed => continue,
            Drafted::Content(_) if guest.root().kind(path)?.is_some() => {
                guest.root().label(path)?
            }
            Drafted::Content(_) | Drafted::Link(_) => guest.root().label_of_new(path)?,
        };
        if lacks(label) {
            unlabelled.push(path.clone());
        }
    }
    unlabelled.sort();
    unlabelled.dedup();
    Ok(unlabelled)
}

fn lacks(label: Option<Vec<u8>>) -> bool {
    label.is_none_or(|label| {
        label
            .windows(UNLABELLED.len())
            .any(|part| part == UNLABELLED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const FIX: (&str, &str) = (FIXFILES[1], "");
    const ENFORCING: (&str, &str) = (CONFIG, "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n");

    #[test]
    fn what_has_no_label_is_labelled_at_boot() {
        let fixture = Fixture::debian(&[FIX, ENFORCING, ("/etc/ssh/sshd_config", "")]);
        assert_eq!(fixture.open(&AccessSelinuxLabels), ["/etc/os-release"]);
        fixture.fix(&[&AccessSelinuxLabels]);
        assert_eq!(fixture.text(AUTORELABEL).unwrap(), "");
    }

    #[test]
    fn it_is_asked_for_only_where_somebody_listens() {
        let permissive = (CONFIG, "SELINUX=permissive\n");
        let off = (
            "/boot/grub2/grub.cfg",
            "menuentry x {\n linux /vmlinuz root=UUID=1 selinux=0\n}\n",
        );
        for (files, found, made) in [
            (vec![], None, false),
            (vec![FIX], None, false),
            (vec![ENFORCING], Some(Severity::Warning), false),
            (vec![FIX, permissive], Some(Severity::Note), true),
            (vec![FIX, (CONFIG, "SELINUX=disabled\n")], None, false),
            (vec![FIX, ENFORCING, off], None, false),
        ] {
            let fixture = Fixture::debian(&files);
            let severities = fixture.severities(&AccessSelinuxLabels);
            let first = severities.first().map(|(_, severity)| *severity);
            assert_eq!(first, found, "{files:?}");
            fixture.fix_once(&[&AccessSelinuxLabels]);
            assert_eq!(fixture.has(AUTORELABEL), made, "{files:?}");
        }
    }

    #[test]
    fn labels_that_nobody_here_knows_are_none() {
        for (label, lacking) in [
            (None, true),
            (Some("system_u:object_r:unlabeled_t:s0\0"), true),
            (Some("system_u:object_r:etc_t:s0\0"), false),
        ] {
            assert_eq!(lacks(label.map(Into::into)), lacking, "{label:?}");
        }
    }
}
