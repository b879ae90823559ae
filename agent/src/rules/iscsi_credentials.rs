//! `iscsi/credentials`: CHAP names and secrets, and the iSNS server, in the initiator's
//! configuration. Those in records go with the records: see `iscsi/node-records`.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::iscsi_record::{self, Setting};

/// The rule.
#[derive(Debug)]
pub struct IscsiCredentials;

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
                        .hint("remove the line");
                defects.push(defect);
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
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
        Ok(())
    }
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
        let found = fixture.found(&IscsiCredentials);
        assert_eq!(
            found,
            [
                "/etc/iscsi/iscsid.conf:5 node.session.auth.username = (redacted)",
                "/etc/iscsi/iscsid.conf:6 node.session.auth.password = (redacted)",
                "/etc/iscsi/iscsid.conf:7 discovery.sendtargets.auth.password_in = (redacted)",
                "/etc/iscsi/iscsid.conf:8 isns.address = (redacted)",
            ]
        );
        let (drafts, left) = fixture.fixed(&IscsiCredentials);
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
    fn a_shipped_configuration_stays() {
        let shipped = "#node.session.auth.authmethod = CHAP\nnode.session.auth.authmethod = None\n";
        let fixture = Fixture::debian(&[("/etc/iscsi/iscsid.conf", shipped)]);
        let (drafts, left) = fixture.fixed(&IscsiCredentials);
        assert!(drafts.is_empty());
        assert!(left.is_empty());
    }
}
