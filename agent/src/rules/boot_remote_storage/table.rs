//! Entries of `fstab`, and what is mounted from inside of them.

use std::path::Path;

use super::super::iscsi_mount::needs_iscsi;
use super::{HINT, MOVE, Reach, reach};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::parse::fstab::{self, Entry};

const FSTAB: &str = "/etc/fstab";
/// Options that mount something at boot, or as soon as somebody looks there.
const AUTOMATIC: [&str; 4] = [
    "auto",
    "bootwait",
    "comment=systemd.automount",
    "x-systemd.automount",
];

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let Some(text) = guest.text(&FSTAB.into())? else {
        return Ok(Vec::new());
    };
    let defects = remote(&fstab::entries(text.as_str()))
        .into_iter()
        .map(|(entry, reach)| {
            let defect = Defect::in_file(
                &FSTAB.into(),
                format!("{} is mounted at boot from storage elsewhere", entry.target),
            )
            .at_line(entry.line)
            // The options may hold a password.
            .evidence(format!(
                "{} {} {}",
                entry.source, entry.target, entry.fs_type
            ));
            if entry.is_essential() {
                defect.hint(MOVE)
            } else if stops_the_boot(&entry, reach) {
                defect.hint(HINT)
            } else {
                defect.hint(HINT).severity(Severity::Warning)
            }
        })
        .collect();
    Ok(defects)
}

pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let path = FSTAB.into();
    let Some(text) = guest.text(&path)? else {
        return Ok(());
    };
    let edits: Vec<edit::Edit> = remote(&fstab::entries(text.as_str()))
        .iter()
        .filter(|(entry, _)| !entry.is_essential())
        .map(|(entry, _)| entry.change_options(&AUTOMATIC, "noauto"))
        .collect();
    if edits.is_empty() {
        return Ok(());
    }
    guest.write_text(&path, &edit::apply(text.as_str(), edits))
}

/// The entries that are mounted at boot, or as soon as somebody looks there, from storage elsewhere
/// or from inside of what is.
fn remote(table: &[Entry]) -> Vec<(Entry, Reach)> {
    let reaches: Vec<Option<Reach>> = table
        .iter()
        .map(|entry| match reach(&entry.source, &entry.fs_type) {
            Some(_) if needs_iscsi(entry, table) => None,
            reach => reach,
        })
        .collect();
    let lies_on_remote = |entry: &Entry| {
        table.iter().zip(&reaches).any(|(other, reach)| {
            reach.is_some()
                && other.target != "/"
                && other.target != "none"
                && Path::new(&entry.source).starts_with(&other.target)
        })
    };
    table
        .iter()
        .zip(&reaches)
        .filter(|(entry, _)| is_automatic(entry))
        .filter_map(|(entry, reach)| {
            // What lies on it is a local mount to systemd.
            let reach = reach.or_else(|| lies_on_remote(entry).then_some(Reach::Unknown))?;
            Some((entry.clone(), reach))
        })
        .collect()
}

fn is_automatic(entry: &Entry) -> bool {
    let on_access = entry.has_option("x-systemd.automount")
        || entry.option_value("comment") == Some("systemd.automount");
    on_access || !entry.has_option("noauto")
}

/// Whether the boot ends in emergency mode without it.
fn stops_the_boot(entry: &Entry, reach: Reach) -> bool {
    let goes_on = ["nofail", "_netdev", "noauto", "nobootwait"]
        .iter()
        .any(|option| entry.has_option(option));
    reach == Reach::Unknown && !goes_on
}

#[cfg(test)]
mod tests {
    use super::super::BootRemoteStorage;
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn entries_are_set_to_manual_and_the_rest_stays() {
        let table = "# <file system> <mount point>\n\
            UUID=a / ext4 defaults 0 1\n\
            nas:/home\t/home\tnfs4\trw,_netdev,nofail\t0 0 # home\n\
            //nas/share /srv/share cifs credentials=/root/.smb,x-systemd.automount 0 0\n\
            nas:/iso /srv/iso nfs noauto,ro 0 0\n\
            /home/data /data none bind 0 0\n\
            .host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults,allow_other 0 0\n\
            nas:/x /x nfs\n\
            tmpfs /tmp tmpfs defaults 0 0\n";
        let fixture = Fixture::new(&[(FSTAB, table)]);
        let warning = |line| (line, Severity::Warning);
        let blocker = |line| (line, Severity::Blocker);
        let found: Vec<_> = fixture
            .check(&BootRemoteStorage)
            .into_iter()
            .map(|d| (d.line.unwrap(), d.severity.unwrap_or(Severity::Blocker)))
            .collect();
        assert_eq!(
            found,
            [warning(3), warning(4), blocker(6), blocker(7), warning(8)]
        );
        fixture.fix(&[&BootRemoteStorage]);
        assert!(fixture.check(&BootRemoteStorage).is_empty());
        assert_eq!(
            fixture.text(FSTAB).unwrap(),
            "# <file system> <mount point>\n\
             UUID=a / ext4 defaults 0 1\n\
             nas:/home\t/home\tnfs4\trw,_netdev,nofail,noauto\t0 0 # home\n\
             //nas/share /srv/share cifs credentials=/root/.smb,noauto 0 0\n\
             nas:/iso /srv/iso nfs noauto,ro 0 0\n\
             /home/data /data none bind,noauto 0 0\n\
             .host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults,allow_other,noauto 0 0\n\
             nas:/x /x nfs defaults,noauto\n\
             tmpfs /tmp tmpfs defaults 0 0\n"
        );
    }

    #[test]
    fn what_the_system_needs_stays_and_blocks() {
        let table = "nas:/root / nfs defaults 0 0\nnas:/var /var nfs nofail 0 0\n";
        let fixture = Fixture::new(&[(FSTAB, table)]);
        fixture.fix_once(&[&BootRemoteStorage]);
        assert_eq!(fixture.text(FSTAB).as_deref(), Some(table));
        assert_eq!(
            fixture.open(&BootRemoteStorage),
            ["/etc/fstab:1", "/etc/fstab:2"]
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let fixture = Fixture::new(&[(
            FSTAB,
            "//nas/x /x cifs username=ann,password=Velvet-Harbour 0 0\n",
        )]);
        let found = fixture.check(&BootRemoteStorage);
        assert_eq!(found[0].evidence, "//nas/x /x cifs");
    }
}
