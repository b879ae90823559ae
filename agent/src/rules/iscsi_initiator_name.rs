//! `iscsi/initiator-name`: the name that this one machine has to iSCSI targets.
//!
//! Debian's `iscsid` refuses to start without the file, and its start-up check
//! (`startup-checks.sh`) makes a new name where the file says `GenerateName=yes`. Red Hat and SUSE
//! have `iscsi-init.service`, which makes the file where there is none. Before that unit the name
//! was made once, when the package was installed: such a guest gets a unit that does the same at
//! boot. Without systemd, or without `iscsi-iname` to make a name, the name stays; and so it does
//! where the system is on a target elsewhere, which knows it by that name: see `iscsi/root`.

use std::rc::Rc;

use super::iscsi_root::{STAYS, System};
use super::{DOC_CUSTOM_IMAGES, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::facts::Family;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::iscsi_record;
use crate::units;

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiInitiatorName {
    disk: Rc<KnownDisk>,
}

const NAME: &str = "/etc/iscsi/initiatorname.iscsi";
const GENERATE: &str = "GenerateName=yes";
/// The unit that makes the file where there is none.
const GENERATOR: &str = "iscsi-init.service";
/// The unit that does so in guests without.
const OWN_GENERATOR: &str = "iscsi-initiator-name.service";
/// What pulls it in: early, since iSCSI's own units are too.
const OWN_TARGET: &str = "sysinit.target";
/// Where the program that makes a name is.
const INAMES: [&str; 2] = ["/usr/sbin/iscsi-iname", "/sbin/iscsi-iname"];

/// How the guest gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The file asks for one.
    Ask,
    /// The file goes.
    Remove,
    /// The file goes, and a unit comes that runs this program.
    Generate(&'static str),
    /// It does not.
    Leave,
    /// It does not, for the system boots with this one.
    Keep,
}

impl IscsiInitiatorName {
    /// The rule, with what is known of the guest's disk.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }

    fn remedy(&self, guest: &Guest<'_>) -> Result<Remedy, Error> {
        if System::look(guest, &self.disk)?.is_elsewhere() {
            return Ok(Remedy::Keep);
        }
        if guest.facts().family == Family::Debian {
            return Ok(Remedy::Ask);
        }
        if units::file(guest, GENERATOR)?.is_some() {
            return Ok(Remedy::Remove);
        }
        if guest.facts().systemd {
            for iname in INAMES {
                if guest.exists(&iname.into())? {
                    return Ok(Remedy::Generate(iname));
                }
            }
        }
        Ok(Remedy::Leave)
    }
}

impl Rule for IscsiInitiatorName {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/initiator-name",
            severity: Severity::Warning,
            title: "An iSCSI initiator name that every instance would share",
            why: "Targets tell initiators apart by name, so two instances of the image disturb \
                  each other's sessions.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let path = NAME.into();
        let Some(text) = guest.text(&path)? else {
            return Ok(Vec::new());
        };
        let hint = match self.remedy(guest)? {
            Remedy::Keep => STAYS,
            Remedy::Ask => "replace the name by GenerateName=yes",
            Remedy::Remove => "remove the file; iscsi-init.service makes a new one at boot",
            Remedy::Generate(_) => "remove the file, and have a unit make a new one at boot",
            Remedy::Leave => {
                "nothing in this guest makes a new name at boot: after the first boot of each \
                 instance, write one with iscsi-iname"
            }
        };
        Ok(iscsi_record::settings(text.as_str())
            .filter(|setting| setting.key == "InitiatorName")
            .map(|setting| {
                Defect::in_file(
                    &path,
                    "every instance of the image would have this initiator name",
                )
                .at_line(setting.line)
                .evidence(format!("{}={}", setting.key, setting.value))
                .hint(hint)
            })
            .collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let path = NAME.into();
        let Some(text) = guest.text(&path)? else {
            return Ok(());
        };
        let text = text.as_str();
        let mut generate = Some(format!("{GENERATE}\n"));
        let edits: Vec<Edit> = iscsi_record::settings(text)
            .filter(|setting| setting.key == "InitiatorName")
            .map(|setting| Edit::replace(setting.range, generate.take().unwrap_or_default()))
            .collect();
        if edits.is_empty() {
            return Ok(());
        }
        match self.remedy(guest)? {
            Remedy::Ask => guest.write_text(&path, &edit::apply(text, edits)),
            Remedy::Remove => guest.remove(&path),
            Remedy::Generate(iname) => {
                let unit = format!("/etc/systemd/system/{OWN_GENERATOR}");
                guest.write_text(&unit.as_str().into(), &own_unit(iname))?;
                units::enable(guest, OWN_GENERATOR, OWN_TARGET)?;
                guest.remove(&path)
            }
            Remedy::Leave | Remedy::Keep => Ok(()),
        }
    }
}

fn own_unit(iname: &str) -> String {
    format!(
        "\
# Each instance has an initiator name of its own.
[Unit]
Description=Name of the iSCSI initiator
DefaultDependencies=no
ConditionPathExists=!{NAME}
After=local-fs.target
Before=iscsi.service iscsid.service iscsid.socket open-iscsi.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo \"InitiatorName=`{iname}`\" >{NAME}'

[Install]
WantedBy={OWN_TARGET}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const HEADER: &str = "## DO NOT EDIT OR REMOVE THIS FILE!\n\
        ## If you remove this file, the iSCSI daemon will not start.\n";

    #[test]
    fn each_family_gets_a_new_name_in_its_own_way() {
        let named = format!("{HEADER}InitiatorName=iqn.1993-08.org.debian:01:9f3c1d2e7a4b\n");
        let asked = format!("{HEADER}GenerateName=yes\n");
        let unit = ("/usr/lib/systemd/system/iscsi-init.service", "[Unit]\n");
        for (family, files, drafted, left) in [
            (
                Family::Debian,
                vec![(NAME, named.as_str())],
                Some(Some(asked.clone())),
                0,
            ),
            (Family::Debian, vec![(NAME, asked.as_str())], None, 0),
            (
                Family::RedHat,
                vec![(NAME, named.as_str()), unit],
                Some(None),
                0,
            ),
            (
                Family::Suse,
                vec![(NAME, named.as_str()), unit],
                Some(None),
                0,
            ),
            (Family::RedHat, vec![(NAME, named.as_str())], None, 1),
            (Family::Suse, vec![unit], None, 0),
        ] {
            let mut fixture = Fixture::debian(&files);
            fixture.facts.family = family;
            let (mut drafts, still) = fixture.fixed(&IscsiInitiatorName::default());
            assert_eq!(drafts.remove(NAME), drafted, "{family:?}");
            assert!(drafts.is_empty());
            assert_eq!(still.len(), left, "{family:?} {still:?}");
        }
    }

    #[test]
    fn a_system_elsewhere_keeps_the_name_that_its_target_knows() {
        let fixture = Fixture::debian(&[
            (
                NAME,
                "InitiatorName=iqn.1993-08.org.debian:01:9f3c1d2e7a4b\n",
            ),
            ("/etc/iscsi/iscsi.initramfs", "ISCSI_TARGET_IP=192.0.2.5\n"),
        ]);
        let rule = IscsiInitiatorName::default();
        let (drafts, left) = fixture.fixed(&rule);
        assert!(drafts.is_empty());
        assert_eq!(left.len(), 1);
        let found = rule.check(&fixture.guest()).unwrap();
        assert!(found[0].hint.contains("iscsi/root"));
    }

    #[test]
    fn a_guest_that_named_itself_at_installation_gets_a_unit() {
        let named = "InitiatorName=iqn.1994-05.com.redhat:9f3c1d2e7a4b\n";
        for systemd in [true, false] {
            let mut fixture = Fixture::debian(&[(NAME, named), ("/sbin/iscsi-iname", "")]);
            fixture.facts.family = Family::RedHat;
            fixture.facts.systemd = systemd;
            let (drafts, still) = fixture.fixed(&IscsiInitiatorName::default());
            if !systemd {
                assert!(drafts.is_empty());
                assert_eq!(still.len(), 1);
                continue;
            }
            assert_eq!(still, Vec::<String>::new());
            assert_eq!(drafts[NAME], None);
            let unit = "/etc/systemd/system/iscsi-initiator-name.service";
            let content = drafts[unit].as_deref().unwrap();
            assert!(content.contains(
                "ExecStart=/bin/sh -c 'echo \"InitiatorName=`/sbin/iscsi-iname`\" \
                 >/etc/iscsi/initiatorname.iscsi'\n"
            ));
            let link = "/etc/systemd/system/sysinit.target.wants/iscsi-initiator-name.service";
            assert_eq!(drafts[link].as_deref(), Some(&*format!("-> {unit}")));
        }
    }
}
