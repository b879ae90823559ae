//! `identity/machine-id`: machine-id(5), and D-Bus's copy of it.
//!
//! systemd makes a new id where `/etc/machine-id` is an empty file; the file itself stays, since a
//! root file system that is still read-only needs something to mount the id over. A missing file,
//! or one that says `uninitialized`, makes the next boot a first boot: systemd then enables and
//! disables units as the distribution presets them, and may ask questions at the console. D-Bus's
//! copy goes, since systemd would take the id from there. Where init is not systemd, D-Bus's start
//! script makes the id. Boot entries that are named after the old id keep working.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::{Guest, Owner};
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct IdentityMachineId;

const SYSTEMD: &str = "/etc/machine-id";
const DBUS: &str = "/var/lib/dbus/machine-id";
/// What may make D-Bus's id where init is not systemd.
const DBUS_SCRIPTS: [&str; 5] = [
    "/etc/init.d/dbus",
    "/etc/init.d/messagebus",
    "/etc/rc.d/init.d/messagebus",
    "/etc/init.d/dbus-daemon",
    "/etc/init/dbus.conf",
];
/// How they do it.
const DBUS_GENERATOR: &str = "dbus-uuidgen";
/// What `/etc/machine-id` holds before a first boot.
const UNINITIALIZED: &str = "uninitialized";

/// What to do with a file that holds an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Empty,
    Remove,
    Leave,
}

impl Rule for IdentityMachineId {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/machine-id",
            severity: Severity::Warning,
            title: "A machine id that every instance would share",
            why: "DHCP client ids, journals and much else are derived from it, so two instances \
                  of the image are taken for one.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for (path, id, remedy) in ids(guest)? {
            let hint = match remedy {
                Remedy::Empty => "empty the file; the guest makes a new id at its next boot",
                Remedy::Remove => "remove the file; the guest makes a new one",
                Remedy::Leave => {
                    "nothing in this guest makes a new id at boot: run dbus-uuidgen on each instance"
                }
            };
            // machine-id(5) asks to keep the id confidential.
            let shown: String = id.chars().take(8).collect();
            let defect = Defect::in_file(
                &path,
                "every instance of the image would have this machine id",
            )
            .at_line(1)
            .evidence(format!("{shown}…"))
            .hint(hint);
            defects.push(defect);
        }
        if let Some((path, evidence)) = first_boot(guest)? {
            let defect = Defect::in_file(
                &path,
                "the next boot counts as the first: systemd resets which units are enabled",
            )
            .evidence(evidence)
            .hint("make the file an empty one; the guest makes a new id at its next boot");
            defects.push(defect);
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for (path, _, remedy) in ids(guest)? {
            match remedy {
                Remedy::Empty => guest.write(&path, Vec::new())?,
                Remedy::Remove => guest.remove(&path)?,
                Remedy::Leave => {}
            }
        }
        if let Some((path, _)) = first_boot(guest)? {
            let owner = Owner {
                uid: 0,
                gid: 0,
                mode: 0o444,
            };
            guest.write_as(&path, Vec::new(), owner)?;
        }
        Ok(())
    }
}

/// The files that hold an id, the id, and what to do.
fn ids(guest: &Guest<'_>) -> Result<Vec<(GuestPath, String, Remedy)>, Error> {
    let systemd = guest.facts().systemd;
    let elsewhere = if systemd || has_generator(guest)? {
        Remedy::Remove
    } else {
        Remedy::Leave
    };
    let etc = guest.root().resolve(&SYSTEMD.into())?;
    let mut ids = Vec::new();
    if let Some(id) = id(guest, &etc)? {
        let remedy = if systemd { Remedy::Empty } else { elsewhere };
        ids.push((etc.clone(), id, remedy));
    }
    let dbus = DBUS.into();
    // A link stays, and so does the file that `/etc/machine-id` is a link to.
    let own = guest.kind(&dbus)? == Some(FileKind::Regular) && guest.root().resolve(&dbus)? != etc;
    if own && let Some(id) = id(guest, &dbus)? {
        ids.push((dbus, id, elsewhere));
    }
    Ok(ids)
}

