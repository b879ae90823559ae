//! `iscsi/credentials`: CHAP names and secrets, and the iSNS server, in the initiator's
//! configuration and on the kernel command line. Those in records go with the records: see
//! `iscsi/node-records`. Where the system itself is on a target elsewhere, it logs in with them to
//! boot, and they stay: see `iscsi/root`.

use std::rc::Rc;

use super::iscsi_root::{STAYS, System};
use super::{DOC_CUSTOM_IMAGES, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::edit::{self, Edit};
use crate::parse::iscsi_record::{self, Setting};
use crate::parse::kargs::{Arg, ArgEdit};

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiCredentials {
    disk: Rc<KnownDisk>,
}

/// The initiator's configuration, and what Debian's initial ramdisk takes in.
const FILES: [&str; 3] = [
    "/etc/iscsi/iscsid.conf",
    "/var/lib/iscsi/iscsid.conf",
    "/etc/iscsi/iscsi.initramfs",
];
/// The settings of `iscsi.initramfs` that are credentials.
const INITRAMFS: [&str; 4] = [
    "ISCSI_USERNAME",
    "ISCSI_PASSWORD",
    "ISCSI_IN_USERNAME",
    "ISCSI_IN_PASSWORD",
];

/// Arguments of the kernel that are credentials or the name of this one initiator, in lower case.
const ARGUMENTS: [&str; 10] = [
    "rd.iscsi.initiator",
    "rd.iscsi.username",
    "rd.iscsi.password",
    "rd.iscsi.in.username",
    "rd.iscsi.in.password",
    "iscsi_initiator",
    "iscsi_username",
    "iscsi_password",
    "iscsi_in_username",
    "iscsi_in_password",
];

impl IscsiCredentials {
    /// The rule, with what is known of the guest's disk.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }
}

impl Rule for IscsiCredentials {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/credentials",
            severity: Severity::Warning,
            title: "CHAP credentials and the iSNS server in the initiator's configuration",
            why: "Every instance of the image would hold the secrets of the old storage, and \
                  offer them to every target that it logs in to.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let is_elsewhere = System::look(guest, &self.disk)?.is_elsewhere();
        let hint = |remedy| if is_elsewhere { STAYS } else { remedy };
        let mut defects = Vec::new();
        for path in FILES.map(Into::into) {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let settings = iscsi_record::settings(text.as_str());
            for setting in settings.filter(is_credential) {
                let defect =
                    Defect::in_file(&path, "the initiator holds what belongs to the old storage")
                        .at_line(setting.line)
                        .evidence(format!("{} = (redacted)", setting.key))
                        .hint(hint("remove the line"));
                defects.push(defect);
            }
        }
        for copy in kernel_cmdline::copies(guest)? {
            for arg in &copy.kargs.args {
                if let Some(name) = credential(arg) {
                    defects.push(
                        Defect::in_file(
                            &copy.path,
                            "the kernel command line holds what belongs to the old storage",
                        )
                        .at_line(arg.line)
                        .evidence(format!("{name}=(redacted)"))
                        .hint(hint(
                            "remove the argument from every copy of the command line",
                        )),
                    );
                }
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if System::look(guest, &self.disk)?.is_elsewhere() {
            return Ok(());
        }
        for path in FILES.map(Into::into) {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let text = text.as_str();
            if !iscsi_record::settings(text).any(|setting| is_credential(&setting)) {
                continue;
            }
            let edits = iscsi_record::settings(text)
                .filter(|setting| is_credential(setting) || asks_for_credentials(setting))
                .map(|setting| Edit::remove(setting.range))
                .collect();
            guest.write_text(&path, &edit::apply(text, edits))?;
        }
        kernel_cmdline::edit(guest, &mut |arg| match credential(arg) {
            Some(_) => ArgEdit::Remove,
            None => ArgEdit::Keep,
        })
    }
}

/// The name of an argument of the kernel that is a credential.
fn credential(arg: &Arg) -> Option<&'static str> {
    let (name, _) = arg.text.trim_matches('"').split_once('=')?;
    ARGUMENTS
        .into_iter()
        .find(|argument| name.eq_ignore_ascii_case(argument))
}

fn is_credential(setting: &Setting<'_>) -> bool {
    let key = setting.key;
    let chap = [
        ".auth.username",
        ".auth.password",
        ".auth.username_in",
        ".auth.password_in",
    ];
    chap.iter().any(|suffix| key.ends_with(suffix))
        || key.starts_with("isns.")
        || key.starts_with("discovery.isns.")
        || INITRAMFS.contains(&key)
}

/// CHAP by default, with no name and no secret to do it with.
fn asks_for_credentials(setting: &Setting<'_>) -> bool {
    setting.key.ends_with(".auth.authmethod")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const CONF: &str = "\
iscsid.startup = /bin/systemctl start iscsid.socket
node.startup = automatic
#node.session.auth.username = username
node.session.auth.authmethod = CHAP
node.session.auth.username = web01-initiator
node.session.auth.password = Quartz-Lantern-4471
discovery.sendtargets.auth.password_in=Velvet-Harbour-9028
isns.address = 192.0.2.7
node.session.timeo.replacement_timeout = 120
";

    #[test]
    fn credentials_go_and_are_never_shown() {
        let fixture = Fixture::debian(&[("/etc/iscsi/iscsid.conf", CONF)]);
        let found = fixture.found(&IscsiCredentials::default());
        assert_eq!(
            found,
            [
                "/etc/iscsi/iscsid.conf:5 node.session.auth.username = (redacted)",
                "/etc/iscsi/iscsid.conf:6 node.session.auth.password = (redacted)",
                "/etc/iscsi/iscsid.conf:7 discovery.sendtargets.auth.password_in = (redacted)",
                "/etc/iscsi/iscsid.conf:8 isns.address = (redacted)",
            ]
        );
        let (drafts, left) = fixture.fixed(&IscsiCredentials::default());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts["/etc/iscsi/iscsid.conf"].as_deref(),
            Some(
                "iscsid.startup = /bin/systemctl start iscsid.socket\n\
                 node.startup = automatic\n\
                 #node.session.auth.username = username\n\
                 node.session.timeo.replacement_timeout = 120\n"
            )
        );
    }

    #[test]
    fn credentials_go_from_the_command_line() {
        let arguments = "rd.iscsi.initiator=iqn.x:web01 rd.iscsi.username=web01 \
                         rd.iscsi.password=Quartz-Lantern ISCSI_IN_PASSWORD=x";
        let local = format!("root=UUID=x {arguments} rd.iscsi.firmware=1 rd.iscsi.param=a=b\n");
        let fixture = Fixture::debian(&[("/etc/kernel/cmdline", &local)]);
        let found = fixture.found(&IscsiCredentials::default());
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|line| line.ends_with("=(redacted)")));
        let (drafts, left) = fixture.fixed(&IscsiCredentials::default());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts["/etc/kernel/cmdline"].as_deref(),
            Some("root=UUID=x rd.iscsi.firmware=1 rd.iscsi.param=a=b\n")
        );
    }

    #[test]
    fn a_system_elsewhere_keeps_what_it_boots_with() {
        let arguments = "root=UUID=x iscsi_username=web01 iscsi_password=Quartz-Lantern";
        let initramfs = "ISCSI_TARGET_IP=192.0.2.5\nISCSI_USERNAME=web01\n\
                         ISCSI_PASSWORD=Quartz\nISCSI_IN_PASSWORD=Velvet\n";
        for (path, content, expected) in [
            ("/etc/iscsi/iscsi.initramfs", initramfs.to_owned(), 3),
            (
                "/etc/kernel/cmdline",
                format!("{arguments} iscsi_target_ip=192.0.2.5 iscsi_target_name=iqn.x\n"),
                2,
            ),
            (
                "/etc/kernel/cmdline",
                format!("{arguments} rd.iscsi.target.name=iqn.x\n"),
                2,
            ),
            (
                "/etc/kernel/cmdline",
                format!("{arguments} netroot=iscsi:192.0.2.5::::iqn.x\n"),
                2,
            ),
        ] {
            let fixture = Fixture::debian(&[(path, &content), ("/etc/iscsi/iscsid.conf", CONF)]);
            let rule = IscsiCredentials::default();
            let (drafts, left) = fixture.fixed(&rule);
            assert!(drafts.is_empty(), "{content}");
            assert_eq!(left.len(), expected + 4, "{left:?}");
            let found = rule.check(&fixture.guest()).unwrap();
            assert!(
                found
                    .iter()
                    .all(|defect| defect.hint.contains("iscsi/root"))
            );
        }
    }

    #[test]
    fn a_shipped_configuration_stays() {
        let shipped = "#node.session.auth.authmethod = CHAP\nnode.session.auth.authmethod = None\n";
        let fixture = Fixture::debian(&[("/etc/iscsi/iscsid.conf", shipped)]);
        let (drafts, left) = fixture.fixed(&IscsiCredentials::default());
        assert!(drafts.is_empty());
        assert!(left.is_empty());
    }
}
