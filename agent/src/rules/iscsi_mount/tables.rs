//! `fstab` and `crypttab`.

use std::ops::Range;

use super::{is_block_device, is_iscsi_path, needs_iscsi};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::live::volumes::Volumes;
use crate::parse::edit::{self, Edit};
use crate::parse::fstab::{self, Entry};
use crate::rules::KnownDisk;

const FSTAB: &str = "/etc/fstab";
const CRYPTTAB: &str = "/etc/crypttab";

/// An encrypted volume of `crypttab(5)`.
struct Encrypted {
    /// What it is mapped to: `/dev/mapper/NAME`.
    mapped: String,
    line: usize,
    text: String,
    range: Range<usize>,
}

pub(super) fn check(
    guest: &Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
) -> Result<Vec<Defect>, Error> {
    let encrypted = encrypted(guest, disk, volumes)?;
    let mut defects = Vec::new();
    for entry in needing(guest, disk, volumes, &encrypted)? {
        if entry.is_essential() {
            continue;
        }
        let mut defect = Defect::in_file(
            &FSTAB.into(),
            format!(
                "{} is mounted from a volume that iSCSI attached",
                entry.target
            ),
        )
        .at_line(entry.line)
        .evidence(entry.text.trim())
        .hint("remove the entry");
        if entry.has_option("nofail") || entry.has_option("noauto") {
            defect = defect.severity(Severity::Warning);
        }
        defects.push(defect);
    }
    for volume in encrypted {
        defects.push(
            Defect::in_file(
                &CRYPTTAB.into(),
                "an encrypted volume is opened that iSCSI attached",
            )
            .at_line(volume.line)
            .evidence(volume.text.trim())
            .hint("remove the entry"),
        );
    }
    Ok(defects)
}

/// The entries without which the system does not run: the subject of `iscsi/root`.
pub(super) fn essential(
    guest: &Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
) -> Result<Vec<Entry>, Error> {
    let encrypted = encrypted(guest, disk, volumes)?;
    let mut needing = needing(guest, disk, volumes, &encrypted)?;
    needing.retain(Entry::is_essential);
    Ok(needing)
}

pub(super) fn fix(
    guest: &mut Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
) -> Result<(), Error> {
    let encrypted = encrypted(guest, disk, volumes)?;
    let needing = needing(guest, disk, volumes, &encrypted)?;
    let edits = needing
        .iter()
        .filter(|entry| !entry.is_essential())
        .map(Entry::remove)
        .collect();
    edit_file(guest, FSTAB, edits)?;
    // An essential file system keeps what it is opened with.
    let kept = |volume: &Encrypted| {
        needing
            .iter()
            .any(|entry| entry.is_essential() && entry.source == volume.mapped)
    };
    let edits = encrypted
        .iter()
        .filter(|volume| !kept(volume))
        .map(|volume| Edit::remove(volume.range.clone()))
        .collect();
    edit_file(guest, CRYPTTAB, edits)
}

fn edit_file(guest: &mut Guest<'_>, path: &str, edits: Vec<Edit>) -> Result<(), Error> {
    let path = path.into();
    match guest.text(&path)? {
        Some(text) if !edits.is_empty() => {
            guest.write_text(&path, &edit::apply(text.as_str(), edits))
        }
        _ => Ok(()),
    }
}

/// The entries of `fstab` that need iSCSI, those on an encrypted volume and those bound from one
/// among them.
fn needing(
    guest: &Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
    encrypted: &[Encrypted],
) -> Result<Vec<Entry>, Error> {
    let Some(text) = guest.text(&FSTAB.into())? else {
        return Ok(Vec::new());
    };
    let table = fstab::entries(text.as_str());
    let is_attached = |entry: &Entry| {
        let target = (!entry.is_swap()).then_some(entry.target.as_str());
        volumes.hold(&entry.source, target)
    };
    let mounted: Vec<&Entry> = table
        .iter()
        .filter(|entry| {
            !disk.local.contains(&entry.source)
                && (needs_iscsi(entry, &table)
                    || is_attached(entry)
                    || encrypted.iter().any(|volume| volume.mapped == entry.source))
        })
        .collect();
    Ok(table
        .iter()
        .filter(|entry| {
            mounted.contains(entry) || mounted.iter().any(|volume| entry.is_bound_from(volume))
        })
        .cloned()
        .collect())
}