/// The id that a file holds; `None` where a new one will be made.
fn id(guest: &Guest<'_>, path: &GuestPath) -> Result<Option<String>, Error> {
    let Some(text) = guest.text(path)? else {
        return Ok(None);
    };
    let id = text.as_str().trim();
    Ok((!id.is_empty() && id != UNINITIALIZED).then(|| id.to_owned()))
}

/// The file that makes the next boot of systemd a first boot, and why.
fn first_boot(guest: &Guest<'_>) -> Result<Option<(GuestPath, &'static str)>, Error> {
    if !guest.facts().systemd {
        return Ok(None);
    }
    let path = guest.root().resolve(&SYSTEMD.into())?;
    Ok(match guest.text(&path)? {
        Some(text) if text.as_str().trim() == UNINITIALIZED => Some((path, UNINITIALIZED)),
        None if guest.kind(&path)?.is_none() => Some((path, "missing")),
        _ => None,
    })
}

/// Whether a start script of D-Bus makes an id where there is none.
fn has_generator(guest: &Guest<'_>) -> Result<bool, Error> {
    for script in DBUS_SCRIPTS {
        let text = guest.text(&script.into())?;
        if text.is_some_and(|text| text.as_str().contains(DBUS_GENERATOR)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const ID: &str = "4f1d2c3b5a6978877a9b0c1d2e3f4a5b\n";

    #[test]
    fn ids_go_where_new_ones_are_made() {
        let empty = || Some(String::new());
        for (systemd, files, drafted, left) in [
            (
                true,
                vec![(SYSTEMD, ID), (DBUS, ID)],
                vec![(SYSTEMD, empty()), (DBUS, None)],
                0,
            ),
            (true, vec![(SYSTEMD, "")], vec![], 0),
            (
                true,
                vec![(SYSTEMD, "uninitialized\n"), (DBUS, "")],
                vec![(SYSTEMD, empty())],
                0,
            ),
            (true, vec![], vec![(SYSTEMD, empty())], 0),
            (false, vec![], vec![], 0),
            (false, vec![(SYSTEMD, ID), (DBUS, ID)], vec![], 2),
            (
                false,
                vec![
                    (SYSTEMD, ID),
                    (DBUS, ID),
                    ("/etc/init.d/dbus", "#!/bin/sh\ndbus-uuidgen --ensure\n"),
                ],
                vec![(SYSTEMD, None), (DBUS, None)],
                0,
            ),
            (
                false,
                vec![(DBUS, ID), ("/etc/init.d/dbus", "#!/bin/sh\n")],
                vec![],
                1,
            ),
        ] {
            let mut fixture = Fixture::debian(&files);
            fixture.facts.systemd = systemd;
            let (drafts, still) = fixture.fixed(&IdentityMachineId);
            let expected: Vec<(String, Option<String>)> = drafted
                .into_iter()
                .map(|(path, content)| (path.to_owned(), content))
                .collect();
            assert_eq!(
                drafts.into_iter().collect::<Vec<_>>(),
                expected,
                "{files:?}"
            );
            assert_eq!(still.len(), left, "{files:?}");
        }
    }

    #[test]
    fn links_stay() {
        let fixture = Fixture::debian(&[(SYSTEMD, ID)]);
        fixture.link(DBUS, SYSTEMD);
        let (drafts, _) = fixture.fixed(&IdentityMachineId);
        assert_eq!(drafts.keys().collect::<Vec<_>>(), [SYSTEMD]);

        let fixture = Fixture::debian(&[(DBUS, ID)]);
        fixture.link(SYSTEMD, DBUS);
        let (drafts, left) = fixture.fixed(&IdentityMachineId);
        assert_eq!(drafts[DBUS].as_deref(), Some(""));
        assert!(left.is_empty());
    }

    #[test]
    fn the_id_is_not_shown_in_full() {
        let fixture = Fixture::debian(&[(SYSTEMD, ID)]);
        assert_eq!(
            fixture.found(&IdentityMachineId),
            ["/etc/machine-id:1 4f1d2c3b…"]
        );
    }
}