fn encrypted(
    guest: &Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
) -> Result<Vec<Encrypted>, Error> {
    let Some(text) = guest.text(&CRYPTTAB.into())? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for line in edit::lines(text.as_str()) {
        let columns: Vec<&str> = edit::words(line.text).map(|(_, word)| word).collect();
        let [name, device, rest @ ..] = columns.as_slice() else {
            continue;
        };
        if name.starts_with('#') || disk.local.iter().any(|local| local == device) {
            continue;
        }
        let netdev = rest
            .get(1)
            .is_some_and(|options| options.split(',').any(|option| option == "_netdev"));
        if is_iscsi_path(device)
            || volumes.hold(device, None)
            || (netdev && is_block_device(device, ""))
        {
            found.push(Encrypted {
                mapped: format!("/dev/mapper/{name}"),
                line: line.number,
                text: line.text.to_owned(),
                range: line.range,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::IscsiMount;
    use super::*;
    use crate::testing::Fixture;

    const BY_PATH: &str = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1";

    #[test]
    fn entries_go_and_the_rest_stays() {
        let table = format!(
            "# <file system> <mount point>\n\
             /dev/sda1 / ext4 errors=remount-ro 0 1\n\
             # data volume\n\
             {BY_PATH} /srv/data ext4 _netdev 0 2\n\
             /srv/data/home /home none bind 0 0\n\
             /dev/mapper/vault /srv/vault ext4 nofail 0 2\n\
             UUID=here /srv/own ext4 _netdev 0 2\n\
             nas:/x /srv/nas nfs _netdev 0 0\n"
        );
        let crypttab = format!("# name device\nvault {BY_PATH} none luks\nhome UUID=x none luks\n");
        let fixture = Fixture::debian(&[(FSTAB, &table), (CRYPTTAB, &crypttab)]);
        let rule = IscsiMount::new(Rc::new(KnownDisk {
            local: vec!["UUID=here".into()],
            ..KnownDisk::default()
        }));
        assert_eq!(
            fixture.found(&rule),
            [
                format!("/etc/fstab:4 {BY_PATH} /srv/data ext4 _netdev 0 2"),
                "/etc/fstab:5 /srv/data/home /home none bind 0 0".into(),
                "/etc/fstab:6 /dev/mapper/vault /srv/vault ext4 nofail 0 2".into(),
                format!("/etc/crypttab:2 vault {BY_PATH} none luks"),
            ]
        );
        let (drafts, left) = fixture.fixed(&rule);
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[FSTAB].as_deref(),
            Some(
                "# <file system> <mount point>\n\
                 /dev/sda1 / ext4 errors=remount-ro 0 1\n\
                 # data volume\n\
                 UUID=here /srv/own ext4 _netdev 0 2\n\
                 nas:/x /srv/nas nfs _netdev 0 0\n"
            )
        );
        assert_eq!(
            drafts[CRYPTTAB].as_deref(),
            Some("# name device\nhome UUID=x none luks\n")
        );
    }

    #[test]
    fn a_root_on_iscsi_is_left_to_another_rule() {
        let table = format!("{BY_PATH} / ext4 defaults 0 1\n");
        let fixture = Fixture::debian(&[(FSTAB, &table)]);
        let (drafts, left) = fixture.fixed(&IscsiMount::default());
        assert!(drafts.is_empty());
        assert!(left.is_empty(), "{left:?}");
        let (guest, disk) = (fixture.guest(), KnownDisk::default());
        let volumes = disk.volumes(&guest).unwrap();
        assert_eq!(essential(&guest, &disk, &volumes).unwrap().len(), 1);
    }
}
